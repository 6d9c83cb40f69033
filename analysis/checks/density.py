"""Would half the trials have found as good a config? (playbook: not enough points sampled; bootstrap of best-of-n)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.checks.evidence import Evidence
from storage.finding import Finding, MoreTrials, not_judged

ID = "density"
FEWEST = 4  # trials of which a half says something
SPREADS = 1.25  # seed SDs that the second half of the trials may still bring


def density(evidence: Evidence) -> list[Finding]:
    """Warn if the best of half the trials is expected to be more than 1.25 SDs of a seed worse than the best of all."""
    trials = evidence.ended
    trials = trials[trials["status"].isin(["finished", "stopped"])]
    if not evidence.ranges:
        return [Finding(ID, "ok", f"{len(trials)} trials: no range was searched")]
    thin = [arm for arm in evidence.arms if (trials["arm"] == arm).sum() < 2] if len(evidence.arms) > 1 else []
    if thin and len(trials) >= 2 * len(evidence.arms):
        remedy = MoreTrials(2, thin[0])
        return [Finding(ID, "warn", f"fewer than two trials with a result in {', '.join(thin)}", remedy.words, remedy)]
    if len(trials) < FEWEST:
        return [not_judged(ID, f"{len(trials)} trials with a result")]
    spread = seed_spread([evidence.losses(evidence.learned(role)) for role in sorted(set(evidence.runs["arm"]))])
    if spread is None:
        return [not_judged(ID, "no config was trained under three seeds, so what a seed changes is unknown")]
    losses = evidence.losses(trials)
    again = evidence.losses(evidence.learned("selected"))
    if len(again):  # what new seeds say of the config to use, without the luck of its trial
        losses[(trials["trial"] == evidence.used).to_numpy()] = again.mean()
    gap, name = lost_by_half(losses), evidence.metric.name
    worse, alone = (f"{value:.1%}" if name.endswith("loss") else f"{value:.4f}" for value in (gap, spread))
    said = f"half of the {len(trials)} trials would have found a {name} worse by {worse} on average"
    said += f"; seeds alone change it by {alone} (SD)"
    if gap <= SPREADS * spread:
        return [Finding(ID, "ok", said)]
    remedy = MoreTrials(2)
    return [Finding(ID, "warn", said, f"the best stands alone, more may lie near it: {remedy.words}", remedy)]


def lost_by_half(losses: NDArray[np.float64]) -> float:
    """Return how much worse the best of a random half is than the best of all `losses`, in the mean over all halves.

    Exact: the i-th best is the best of a half of m out of n with probability C(n - 1 - i, m - 1) / C(n, m).
    """
    ordered, half = np.sort(losses), len(losses) // 2
    n = len(ordered)
    chances = [math.comb(n - 1 - i, half - 1) / math.comb(n, half) for i in range(n - half + 1)]
    return float(np.dot(chances, ordered[: len(chances)]) - ordered[0])


def seed_spread(runs: list[NDArray[np.float64]]) -> float | None:
    """Return the SD between seeds, pooled over configs; None unless one was trained under three seeds."""
    known = [values for values in runs if len(values) >= 2]
    if not any(len(values) >= 3 for values in known):
        return None
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in known)
    return math.sqrt(squares / sum(len(values) - 1 for values in known))
