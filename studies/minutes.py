"""How many trials and seeds fit into the minutes that a user gives, and how long a planned study will take.

Training is nearly all of a study's time, and a run of the same length takes the same time: so the time is counted in
rounds of runs that are trained at once. How many fresh seeds the decision takes is not known beforehand. So with the
fewest that it may take a study is planned to end a little early, and with the most a little late.

A chain splits its minutes among the stages that are left, before each of them: what one took too much or left over is
the later ones' loss or gain, and the last searches nothing, so it ends on time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
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


def takes(study: Study, done: int, elapsed: float, pace: Pace, fresh: int | None = None) -> float:
    """Return how many seconds a search takes in all, `elapsed` of them and `done` trials being behind it.

    `fresh`: how many fresh seeds decide, the most that may if None.
    """
    budget = study.budget
    procedure = plan(budget.trials, len(study.arms()), study.stage.metric, 0.0, budget.repeats)
    return elapsed + pace.seconds([budget.trials - done, *rounds(procedure, fresh)]) + END


def fitted(study: Study, done: int, elapsed: float, pace: Pace) -> Study:
    """Return a search with as many trials and repeats as fit into its minutes; for `done` and `elapsed` see `takes`.

    Its own repeats are the most that are planned. Where nothing fits, no trial is added, and the repeats are the fewest
    that can decide.
    """
    whole = _whole(study)

    def of_trials(trials: int) -> float:
        return takes(_with(study, trials=trials), done, elapsed, pace, FIRST_LOOK)

    def of_repeats(repeats: int) -> float:
        return takes(_with(study, repeats=repeats), done, elapsed, pace)

    trials = done + bisect_right(range(done + 1, MOST + 1), EARLIEST * whole, key=of_trials)
    study = _with(study, trials=trials)
    looks = [own for own in looks_up_to(study.budget.repeats) if of_repeats(own) <= LATEST * whole]
    return _with(study, repeats=max(looks, default=min(FIRST_LOOK, study.budget.repeats)))


def shortened(study: Study, elapsed: float, at_once: int, start: float, candidates: Sequence[float]) -> Study:
    """Return a study that has searched with fewer repeats, where its candidates are slower than runs were on average.

    Where nothing fits, the repeats are the fewest that can decide; for the rest see `takes_from_here`.
    """

    def of_repeats(repeats: int) -> float:
        return takes_from_here(_with(study, repeats=repeats), elapsed, at_once, start, candidates)

    looks = [own for own in looks_up_to(study.budget.repeats) if of_repeats(own) <= LATEST * _whole(study)]
    return _with(study, repeats=max(looks, default=min(FIRST_LOOK, study.budget.repeats)))


def takes_from_here(study: Study, elapsed: float, at_once: int, start: float, candidates: Sequence[float]) -> float:
    """Return how many seconds a study takes at most in all that has searched, `elapsed` of them being behind it.

    `start` and `candidates`, best first, are the seconds of a run of each. The best and the next are expected to meet
    the start, as they would if the race changed nothing.
    """
    budget = study.budget
    race = plan(budget.trials, len(study.arms()), study.stage.metric, 0.0, budget.repeats).race
    raced = sum(_lasts(candidates[:left], at_once) for left in race.left)
    winner, runner_up = [start, *candidates[:1]] * budget.repeats, [*candidates[1:2]] * budget.repeats
    return elapsed + raced + _lasts(winner, at_once) + _lasts(runner_up, at_once) + END


def filled(study: Study, begun: int, elapsed: float, at_once: int, took: Mapping[str, Sequence[float]]) -> Study:
    """Return a study that searches nothing with as many repeats as fit into its minutes.

    `took` has the seconds of the runs that each finalist has behind it, by role, under at most `begun` seeds.
    """
    fewest = max(FEWEST, begun)

    def ends(repeats: int) -> float:
        planned = _with(study, repeats=repeats).repeated(took)
        left = sum((planned[role] - len(runs)) * fmean(runs) for role, runs in took.items())
        return elapsed + left / at_once + END

    return _with(study, repeats=fewest + bisect_right(range(fewest + 1, MOST + 1), _whole(study), key=ends))


def estimated(study: Study, pace: Pace) -> tuple[float, float]:
    """Return how many seconds a study takes: with the fewest seeds that can decide, and with the most.

    Rounds after the first may not be needed, or have as many trials each as the first.
    """
    if not study.stage.varied:
        again = sum(study.repeated(study.finalists(study.start_trial().config)).values())
        whole = BEGINNING + pace.seconds([study.budget.trials, again]) + END
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


def _whole(study: Study) -> float:
    assert study.budget.minutes is not None
    return 60 * study.budget.minutes


def _lasts(runs: Sequence[float], at_once: int) -> float:
    """How many seconds runs of different lengths take at most, before the next may begin (Graham 1966)."""
    return sum(runs) / at_once + max(runs, default=0.0) * (1 - 1 / at_once)
