"""The values a parameter may take, as data that samplers, checks and plots read alike.

Every domain says whether it `contains` a value, which values are at its `ends` (where these are legal, so is what lies
between them), the `position` of a value on the sampling scale, 0 at the low end and 1 at the high end, and its `size`.
As text it is what a reader wants to see of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from trainables.errors import ConfigError


@dataclass(frozen=True)
class Uniform:
    """Real numbers from `low` to `high`, evenly."""

    kind: ClassVar[str] = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high)

    def contains(self, value: object) -> bool:
        """Return whether `value` is a number within the bounds."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    @property
    def ends(self) -> tuple[float, ...]:
        """Return both ends."""
        return float(self.low), float(self.high)

    def position(self, value: float) -> float:
        """Return the distance from `low` in units of the width."""
        return (value - self.low) / (self.high - self.low)

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """Positive numbers from `low` to `high`, evenly in their logarithm."""

    kind: ClassVar[str] = "log-uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high)
        if self.low <= 0:
            raise ConfigError(f"{self!r}: a logarithmic range must start above 0")

    def contains(self, value: object) -> bool:
        """Return whether `value` is a number within the bounds."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    @property
    def ends(self) -> tuple[float, ...]:
        """Return both ends."""
        return float(self.low), float(self.high)

    def position(self, value: float) -> float:
        """Return the distance from `low` in units of the logarithmic width; far below 0 for value 0."""
        return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, log"


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` to `high`, evenly, both included."""

    kind: ClassVar[str] = "integer"
    low: int
    high: int

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high)
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise ConfigError(f"{self!r}: bounds must be whole numbers")

    def contains(self, value: object) -> bool:
        """Return whether `value` is a whole number within the bounds."""
        return _is_number(value) and self.low <= value <= self.high and value == int(value)  # type: ignore

    @property
    def ends(self) -> tuple[int, ...]:
        """Return both ends."""
        return self.low, self.high

    def position(self, value: float) -> float:
        """Return the distance from `low` in units of the width."""
        return (value - self.low) / (self.high - self.low)

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole"


@dataclass(frozen=True)
class Choice:
    """One of a few values: names, switches or numbers."""

    kind: ClassVar[str] = "choice"
    options: tuple[str | bool | int | float, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2 or len(set(self.options)) != len(self.options):
            raise ConfigError(f"{self!r}: a choice needs at least two different options")

    def contains(self, value: object) -> bool:
        """Return whether `value` is one of the options."""
        return value in self.options

    @property
    def ends(self) -> tuple[str | bool | int | float, ...]:
        """Return all options."""
        return self.options

    def position(self, value: object) -> float:
        """Return the option's place in the list; NaN for a value that is none of them, as a start may have."""
        return self.options.index(value) / (len(self.options) - 1) if value in self.options else math.nan

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return len(self.options)

    def __str__(self) -> str:
        return ", ".join(str(option) for option in self.options)


Range = Uniform | LogUniform | IntRange
Domain = Range | Choice


def spanning(one: Domain, other: Domain) -> Domain:
    """Return the smallest range that contains two ranges of one kind; raise ConfigError for anything else."""
    if isinstance(one, Choice) or isinstance(other, Choice) or type(one) is not type(other):
        raise ConfigError(f"{one!r} and {other!r} do not make one range")
    return between(one, min(one.low, other.low), max(one.high, other.high))


def between(domain: Range, low: float, high: float) -> Range:
    """Return the range of the same kind from `low` to `high`; raise ConfigError where they are no ends of one."""
    if isinstance(domain, IntRange):
        return IntRange(round(low), round(high))
    return replace(domain, low=low, high=high)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_bounds(domain: object, low: float, high: float) -> None:
    if not (_is_number(low) and _is_number(high) and math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{domain!r}: bounds must be finite numbers, the first below the second")
