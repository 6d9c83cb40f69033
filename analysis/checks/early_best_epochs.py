"""Are trials best at once? (playbook: best always in the first 10 % of training: a rate far too high)."""

from __future__ import annotations

from analysis.checks.evidence import TOP, Evidence
from analysis.checks.ranges import ends
from analysis.checks.unstable_edge import RATE
from storage.finding import Finding, Narrow, not_judged

ID = "early best epochs"
EARLY = 0.10  # of all epochs (playbook)
LONG = 10  # epochs that have a first tenth


def early_best_epochs(evidence: Evidence) -> list[Finding]:
    """Warn if the median best epoch of the leading trials lies in the first tenth."""
    top = evidence.alive.head(TOP)
    if top.empty or int(top["epochs"].max()) < LONG:
        return [not_judged(ID, f"fewer than {LONG} epochs were trained")]
    listed = ", ".join(str(int(epoch)) for epoch in top["best_epoch"])
    said = f"best epochs of the leading {len(top)} trials, of {int(top['epochs'].max())}: {listed}"
    if float((top["best_epoch"] / top["epochs"]).median()) > EARLY:
        return [Finding(ID, "ok", said)]
    domain = evidence.ranges.get(RATE)
    if domain is None:
        return [Finding(ID, "warn", said, "the rate may be far too high: start from a lower one")]
    remedy = Narrow(RATE, ends(domain)[0], float(top[RATE].min()))
    return [Finding(ID, "warn", said, f"the rates may be far too high: {remedy.words}", remedy)]
