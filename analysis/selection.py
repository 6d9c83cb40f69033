"""Which trial is best, and whether it earns adoption. Validation decides; the test split is never asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.intervals import CONFIDENCE
from trainables.result import Metric


@dataclass(frozen=True)
class Adoption:
    """Whether the candidate replaces the incumbent. `gain` is in units of the metric, positive is better."""

    adopted: bool
    why: str
    gain: float | None = None
    low: float | None = None
    high: float | None = None


def ranked(finished: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return finished trials, best first by their best epoch; the earlier trial wins a tie."""
    return finished.sort_values([metric.name, "trial"], ascending=[metric.goal == "min", True])


def best_of_arms(finished: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return each arm's best trial, best arm first (playbook: compare the best trial of each study)."""
    return ranked(finished, metric).drop_duplicates("arm")


def judge(
    metric: Metric, runs: Sequence[tuple[float | None, float | None]], rival: str = "the starting config"
) -> Adoption:
    """Compare retrained runs on validation, (candidate, incumbent) by seed (playbook: determining whether to adopt).

    Both configs start from the same weights and see the same batches under one seed, so their difference within a
    seed is free of most of what seeds change. Adopt if the mean gain is positive and its paired-t 95 % interval leaves
    out zero. A single pair knows nothing of the spread: then a plain gain adopts, and the reason says so. None is a run
    that diverged: a candidate that does under any seed is not adopted; it beats an incumbent that does, unless it is
    worse under the other seeds. `rival` is what the reason calls the incumbent.
    """
    if not runs:
        return Adoption(False, "not adopted: not retrained, so the gain cannot be told from luck")
    died = [sum(run is None for run in side) for side in zip(*runs, strict=True)]
    if died[0]:
        return Adoption(
            False, f"not adopted: the selected config did not finish under {died[0]} of {len(runs)} new seeds"
        )
    values = np.array([pair for pair in runs if pair[1] is not None], dtype=float).reshape(-1, 2)
    if died[1]:
        whole = f"{rival} did not finish under {died[1]} of {len(runs)} new seeds"
        worse = len(values) and metric.gain(*values.mean(0)) < 0
        return Adoption(
            not worse, f"not adopted: {whole}, but is better under the others" if worse else f"adopted: {whole}"
        )
    gains = [metric.gain(candidate, incumbent) for candidate, incumbent in values]
    candidate, incumbent = values.mean(0)
    gain = float(np.mean(gains))
    head = "adopted" if gain > 0 else "not adopted"
    change = f"{metric.name} {incumbent:.4f} to {candidate:.4f}"
    if len(runs) == 1:
        return Adoption(gain > 0, f"{head}: {change} in one new run each; the spread between seeds is unknown", gain)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1) * stats.sem(gains))
    low, high = gain - half, gain + half
    head = "adopted" if low > 0 else "not adopted"
    tail = "" if low > 0 else "; the interval reaches zero" if gain > 0 else "; it is no better"
    why = f"{head}: {change} over {len(runs)} new seeds, gain {gain:.4f} (95 % {low:.4f} to {high:.4f}){tail}"
    return Adoption(low > 0, why, gain, low, high)
