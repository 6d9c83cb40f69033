"""Do the two leading arms differ by more than seeds do? (playbook: trial variance; isolation plot)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.finding import Finding, not_judged

ID = "separation"
LEVEL = 0.05
FEWEST = 3  # seeds that two arms have in common


def separation(evidence: Evidence) -> list[Finding]:
    """Compare the new-seed runs of the two leading arms' candidates, paired by seed; single trials say nothing."""
    if len(evidence.arms) < 2:
        return []
    runs = evidence.runs[evidence.runs["arm"].isin(list(evidence.arms)) & (evidence.runs["status"] == "finished")]
    if runs.empty or "seed" not in runs:
        return [not_judged(ID, "the arms' candidates were not trained under new seeds")]
    by_seed = runs.pivot_table(index="seed", columns="arm", values=evidence.metric.name)
    ascending = evidence.metric.goal == "min"
    order = by_seed.mean().sort_values(ascending=ascending).index
    both = by_seed[order[:2]].dropna()
    if len(order) < 2 or len(both) < FEWEST:
        return [not_judged(ID, f"fewer than {FEWEST} seeds under which two arms' candidates were trained")]
    apart, gap, half = told_apart(both[order[0]], both[order[1]])
    said = f"{order[0]} leads {order[1]} by {gap:.4f} {evidence.metric.name} (95 % +-{half:.4f}) over {len(both)} seeds"
    if apart:
        return [Finding(ID, "ok", said)]
    return [Finding(ID, "note", said, f"{order[0]} and {order[1]} are not told apart")]


def told_apart(leader: pd.Series[float], second: pd.Series[float]) -> tuple[bool, float, float]:
    """Return whether two arms differ (paired t, 5 %), by how much, and the half width of the 95 % interval."""
    gaps = np.abs((leader - second).mean())
    half = float(stats.t.ppf(1 - LEVEL / 2, len(leader) - 1) * stats.sem(leader - second))
    return bool(gaps > half), float(gaps), half
