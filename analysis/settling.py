"""A gain that was seen and not proven: how many seeds would prove it, by which command, in how many minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from analysis.candidates import contest, settled
from analysis.commands import once_more, typed
from analysis.decision import Decision, Rule, detectable, looks_up_to
from analysis.procedure import START, plan, rounds
from storage.finding import Finding
from storage.folder import StudyRecord
from storage.report_json import Settling

MOST = 100  # seeds, beyond which nobody would go on
STEP = 1.1  # how many times as many are tried next


def settling(study: StudyRecord, findings: Sequence[Finding] = ()) -> Settling | None:
    """Return what would prove a gain of the size that was seen in 80 % of studies; None where there is none to prove.

    It is a study of its own, under another seed: resumed, this one would count twice what it has seen. A gain among
    configs that only guess, by the findings, is not worth one: however sure, it would not be adopted.
    """
    if any(finding.id == "chance" and finding.severity == "fail" for finding in findings):
        return None
    answer, manifest = settled(study), study.manifest
    if answer is None or answer.proven or not answer.decisions:
        return None
    decided = contest(study).procedure.decisions
    own = next(place for place, (trial, _) in enumerate(answer.decisions) if answer.use in (trial, START))
    repeats = seeds_to_prove(answer.decisions[own][1], decided[own])
    if repeats is None:
        return None
    command = replace(once_more(study, adopted=False), repeats=repeats, seed=manifest.seed + 1)
    procedure = plan(manifest.first_trials, len(manifest.arms), manifest.metric, 0.0, repeats)
    runs = [manifest.first_trials, *rounds(procedure)]
    minutes = manifest.pace.seconds(runs) / 60 if manifest.pace else None
    return Settling(repeats, minutes, typed(study, command, adopted=False))


def seeds_to_prove(decision: Decision, rule: Rule) -> int | None:
    """Return how many seeds prove a gain as large as the decision's in 80 % of studies; None where too many would.

    The error of a mean falls with the root of its seeds, which is where to begin; more looks cost a little of it.
    """
    if decision.gain is None or decision.gain <= 0 or decision.detectable is None or decision.noise is None:
        return None
    seeds = max(rule.most, math.ceil(rule.most * (decision.detectable / decision.gain) ** 2))
    while seeds <= MOST:
        if detectable(Rule(looks_up_to(seeds), rule.error), decision.noise) <= decision.gain:
            return seeds
        seeds = math.ceil(STEP * seeds)
    return None
