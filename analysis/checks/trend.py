"""Trend and noise of a few curves together: what every check on curves asks.

Curves are taken as logarithms, since their noise goes with their level: a slope is a relative change an epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

SHORTEST = 3  # epochs to which a line may be fitted
STARTS = (0.2, 0.4, 0.6)  # shares of the epochs at which a rise may begin


@dataclass(frozen=True)
class Trend:
    """A line common to several curves over the same `epochs`, each with a level of its own (analysis of covariance).

    `slope` is relative an epoch, `error` its standard error with `freedom` degrees; `noise` the relative SD of a single
    epoch round its line.
    """

    slope: float
    error: float
    freedom: int
    noise: float
    epochs: int

    @property
    def change(self) -> float:
        """Return the relative change from the first of the epochs to the last: 0.1 is a rise by 10 %."""
        return math.expm1(self.slope * (self.epochs - 1))

    def p_rising(self) -> float:
        """Return the one-sided p-value against "does not rise"."""
        return float(stats.t.sf(self.slope / self.error, self.freedom))

    def p_falling(self) -> float:
        """Return the one-sided p-value against "does not fall"."""
        return float(stats.t.cdf(self.slope / self.error, self.freedom))

    def lowest_change(self, level: float) -> float:
        """Return the lower one-sided bound of `change` at a confidence `level`."""
        slope = self.slope - float(stats.t.ppf(level, self.freedom)) * self.error
        return math.expm1(slope * (self.epochs - 1))

    def least_noise(self, level: float) -> float:
        """Return the lower one-sided bound of `noise` at a confidence `level` (chi-square)."""
        return self.noise * math.sqrt(self.freedom / float(stats.chi2.ppf(level, self.freedom)))


def trend(curves: NDArray[np.float64], first: int) -> Trend | None:
    """Return the common line of `curves` (runs, epochs) from epoch index `first` on.

    None if they are too short, or have a negative value, of which there is no relative change.
    """
    logs = np.log(np.maximum(curves[:, first:], 1e-12))
    runs, epochs = logs.shape
    freedom = runs * (epochs - 1) - 1
    if epochs < SHORTEST or freedom < 2 or (curves[:, first:] < 0).any():
        return None
    time = np.arange(epochs) - (epochs - 1) / 2
    levels = logs - logs.mean(1, keepdims=True)
    weight = runs * float((time**2).sum())
    slope = float((levels * time).sum()) / weight
    variance = float(((levels - slope * time) ** 2).sum()) / freedom
    return Trend(slope, math.sqrt(variance / weight) or 1e-12, freedom, math.sqrt(variance), epochs)


def late(epochs: int, share: float) -> int:
    """Return the index at which the last `share` of the epochs begins: `SHORTEST` of them at least."""
    return max(0, epochs - max(SHORTEST, math.ceil(share * epochs)))


def rise(curves: NDArray[np.float64], tests: int, level: float = 0.05) -> Trend | None:
    """Return the surest rise of `curves` (runs, epochs) to their end, if one is sure; None if there is none.

    It may begin at any of `STARTS`; `level` is shared out over these and over `tests`, the groups of curves looked at.
    """
    epochs = curves.shape[1]
    starts = sorted({min(int(share * epochs), epochs - SHORTEST) for share in STARTS})
    found = [line for start in starts if start >= 0 and (line := trend(curves, start)) is not None]
    if not found:
        return None
    surest = min(found, key=Trend.p_rising)
    return surest if surest.p_rising() < level / (tests * len(found)) else None
