"""Do new seeds reach what the selected trial reached? (playbook: characterise the best trial before adopting)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.finding import Finding, Remedy, WarmUp, not_judged
from analysis.checks.unstable_edge import RATE
from analysis.intervals import wilson

ID = "retraining"
START = 0  # the trial that is the start, which nobody has chosen for its value
LEVEL = 0.05


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
    values, name = evidence.values("selected"), evidence.metric.name
    died = len(runs) - len(values)
    sign = 1.0 if evidence.metric.goal == "min" else -1.0
    typical = float(alive[name].median())
    own = alive.loc[alive["trial"] == evidence.used, name]
    said = f"the selected trial reached {own.iloc[0]:.4f} {name}" if len(own) else "the selected config"
    if len(values):
        spread = f" (SD {values.std(ddof=1):.4f})" if len(values) > 1 else ""
        said += f"; new seeds {values.mean():.4f}{spread} in the mean of {len(values)}"
    if died:
        low, high = wilson(died / len(runs), len(runs))
        said += f"; it died under {died} of {len(runs)} (95 % {low:.0%} to {high:.0%})"
        remedy: Remedy | None = WarmUp() if RATE in evidence.ranges else None
        advice = f"unstable: {remedy.words}" if remedy else "unstable: prefer another config"
        return [Finding(ID, "warn", said, advice, remedy)]
    if evidence.used != START and worse_than(sign * values, sign * typical):
        lucky = "a lucky trial: judge by the new seeds, or search again"
        return [Finding(ID, "warn", f"{said}; the median trial reached {typical:.4f}", lucky)]
    return [Finding(ID, "ok", said)]


def worse_than(losses: NDArray[np.float64], typical: float) -> bool:
    """Return whether the mean of `losses` is surely above `typical` (t-test, one-sided 5 %)."""
    if len(losses) < 2:
        return False
    error = max(float(stats.sem(losses)), 1e-12)
    return bool((losses.mean() - typical) / error > stats.t.ppf(1 - LEVEL, len(losses) - 1))
