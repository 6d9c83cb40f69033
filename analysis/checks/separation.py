"""Do the two leading arms differ by more than seeds do? (playbook: trial variance; isolation plot)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from storage.finding import Finding, not_judged

ID = "separation"
LEVEL = 0.04  # so that equal arms seem apart in less than 5 % of each simulated world (docs/evidence.md)
FEWEST = 3  # seeds that two arms have in common


def separation(evidence: Evidence) -> list[Finding]:
    """Compare the new-seed runs of the two leading arms' candidates, paired by seed; single trials say nothing."""
    if len(evidence.arms) < 2:
        return []
    candidates = by_seed(evidence)
    ascending = evidence.metric.goal == "min"
    order = sorted(candidates, key=lambda arm: candidates[arm].mean() * (1 if ascending else -1))[:2]
    if len(order) < 2:
        return [not_judged(ID, "candidates of fewer than two arms were trained under new seeds")]
    both = pd.concat([candidates[arm] for arm in order], axis=1, join="inner")
    if len(both) < FEWEST:
        return [not_judged(ID, f"candidates of {order[0]} and {order[1]} have fewer than {FEWEST} new seeds in common")]
    apart, gap, half = told_apart(both.iloc[:, 0].to_numpy(float), both.iloc[:, 1].to_numpy(float))
    said = f"{order[0]} and {order[1]} differ by {gap:.4f} {evidence.metric.name} ({1 - LEVEL:.0%} +-{half:.4f})"
    said += f" over {len(both)} seeds"
    if apart:
        return [Finding(ID, "ok", said)]
    return [Finding(ID, "note", said, f"{order[0]} and {order[1]} are not told apart")]


def by_seed(evidence: Evidence) -> dict[str, pd.Series[float]]:
    """Return for each arm the metric by seed of its candidate with most new seeds; of two, the earlier role's.

    The start stands for no arm: it was chosen before there were arms. A run that died counts with what it reached.
    """
    runs = evidence.runs
    if runs.empty or "seed" not in runs:
        return {}
    arms = {f"trial {trial}": arm for trial, arm in zip(evidence.trials["trial"], evidence.trials["arm"], strict=True)}
    role = runs["arm"].where(runs["arm"] != "selected", f"trial {evidence.used}")
    known = runs.assign(candidate=role, of=role.map(arms))[role.isin(list(arms)) & (runs["status"] == "finished")]
    most: dict[str, pd.Series[float]] = {}
    for (arm, _), own in known.groupby(["of", "candidate"], sort=False):
        values = own.drop_duplicates("seed").set_index("seed")[evidence.metric.name].astype(float)
        if str(arm) not in most or len(values) > len(most[str(arm)]):
            most[str(arm)] = values
    return most


def told_apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[bool, float, float]:
    """Return whether two arms differ (paired t, 4 %), by how much, and the half width of the 96 % interval."""
    gap = abs(float((one - other).mean()))
    half = float(stats.t.ppf(1 - LEVEL / 2, len(one) - 1) * stats.sem(one - other))
    return gap > half, gap, half
