"""The stage's question answered by new seeds: each arm by the runs of what stands for it, beside the leading arm's.

Single trials answer nothing: the best of more trials, or of luckier ones, wins. So for an arm stands its best candidate
of the race, or the start, where this is of the arm and better under new seeds. Two arms are compared under the seeds
that both were trained with (playbook: isolation plot). The race drops candidates early, so an arm that is far behind
has few seeds, and is then not told apart, whatever the gap.
"""

from __future__ import annotations

from statistics import fmean

import numpy as np

from analysis.candidates import Contest, contest, is_raced
from analysis.checks.separation import FEWEST, told_apart
from analysis.procedure import START, Settled
from storage.folder import StudyRecord
from storage.report_json import ArmAnswer


def arm_answers(study: StudyRecord) -> tuple[ArmAnswer, ...]:
    """Return what new seeds say of every arm, the leading one first; nothing for a study without a race, or one arm."""
    if not is_raced(study) or study.finished.empty or len(study.manifest.arms) < 2:
        return ()
    found = contest(study)
    leaders = _leaders(found, found.start_arm or study.manifest.arms[0])
    answers = [_answer(study, found, arm, leaders) for arm in leaders]
    rest = [arm for arm in study.manifest.arms if arm not in leaders]
    return (*answers, *(ArmAnswer(arm, sum(own == arm for own in found.arms.values())) for arm in rest))


def _leaders(found: Contest, own: str) -> dict[str, int]:
    """What stands for each arm that has runs under new seeds; the arm of what is used first, else of the race's winner.

    `own` is the start's arm.
    """
    trained, answer = {run.trial for run in found.known}, found.next()
    arms = {**found.arms, START: own}
    used = [answer.use] if isinstance(answer, Settled) else []
    leaders: dict[str, int] = {}
    for trial in (*used, *found.ranking()):
        if trial in trained:
            leaders.setdefault(arms[trial], trial)
    if START in trained and _better(found, START, leaders.get(own)):
        leaders[own] = START
    return leaders


def _better(found: Contest, one: int, other: int | None) -> bool:
    """Whether the mean of one under new seeds is better than the other's: under their common ones, if there are any."""
    if other is None:
        return True
    ours, theirs = _by_seed(found, one), _by_seed(found, other)
    common = set(ours) & set(theirs)
    means = [fmean(value for seed, value in own.items() if seed in common or not common) for own in (ours, theirs)]
    return found.procedure.metric.gain(means[0], means[1]) > 0


def _answer(study: StudyRecord, found: Contest, arm: str, leaders: dict[str, int]) -> ArmAnswer:
    own = _by_seed(found, leaders[arm])
    first = next(iter(leaders))
    answer = ArmAnswer(
        arm,
        trials=sum(other == arm for other in found.arms.values()),
        candidate=leaders[arm],
        mean=fmean(own.values()),
        seeds=len(own),
    )
    if arm == first:
        return answer
    leading = _by_seed(found, leaders[first])
    common = sorted(set(own) & set(leading))
    if len(common) < FEWEST:
        return answer
    ours, theirs = (np.array([values[seed] for seed in common]) for values in (own, leading))
    apart, _, half = told_apart(ours, theirs)
    behind = study.manifest.metric.gain(float(theirs.mean()), float(ours.mean()))
    return ArmAnswer(**{**vars(answer), "behind": behind, "half": half, "common": len(common), "apart": apart})


def _by_seed(found: Contest, trial: int) -> dict[int, float]:
    chance = found.procedure.chance
    return {run.seed: outcome.worth(chance) for run, outcome in found.known.items() if run.trial == trial}
