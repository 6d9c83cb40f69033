"""How many trials and seeds fit into the minutes that a user gives, and how long a planned study will take.

Training is nearly all of a study's time, and a run of the same length takes the same time: so the time is counted in
rounds of runs that are trained at once. How many fresh seeds the decision takes is not known beforehand. So with the
fewest that it may take a study is planned to end a little early, and with the most a little late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from analysis.decision import FIRST_LOOK, looks_up_to
from analysis.procedure import plan, rounds
from search_spaces.stage import Budget
from search_spaces.study import Study
from storage.study_json import Pace
from trainables.result import Metric

EARLIEST, LATEST = 0.85, 1.15  # parts of the minutes that a study takes with the fewest and with the most seeds
BEGINNING, END = 7.0, 5.0  # seconds before the first epoch; and for test split, figures and page
MOST_TRIALS = 2000
UNUSED = Metric("val_loss", "min")  # how long a procedure is does not depend on what is measured


def seconds(pace: Pace, runs: Sequence[int]) -> float:
    """Return how long rounds of so many runs take, each waiting for the one before."""
    return pace.run * sum(math.ceil(count / pace.at_once) for count in runs)


def fitted(budget: Budget, arms: int, done: int, elapsed: float, pace: Pace) -> Budget:
    """Return the budget with as many trials and repeats as fit into its minutes, `done` trials being behind it.

    `elapsed`: seconds since the study's beginning. Its own repeats are the most that are planned. Where nothing fits,
    no trial is added, and the repeats are the fewest that can decide.
    """
    assert budget.minutes is not None
    whole = 60 * budget.minutes

    def takes(trials: int, repeats: int, fresh: int | None) -> float:
        after = rounds(plan(trials, arms, UNUSED, 0.0, repeats), fresh)
        return elapsed + seconds(pace, [trials - done, *after]) + END

    trials = done
    while trials < MOST_TRIALS and takes(trials + 1, FIRST_LOOK, FIRST_LOOK) <= EARLIEST * whole:
        trials += 1
    fit = [looks for looks in looks_up_to(budget.repeats) if takes(trials, looks, None) <= LATEST * whole]
    return replace(budget, trials=trials, repeats=max(fit, default=min(FIRST_LOOK, budget.repeats)))


def estimated(study: Study, pace: Pace) -> tuple[float, float]:
    """Return how many seconds a study takes: with the fewest seeds that can decide, and with the most.

    Rounds after the first may not be needed, or have as many trials each as the first.
    """
    budget = study.budget
    if not study.stage.varied:
        runs = len(study.repeats(study.finalists(study.incumbent().config)))
        whole = BEGINNING + seconds(pace, [budget.trials, runs]) + END
        return whole, whole
    arms, metric = len(study.arms()), study.stage.metric
    fewest, most = (
        seconds(pace, [trials, *rounds(plan(trials, arms, metric, 0.0, budget.repeats), fresh)])
        for trials, fresh in ((budget.trials, FIRST_LOOK), (budget.rounds * budget.trials, None))
    )
    return BEGINNING + fewest + END, BEGINNING + most + END
