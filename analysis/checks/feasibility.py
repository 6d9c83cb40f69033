"""Which share of trials diverged, failed or died, and what sets them apart (playbook: infeasible points)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.ranges import ends, value_at
from search_spaces.domain import Range
from storage.finding import Finding, Narrow, Severity, not_judged

ID = "feasibility"
WARN, FAIL = 0.20, 0.50  # ours
LEVEL = 0.05
LOOK = "look for a bug, or shrink the space where they lie"


def feasibility(evidence: Evidence) -> list[Finding]:
    """Warn from 20 % infeasible trials on, fail from 50 % on; name the parameter that separates them."""
    trials = evidence.ended
    if trials.empty:
        return [not_judged(ID, "no trial has ended yet")]
    share = float(trials["infeasible"].mean())
    severity: Severity = "fail" if share >= FAIL else "warn" if share >= WARN else "ok"
    died = int(trials["dead"].sum())
    said = f"{int(trials['infeasible'].sum())} of {len(trials)} trials diverged, failed or died at chance"
    said += f" ({died} died)" if died else ""
    if severity == "ok":
        return [Finding(ID, severity, said)]
    reasons = trials.loc[trials["infeasible"], "reason"].dropna().value_counts()
    said += f"; most often: {reasons.index[0]}" if len(reasons) else ""
    found = separating(trials, evidence.ranges)
    if found is None:
        return [Finding(ID, severity, said, LOOK)]
    path, edge, above = found

    low, high = ends(evidence.ranges[path])
    remedy = Narrow(path, low, edge) if above else Narrow(path, edge, high)
    said += f"; they lie {'above' if above else 'below'} {path} = {edge:.3g}"
    return [Finding(ID, severity, said, remedy.words, remedy)]


def separating(trials: pd.DataFrame, ranges: Mapping[str, Range]) -> tuple[str, float, bool] | None:
    """Return the parameter that sets infeasible trials apart, the value at which, and whether they lie above it.

    The two-sided Mann-Whitney test of each parameter at 5 %, shared out over the parameters; the surest one is named.
    `trials` has a column `infeasible` and one for each path of `ranges`.
    """
    tested = []
    for path, domain in ranges.items():
        own = trials[trials[path].notna()]
        bad = own["infeasible"].to_numpy(bool)
        if not 0 < bad.sum() < len(bad):
            continue
        places = np.array([domain.position(value) for value in own[path]])
        p = float(stats.mannwhitneyu(places[bad], places[~bad]).pvalue)
        tested.append((p, path, *split(places, bad)))
    if not tested or min(tested)[0] >= LEVEL / len(tested):
        return None
    _, path, place, above = min(tested)
    return path, value_at(ranges[path], place), above


def split(places: NDArray[np.float64], bad: NDArray[np.bool_]) -> tuple[float, bool]:
    """Return the place that best separates bad from good (Youden's J), and whether the bad lie above it."""
    order = np.unique(places)
    cuts = (order[1:] + order[:-1]) / 2
    if not len(cuts):
        return float(order[0]), True
    j = np.array([(places[bad] > cut).mean() - (places[~bad] > cut).mean() for cut in cuts])
    best = int(np.argmax(np.abs(j)))
    return float(cuts[best]), bool(j[best] > 0)
