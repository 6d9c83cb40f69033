"""How many trials and seeds fit into the minutes that a user gives, and how long a planned study will take.

Training is nearly all of a study's time, and a run of the same length takes the same time: so the time is counted in
rounds of runs that are trained at once. How many fresh seeds the decision takes is not known beforehand. So with the
fewest that it may take a study is planned to end a little early, and with the most a little late.

A chain splits its minutes among the stages that are left, before each of them: what one took too much or left over is
the later ones' loss or gain, and the last searches nothing, so it ends on time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from analysis.decision import FIRST_LOOK, looks_up_to
from analysis.procedure import plan, rounds
from search_spaces.domain import IntRange
from search_spaces.study import Study
from storage.study_json import Pace
from trainables.config import of_verifier

EARLIEST, LATEST = 0.85, 1.15  # parts of the minutes that a study takes with the fewest and with the most seeds
BEGINNING, END = 7.0, 5.0  # seconds before the first epoch; and for test split, figures and page
MOST = 2000  # trials, and repeats of a stage that searches nothing
FEWEST = 2  # repeats of a stage that searches nothing: of one there is no spread
MEMBERS = "ensemble.members"


def seconds(pace: Pace, runs: Sequence[int]) -> float:
    """Return how long rounds of so many runs take, each waiting for the one before."""
    return pace.run * sum(math.ceil(count / pace.at_once) for count in runs)


def takes(study: Study, done: int, elapsed: float, pace: Pace, fresh: int | None = None) -> float:
    """Return how many seconds a study takes in all, `elapsed` of them and `done` runs being behind it.

    `done` are trials, or where nothing is searched runs under new seeds. `fresh`: how many fresh seeds decide, the most
    that may if None.
    """
    budget = study.budget
    if study.stage.varied:
        procedure = plan(budget.trials, len(study.arms()), study.stage.metric, 0.0, budget.repeats)
        left = [budget.trials - done, *rounds(procedure, fresh)]
    else:
        left = [_repeated(study) - done]
    return elapsed + seconds(pace, left) + END


def fitted(study: Study, done: int, elapsed: float, pace: Pace) -> Study:
    """Return the study with as many trials and repeats as fit into its minutes; for `done` and `elapsed` see `takes`.

    Where something is searched, its own repeats are the most that are planned. Where nothing fits, no trial is added,
    and the repeats are the fewest that can decide.
    """
    budget = study.budget
    assert budget.minutes is not None
    whole = 60 * budget.minutes

    def of_trials(trials: int) -> float:
        return takes(_with(study, trials=trials), done, elapsed, pace, FIRST_LOOK)

    def of_repeats(repeats: int) -> float:
        return takes(_with(study, repeats=repeats), done, elapsed, pace)

    if not study.stage.varied:
        return _with(study, repeats=FEWEST + bisect_right(range(FEWEST + 1, MOST + 1), whole, key=of_repeats))
    trials = done + bisect_right(range(done + 1, MOST + 1), EARLIEST * whole, key=of_trials)
    study = _with(study, trials=trials)
    looks = [repeats for repeats in looks_up_to(budget.repeats) if of_repeats(repeats) <= LATEST * whole]
    return _with(study, repeats=max(looks, default=min(FIRST_LOOK, budget.repeats)))


def shortened(study: Study, elapsed: float, at_once: int, start: float, candidates: Sequence[float]) -> Study:
    """Return a study that has searched with fewer repeats, where its candidates are slower than runs were on average.

    `start` and `candidates`, best first, are the seconds of a run of each. The best and the next are expected to meet
    the start, as they would if the race changed nothing.
    """
    budget = study.budget
    assert budget.minutes is not None
    race = plan(budget.trials, len(study.arms()), study.stage.metric, 0.0, budget.repeats).race
    raced = sum(sum(candidates[:left]) for left in race.left)
    one_look_each = start + sum(candidates[:2])
    left = (LATEST * 60 * budget.minutes - END - elapsed) * at_once - raced
    looks = [repeats for repeats in looks_up_to(budget.repeats) if repeats * one_look_each <= left]
    return _with(study, repeats=max(looks, default=min(FIRST_LOOK, budget.repeats)))


def estimated(study: Study, pace: Pace) -> tuple[float, float]:
    """Return how many seconds a study takes: with the fewest seeds that can decide, and with the most.

    Rounds after the first may not be needed, or have as many trials each as the first.
    """
    if not study.stage.varied:
        whole = BEGINNING + seconds(pace, [study.budget.trials, _repeated(study)]) + END
        return whole, whole
    longest = _with(study, trials=study.budget.rounds * study.budget.trials)
    return takes(study, 0, BEGINNING, pace, FIRST_LOOK), takes(longest, 0, BEGINNING, pace)


def shares(studies: Sequence[Study], minutes: float) -> list[float]:
    """Split minutes among studies, in parts as the epochs of single networks that their own budgets train."""
    work = [
        fmean(estimated(study, Pace(study.budget.epochs * members(study), 1))) - BEGINNING - END for study in studies
    ]
    return [minutes * own / sum(work) for own in work]


def members(study: Study) -> float:
    """Return how many networks a trial trains, on average over the arms."""
    counts = []
    for arm in study.arms():
        searched = next((p.domain for p in arm.nuisance if p.path == MEMBERS), None)
        if isinstance(searched, IntRange):
            counts.append((searched.low + searched.high) / 2)
        else:
            counts.append(float(arm.values.get(MEMBERS, of_verifier(study.start).ensemble.members)))
    return fmean(counts)


def _with(study: Study, **budget: int) -> Study:
    return replace(study, budget=replace(study.budget, **budget))


def _repeated(study: Study) -> int:
    """How many runs under new seeds a stage has that searches nothing."""
    return sum(study.repeated(study.finalists(study.incumbent().config)).values())
