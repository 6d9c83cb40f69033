"""Does training loss rise? (playbook: training loss increasing, usually a bug in the pipeline)."""

from __future__ import annotations

from analysis.checks.evidence import TOP, Evidence
from analysis.checks.trend import SHORTEST, rise
from storage.finding import Finding, not_judged

ID = "training loss"
RISE = 0.10  # relative, from where it begins to the last epoch


def training_loss(evidence: Evidence) -> list[Finding]:
    """Warn if the training loss of the leading trials rises to the end, surely, and by 10 % at least."""
    curves = evidence.curves(evidence.alive.head(TOP)["trial"], "train_loss")
    if curves.shape[1] < SHORTEST:
        return [not_judged(ID, f"no trial that learned something has {SHORTEST} epochs")]
    line = rise(curves, tests=1)
    if line is None or line.change <= RISE:
        return [Finding(ID, "ok", f"of the leading {len(curves)} trials it does not rise")]
    said = f"of the leading {len(curves)} trials it rises by {line.change:.0%} over the last {line.epochs} epochs"
    return [Finding(ID, "warn", said, "look for a bug in the data or the loss first, then for too high a rate")]
