"""Intervals for scores over pairs, where one hard chip spoils every pair it stands in.

Pairs that share a chip are not independent, so the binomial interval is too narrow. The variance here sums over all
pairs of pairs with a chip in common (dyadic cluster-robust variance: Aronow, Samii and Assenova 2015); the interval is
Wilson's (1927) at the sample size that this variance amounts to. What is numbered is whatever belongs together: a
picture with its flips, or a whole group (a patient, a scene). Between two configs the seeds they were trained with
are a second source of chance, beside the chips.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
Z95 = 1.959964
FEW_UNITS = 50  # pictures or groups; with fewer the variance is estimated too small, and a normal quantile is too


def dyadic_variance(residual: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Return the variance of a mean over pairs from residuals (P,) and the picture numbers of both sides (P,).

    Sums residual products over all pairs of pairs that share a picture, over P squared; at least the variance of
    independent pairs, since a negative estimate only says that sharing does not matter.
    """
    count = len(residual)
    if count == 0:
        return math.nan
    inside = first == second  # both sides flips of one picture: one node, not two
    touching = np.zeros(int(max(first.max(), second.max())) + 1)
    np.add.at(touching, first, residual)
    np.add.at(touching, second[~inside], residual[~inside])
    edge = np.minimum(first, second) * len(touching) + np.maximum(first, second)
    _, index = np.unique(edge[~inside], return_inverse=True)
    both = np.bincount(index, residual[~inside])  # pairs of the same two pictures share both and were counted twice
    shared = float((touching**2).sum() - (both**2).sum())
    return max(shared, float((residual**2).sum())) / count**2


def ratio_interval(
    hit: NDArray[np.bool_], counted: NDArray[np.bool_], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the 95 % interval of sum(hit) / sum(counted) over pairs; accuracy counts all pairs, Jaccard its union.

    Without any residual variance (all right, or all wrong) as many independent looks are assumed as there are pictures.
    Few units: the variance grows by G / (G - 2), the quantile is Student's with G / 2 degrees of freedom, and G units
    are no more looks than there are pairs of them; so simulated intervals cover in 93 % or more from four units on.
    """
    total = int(counted.sum())
    if total == 0:
        return 0.0, 1.0
    ratio = float((hit & counted).sum() / total)
    residual = np.where(counted, hit - ratio, 0.0) * (len(hit) / total)
    variance = dyadic_variance(residual, first, second)
    units = len(np.union1d(first, second))
    if units >= FEW_UNITS:
        looks = ratio * (1 - ratio) / variance if variance > 0 else float(units)
        return wilson(ratio, min(looks, float(total)))
    if units <= 2:
        return 0.0, 1.0
    looks = ratio * (1 - ratio) / (variance * _few(units)) if variance > 0 else float(units)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, units / 2))
    return wilson(ratio, min(looks, units * (units - 1) / 2, float(total)), quantile)


def _few(units: int) -> float:
    """By how much the variance over so few units must be taken larger than it looks."""
    return units / (units - 2) if units < FEW_UNITS else 1.0


def difference_interval(
    difference: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the 95 % interval of a mean difference (R, P) between two configs, R seeds on the same P pairs.

    Chips and seeds are two ways in which pairs and runs belong together: the variance is that over chips plus that over
    seeds less what both contain (two-way clusters: Cameron, Gelbach and Miller 2011), at least the larger of the two;
    Student's t with Satterthwaite's (1946) degrees of freedom. One seed knows nothing of the others: then the interval
    is that of these two networks on other chips.
    """
    seeds = len(difference)
    mean = float(difference.mean())
    residual = difference - mean
    units = len(np.union1d(first, second))
    if units <= 2:
        return -1.0, 1.0
    chips = dyadic_variance(residual.mean(0), first, second) * _few(units)
    training = float(difference.mean(1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    both = float(np.mean([dyadic_variance(own, first, second) for own in residual])) / seeds * _few(units)
    variance = max(chips + training - both, chips, training)
    if variance == 0:
        return mean, mean
    spread = chips**2 / (units - (2 if units < FEW_UNITS else 1)) + training**2 / max(seeds - 1, 1)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, variance**2 / spread)) * math.sqrt(variance)
    return mean - half, mean + half


def wilson(share: float, looks: float, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval of a share seen in `looks` independent looks: 95 % for the normal quantile `z`."""
    centre = (share + z**2 / (2 * looks)) / (1 + z**2 / looks)
    half = z / (1 + z**2 / looks) * math.sqrt(share * (1 - share) / looks + z**2 / (4 * looks**2))
    return max(0.0, centre - half), min(1.0, centre + half)
