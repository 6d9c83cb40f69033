"""The values a parameter may take, as data that samplers, checks and plots read alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from trainables.errors import ConfigError


class Domain(Protocol):
    """A set of values with an order in which it is sampled; as text it is what a reader wants to see of it."""

    def contains(self, value: object) -> bool:
        """Return whether `value` could have been sampled."""
        ...

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return the values at its ends, or all of a few: where these are legal, so is what lies between them."""
        ...

    def position(self, value: Any) -> float:
        """Return where `value` lies on the sampling scale: 0 at the low end, 1 at the high end."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return kind and bounds as plain values for study.json."""
        ...

    @property
    def size(self) -> float:
        """Return how many values there are."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Real numbers from `low` to `high`, evenly."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return kind and bounds."""
        return {"kind": "uniform", "low": self.low, "high": self.high}

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """Positive numbers from `low` to `high`, evenly in their logarithm."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return kind and bounds."""
        return {"kind": "log-uniform", "low": self.low, "high": self.high}

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, log"


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` to `high`, evenly, both included."""

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

    def position(self, value: int) -> float:
        """Return the distance from `low` in units of the width."""
        return (value - self.low) / (self.high - self.low)

    def to_dict(self) -> dict[str, Any]:
        """Return kind and bounds."""
        return {"kind": "integer", "low": self.low, "high": self.high}

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole"


@dataclass(frozen=True)
class Choice:
    """One of a few values: names, switches or numbers."""

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

    def position(self, value: str | bool | int | float) -> float:
        """Return the option's place in the list; NaN for a value that is none of them, as a start may have."""
        return self.options.index(value) / (len(self.options) - 1) if value in self.options else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return kind and options."""
        return {"kind": "choice", "options": list(self.options)}

    @property
    def size(self) -> float:
        """Return how many values there are."""
        return len(self.options)

    def __str__(self) -> str:
        return ", ".join(str(option) for option in self.options)


def spanning(one: Domain, other: Domain) -> Domain:
    """Return the smallest range that contains two ranges of one kind; raise ConfigError for anything else."""
    if isinstance(one, Choice) or type(one) is not type(other):
        raise ConfigError(f"{one!r} and {other!r} do not make one range")
    first, second = one.to_dict(), other.to_dict()
    return from_dict(
        first | {"low": min(first["low"], second["low"]), "high": max(first["high"], second["high"])},
    )


def from_dict(values: dict[str, Any]) -> Domain:
    """Return the domain that `to_dict` wrote; raise ConfigError for anything else."""
    try:
        match values["kind"]:
            case "uniform":
                return Uniform(values["low"], values["high"])
            case "log-uniform":
                return LogUniform(values["low"], values["high"])
            case "integer":
                return IntRange(values["low"], values["high"])
            case "choice":
                return Choice(tuple(values["options"]))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{values!r} does not describe a domain") from error
    raise ConfigError(f"{values!r} does not describe a domain")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_bounds(domain: object, low: float, high: float) -> None:
    if not (_is_number(low) and _is_number(high) and math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{domain!r}: bounds must be finite numbers, the first below the second")
