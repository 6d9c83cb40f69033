"""Does the best value of a parameter lie beyond the range searched? (playbook: bad search space boundaries)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.finding import Finding, Widen, not_judged
from analysis.checks.ranges import ends, value_at

ID = "boundary"
FEWEST = 8  # trials that a parabola and its noise can be fitted to
LEVEL = 0.05
EDGE = 0.10  # of the sampling scale: a best value this close to an end may lie beyond it
BEYOND = 0.30  # of the sampling scale: how much further a widened range goes
DEADLY = 0.20  # of the sampling scale: an end this close to which runs die is no end to go beyond


def boundary(evidence: Evidence) -> list[Finding]:
    """Warn where the metric improves right up to an end of a range that is no limit and near which no run died."""
    trials = evidence.alive
    judged = {path: trials[trials[path].notna()] for path in evidence.ranges if path in trials}
    judged = {path: own for path, own in judged.items() if len(own) >= FEWEST and own[path].nunique() > 2}
    if not judged:
        few = f"no range was searched by {FEWEST} trials that learned something"
        return [not_judged(ID, few)] if evidence.ranges else []
    sign = 1.0 if evidence.metric.goal == "min" else -1.0
    found = []
    for path, own in judged.items():
        domain = evidence.ranges[path]
        places = np.array([domain.position(value) for value in own[path]])
        inside = (places >= 0) & (places <= 1)  # a start may lie outside
        side = falling_side(places[inside], sign * own[evidence.metric.name].to_numpy(float)[inside], len(judged))
        if side is None or ends(domain)[side] in evidence.limits.get(path, ()) or _deadly(evidence, path, side):
            continue
        low, high = ends(domain)
        remedy = (
            Widen(path, low, value_at(domain, 1 + BEYOND)) if side else Widen(path, value_at(domain, -BEYOND), high)
        )
        end = f"{(low, high)[side]:.3g}"
        found.append(
            Finding(
                ID,
                "warn",
                f"{evidence.metric.name} improves along {path} right up to {end}, the {('lower', 'upper')[side]} end",
                f"the best value may lie outside: {remedy.words}",
                remedy,
            )
        )
    names = ", ".join(judged)
    return found or [Finding(ID, "ok", f"no sign that the best value lies beyond an end ({names})")]


def falling_side(places: NDArray[np.float64], losses: NDArray[np.float64], tests: int) -> int | None:
    """Return the end (0 low, 1 high) at which `losses` are lowest and still falling; None if neither is.

    A straight line must fall towards it (t-test, two-sided 5 % shared out over the `tests` parameters), and the fitted
    parabola must have its minimum within `EDGE` of that end, beyond it, or nowhere.
    """
    if len(places) < FEWEST:
        return None
    line = stats.linregress(places, losses)
    if not line.pvalue < LEVEL / tests:
        return None
    side = int(line.slope < 0)
    curve, slope, _ = np.polyfit(places, losses, 2)
    lowest = -slope / (2 * curve) if curve > 0 else float(side)
    inside = EDGE < lowest < 1 - EDGE or (lowest <= EDGE if side else lowest >= 1 - EDGE)
    return None if inside else side


def _deadly(evidence: Evidence, path: str, side: int) -> bool:
    bad = evidence.ended
    domain = evidence.ranges[path]
    places = np.array([domain.position(value) for value in bad.loc[bad["infeasible"], path].dropna()])
    return bool(np.any(places > 1 - DEADLY if side else places < DEADLY))
