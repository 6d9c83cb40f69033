"""Do new seeds reach what the selected trial reached? (playbook: characterise the best trial before adopting)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.unstable_edge import RATE
from analysis.decision import deaths_among
from storage.finding import Finding, MoreTrials, Remedy, not_judged

ID = "retraining"
START = 0  # the trial that is the start, which nobody has chosen for its value
LEVEL = 0.05
MEDIAN_ERROR = 1.2533  # of a normal sample, in standard errors of its mean


def retraining(evidence: Evidence) -> list[Finding]:
    """Count the selected config's deaths under new seeds, and say how far its value fell; warn of either.

    A fall is expected, for the best of many trials is a lucky one. It is too far where new seeds are surely worse than
    the median trial.
    """
    runs = evidence.new_seeds("selected")
    alive = evidence.alive
    if not evidence.ranges and len(evidence.arms) < 2:
        return []
    if len(runs) < 2 or alive.empty:
        return [not_judged(ID, "the selected config was not trained under new seeds")]
    learned, name = evidence.learned("selected"), evidence.metric.name
    values = learned[name].to_numpy(float)
    died = len(runs) - len(values)
    typical = float(alive[name].median())
    own = alive.loc[alive["trial"] == evidence.used, name]
    said = f"the selected trial reached {own.iloc[0]:.4f} {name}" if len(own) else "the selected config"
    if len(values):
        spread = f" (SD {values.std(ddof=1):.4f})" if len(values) > 1 else ""
        said += f"; new seeds {values.mean():.4f}{spread} in the mean of {len(values)}"
    remedy: Remedy | None
    if died:
        share = deaths_among(died, len(runs))
        said += f"; it died under {died} of {len(runs)} (95 % {share.low:.0%} to {share.high:.0%})"
        remedy = evidence.steadier
        if RATE not in evidence.ranges or remedy is None:
            return [Finding(ID, "warn", said, "unstable: prefer another config", MoreTrials(2))]
        return [Finding(ID, "warn", said, f"unstable: {remedy.words}", remedy)]
    if evidence.used != START and worse_than(evidence.losses(learned), evidence.losses(alive)):
        remedy = MoreTrials(2)
        lucky = f"a lucky trial: judge by the new seeds, or {remedy.words}"
        return [Finding(ID, "warn", f"{said}; the median trial reached {typical:.4f}", lucky, remedy)]
    return [Finding(ID, "ok", said)]


def worse_than(losses: NDArray[np.float64], trials: NDArray[np.float64]) -> bool:
    """Return whether the mean of `losses` is surely above the median of `trials` (t-test, one-sided 5 %).

    The median of n normal values has the standard error 1.2533 SD / sqrt(n), which is part of the doubt.
    """
    if len(losses) < 2 or len(trials) < 2:
        return False
    error = math.hypot(float(stats.sem(losses)), MEDIAN_ERROR * float(stats.sem(trials)))
    gap = float(losses.mean() - np.median(trials))
    return gap > float(stats.t.ppf(1 - LEVEL, len(losses) - 1)) * error
