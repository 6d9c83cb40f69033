"""Does validation loss rise again? (playbook: problematic overfitting)."""

from __future__ import annotations

from analysis.checks.evidence import Evidence
from analysis.checks.trend import SHORTEST, rise
from storage.finding import Finding, Regularise, not_judged

ID = "overfitting"
RISE = 0.10  # relative, from where it begins to the last epoch
BEST = 3  # trials of an arm, taken together


def overfitting(evidence: Evidence) -> list[Finding]:
    """Warn where the validation loss of an arm's best trials rises to the end, surely, and by 10 % at least."""
    alive = evidence.alive
    groups = {
        str(arm): evidence.curves(own.head(BEST)["trial"], "val_loss") for arm, own in alive.groupby("arm", sort=False)
    }
    groups = {arm: curves for arm, curves in groups.items() if curves.shape[1] >= SHORTEST}
    if not groups:
        return [not_judged(ID, f"no trial that learned something has {SHORTEST} epochs")]
    lines = {arm: rise(curves, tests=len(groups)) for arm, curves in groups.items()}
    rising = [
        f"{arm}: by {line.change:.0%} over the last {line.epochs} epochs"
        for arm, line in lines.items()
        if line and line.change > RISE
    ]
    if not rising:
        return [Finding(ID, "ok", f"the validation loss of no arm's best trials surely rises by {RISE:.0%}")]
    remedy = Regularise()
    said = "validation loss rises in the best trials of " + "; ".join(rising)
    return [Finding(ID, "warn", said, remedy.words, remedy)]
