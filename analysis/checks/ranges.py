"""From a place on the sampling scale back to a value, and a range with other ends."""

from __future__ import annotations

from search_spaces.domain import Domain, IntRange, LogUniform, from_dict


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


def ranging(domain: Domain, low: float, high: float) -> Domain:
    """Return the range of the same kind from `low` to `high`; raise ConfigError where they are no ends of one."""
    bounds = (round(low), round(high)) if isinstance(domain, IntRange) else (low, high)
    return from_dict(domain.to_dict() | {"low": bounds[0], "high": bounds[1]})
