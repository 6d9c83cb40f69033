"""Is the best epoch a matter of luck? (playbook: high step-to-step variance late in training)."""

from __future__ import annotations

from analysis.checks.evidence import TOP, Evidence
from analysis.checks.trend import late, trend
from storage.finding import Anneal, Finding, not_judged

ID = "late variance"
LATE = 0.40  # of the epochs
NOISY = 0.15  # relative SD of an epoch's validation loss round its trend (ours)
LEVEL = 0.99


def late_variance(evidence: Evidence) -> list[Finding]:
    """Warn if the validation loss of the leading trials surely jumps by more than 15 % from epoch to epoch, late."""
    curves = evidence.curves(evidence.alive.head(TOP)["trial"], "val_loss")
    line = trend(curves, late(curves.shape[1], LATE)) if curves.size else None
    if line is None:
        return [not_judged(ID, "too few epochs")]
    said = f"the validation loss of the leading {len(curves)} trials jumps by {line.noise:.1%} (SD) from epoch to epoch"
    said += f" in the last {line.epochs}"
    if line.least_noise(LEVEL) <= NOISY:
        return [Finding(ID, "ok", said)]
    remedy = Anneal()
    return [Finding(ID, "warn", said, f"{remedy.words}; more validation images, or a larger batch", remedy)]
