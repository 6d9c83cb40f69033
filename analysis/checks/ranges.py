"""From a place on the sampling scale back to a value, and the ends of a range."""

from __future__ import annotations

from search_spaces.domain import IntRange, LogUniform, Range


def value_at(domain: Range, place: float) -> float:
    """Return the value at `place` of a range's sampling scale; beyond 0 and 1 it lies outside the range."""
    low, high = ends(domain)
    if isinstance(domain, LogUniform):
        return float(low * (high / low) ** place)
    value = low + place * (high - low)
    return float(round(value)) if isinstance(domain, IntRange) else value


def ends(domain: Range) -> tuple[float, float]:
    """Return the lower and the upper end of a range."""
    return float(domain.low), float(domain.high)
