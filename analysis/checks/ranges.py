"""From a place on the sampling scale back to a value, and the ranges that a remedy proposes."""

from __future__ import annotations

from search_spaces.domain import Domain, IntRange, LogUniform


def value_at(domain: Domain, place: float) -> float:
    """Return the value at `place` of a numeric range's sampling scale; beyond 0 and 1 it lies outside the range."""
    bounds = domain.to_dict()
    low, high = float(bounds["low"]), float(bounds["high"])
    if isinstance(domain, LogUniform):
        return float(low * (high / low) ** place)
    value = low + place * (high - low)
    return float(round(value)) if isinstance(domain, IntRange) else value


def ends(domain: Domain) -> tuple[float, float]:
    """Return the lower and the upper end of a numeric range."""
    bounds = domain.to_dict()
    return float(bounds["low"]), float(bounds["high"])
