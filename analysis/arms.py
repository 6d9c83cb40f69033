"""The stage's question answered by new seeds: each arm by its candidate's runs, beside those of the leading arm's.

Single trials answer nothing: the best of more trials, or of luckier ones, wins. So an arm stands for its best candidate
of the race, and two arms are compared under the seeds that both were trained with (playbook: isolation plot). The race
drops candidates early, so an arm that is far behind has few seeds, and is then not told apart, whatever the gap.
"""

from __future__ import annotations

from statistics import fmean

import numpy as np

from analysis.candidates import Contest, contest, is_raced
from analysis.checks.separation import FEWEST, told_apart
from analysis.procedure import START
from storage.folder import StudyRecord
from storage.report_json import ArmAnswer


def arm_answers(study: StudyRecord) -> tuple[ArmAnswer, ...]:
    """Return what new seeds say of every arm, the leading one first; nothing for a study without a race, or one arm."""
    if not is_raced(study) or study.finished.empty or len(study.manifest.arms) < 2:
        return ()
    found = contest(study)
    leaders = _leaders(found)
    answers = [_answer(study, found, arm, leaders) for arm in leaders]
    rest = [arm for arm in study.manifest.arms if arm not in leaders]
    return (*answers, *(ArmAnswer(arm, sum(own == arm for own in found.arms.values())) for arm in rest))


def _leaders(found: Contest) -> dict[str, int]:
    """The best candidate of each arm that has runs under new seeds, the race's winner first; the start for its own."""
    trained = {run.trial for run in found.known}
    leaders: dict[str, int] = {}
    for trial in found.ranking():
        if trial in trained:
            leaders.setdefault(found.arms[trial], trial)
    if found.start_arm and START in trained:
        leaders.setdefault(found.start_arm, START)
    return leaders


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
