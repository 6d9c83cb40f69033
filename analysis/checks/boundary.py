"""Does the best value of a parameter lie beyond the range searched? (playbook: bad search space boundaries)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.ranges import ends, value_at
from search_spaces.domain import Range
from storage.finding import Finding, Widen, not_judged

ID = "boundary"
FEWEST = 8  # trials that a parabola and its noise can be fitted to
LEVEL = 0.05
OUTER_LEVEL = 0.04  # below 5 %, which it is when the best value lies just where the outer part is flat
EDGE = 0.20  # of the sampling scale: a fitted best value this close to an end may lie beyond it
OUTER = 0.60  # of the sampling scale: the part that tells how the metric behaves towards an end
FEWEST_OUTER = 4  # trials in it
BEYOND = 0.30  # of the sampling scale: how much further a widened range goes
AT_ONCE = 0.10  # of the sampling scale: a limit that is no further beyond is gone to at once
DEADLY = 0.25  # of the sampling scale: an end this close to which runs die is no end to go beyond


def boundary(evidence: Evidence) -> list[Finding]:
    """Warn where the metric improves right up to an end of a range that is no limit and near which no run died."""
    trials = evidence.alive
    judged = {path: trials[trials[path].notna()] for path in evidence.ranges if path in trials}
    judged = {path: own for path, own in judged.items() if len(own) >= FEWEST and own[path].nunique() > 2}
    if not judged:
        few = f"no range was searched by {FEWEST} trials that learned something"
        return [not_judged(ID, few)] if evidence.ranges else []
    found = []
    for path, own in judged.items():
        domain = evidence.ranges[path]
        places = np.array([domain.position(value) for value in own[path]])
        inside = (places >= 0) & (places <= 1)  # a start may lie outside
        side = falling_side(places[inside], evidence.losses(own)[inside], len(judged))
        if side is None or ends(domain)[side] in evidence.limits.get(path, ()) or _deadly(evidence, path, side):
            continue
        low, high = ends(domain)
        name = f"{(low, high)[side]:.3g}, the {('lower', 'upper')[side]} end"
        end = _beyond(domain, side, evidence.limits.get(path, ()))
        remedy = Widen(path, low, end) if side else Widen(path, end, high)
        found.append(
            Finding(
                ID,
                "warn",
                f"{evidence.metric.name} improves along {path} right up to {name}",
                f"the best value may lie outside: {remedy.words}",
                remedy,
            )
        )
    names = ", ".join(judged)
    return found or [Finding(ID, "ok", f"no sign that the best value lies beyond an end ({names})")]


def falling_side(places: NDArray[np.float64], losses: NDArray[np.float64], tests: int) -> int | None:
    """Return the end (0 low, 1 high) towards which `losses` fall until it is reached; None if towards neither.

    Three things must hold: a straight line falls towards it (t-test, two-sided 5 % shared out over the `tests`
    parameters); one through the outer `OUTER` of the range does (one-sided 4 %), since far from the best value a loss
    falls whatever comes; and the fitted parabola is lowest within `EDGE` of that end, beyond it, or nowhere.
    """
    if len(places) < FEWEST:
        return None
    line = stats.linregress(places, losses)
    if not line.pvalue < LEVEL / tests:
        return None
    side = int(line.slope < 0)
    inwards = places if side else 1 - places  # the end is at 1
    outer = inwards > 1 - OUTER
    if outer.sum() < FEWEST_OUTER or np.ptp(inwards[outer]) == 0:
        return None
    if stats.linregress(inwards[outer], losses[outer], alternative="less").pvalue >= OUTER_LEVEL:
        return None
    curve, slope, _ = np.polyfit(inwards, losses, 2)
    return side if curve <= 0 or -slope / (2 * curve) >= 1 - EDGE else None


def _beyond(domain: Range, side: int, limits: Sequence[float]) -> float:
    """Return where to search to beyond an end: to the parameter's limit there, if that is not much further."""
    for limit in limits:
        place = domain.position(limit)
        if 0 < (place - 1 if side else -place) < BEYOND + AT_ONCE:
            return limit
    return value_at(domain, 1 + BEYOND if side else -BEYOND)


def _deadly(evidence: Evidence, path: str, side: int) -> bool:
    """Whether a run died at that end: a trial, or the config to use under a new seed."""
    trials, domain = evidence.ended, evidence.ranges[path]
    runs = evidence.new_seeds("selected")
    died = bool((runs["dead"] | (runs["status"] == "infeasible")).any())
    bad = trials["infeasible"] | (died & (trials["trial"] == evidence.used))
    places = np.array([domain.position(value) for value in trials.loc[bad, path].dropna()])
    return bool(np.any(places > 1 - DEADLY if side else places < DEADLY))
