"""Did anything learn? (playbook: choosing the initial configuration, "reasonable" performance)."""

from __future__ import annotations

import math

from analysis.checks.evidence import Evidence
from analysis.selection import ranked
from storage.finding import Finding, Longer

ID = "chance"
UNLEARNED = "nothing was learned yet: train longer, give more images, or check the labels"
ERRORS = 3.0  # binomial standard errors above chance; three, not two, since pairs share chips


def chance(evidence: Evidence) -> list[Finding]:
    """Hold the best trial's validation accuracy against always giving the commoner answer.

    Where the user's images come in groups, a group is one look: two groups that happen to look alike make all their
    pairs right or wrong together.
    """
    if evidence.pairs is None:
        return []
    finished = evidence.trials[evidence.trials["status"] == "finished"]
    if finished.empty:
        return []
    best = ranked(finished, evidence.metric).iloc[0]
    pairs, accuracy = evidence.pairs, float(best["val_accuracy"])
    looks = pairs.count if pairs.groups is None else min(pairs.count, pairs.groups)
    said = f"best trial: {accuracy:.1%} of {pairs.count} validation pairs right, guessing gives {pairs.chance:.1%}"
    said += "" if pairs.groups is None else f"; they are of {pairs.groups} groups"
    if float(best["val_jaccard"]) == 0:
        return [Finding(ID, "fail", f"{said}; it calls no similar pair similar", UNLEARNED, Longer(2))]
    needed = least_accuracy(pairs.chance, looks)
    if accuracy > pairs.chance and needed >= 1:
        few, more = ("pairs", "images") if pairs.groups is None else ("groups", "groups (patients, scenes, ...)")
        return [
            Finding(ID, "note", f"not judged: {said}: too few {few} to tell learning from luck", f"give more {more}")
        ]
    if accuracy > needed:
        return [Finding(ID, "ok", said)]
    return [Finding(ID, "fail", said, UNLEARNED, Longer(2))]


def least_accuracy(chance: float, looks: int) -> float:
    """Return the accuracy that `looks` independent looks must exceed to be better than `chance`; may be above 1."""
    return chance + ERRORS * math.sqrt(chance * (1 - chance) / max(looks, 1))
