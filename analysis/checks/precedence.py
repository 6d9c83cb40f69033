"""Which advice holds where two findings ask for opposite things: the one place that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from storage.finding import (
    SEVERITIES,
    Clip,
    Finding,
    Longer,
    Narrow,
    Regularise,
    Remedy,
    Shorter,
    WarmUp,
    Widen,
)

SAVINGS = ("note", "ok")  # severities whose remedy saves something, and mends nothing
_RATE = "optimiser.lr"


def contradict(one: Remedy, other: Remedy) -> bool:
    """Return whether two remedies pull one thing in two directions, or cure one thing twice.

    Instability has one cure at a time: lower rates, a warm-up, or clipping. A range is changed in one way. Training is
    made longer or shorter; not longer while it overfits, and not annealed while it is to be judged at a constant rate.
    """
    return _against(one, other) or _against(other, one)


def _against(one: Remedy, other: Remedy) -> bool:
    match one, other:
        case (Widen() | Narrow(), Widen() | Narrow()):
            return one.path == other.path and one != other
        case (WarmUp(), Clip()):
            return True
        case (WarmUp() | Clip(), Widen() | Narrow()):
            return other.path == _RATE
        case (Longer(), Shorter() | Regularise()):
            return True
        case (Longer(), Longer()) | (Shorter(), Shorter()):
            return one != other
        case _:
            return False


def settled(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, worst first, without remedies that contradict an earlier finding's; faults before savings.

    Such a finding keeps its severity and evidence; its advice becomes which finding comes first.
    """
    kept: list[Finding] = []
    result: dict[int, Finding] = {}
    for place in sorted(range(len(findings)), key=lambda place: findings[place].severity in SAVINGS):
        found = findings[place]
        remedy = found.remedy
        before = next((k for k in kept if remedy and k.remedy and contradict(k.remedy, remedy)), None)
        if before is not None:
            found = replace(found, remedy=None, advice=f"settle {before.id} first")
        elif remedy is not None:
            kept.append(found)
        result[place] = found
    in_order = [result[place] for place in range(len(findings))]
    return sorted(in_order, key=lambda finding: SEVERITIES.index(finding.severity))
