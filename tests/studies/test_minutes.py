"""Guards how many trials and seeds are planned for the minutes that a user gives."""

import heapq
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.report import judge
from search_spaces.stage import Budget
from search_spaces.stages import chain_with, stage_named
from search_spaces.study import Study
from storage.report_json import Measured
from storage.study_json import Pace
from studies.minutes import (
    BEGINNING,
    END,
    FEWEST,
    LATEST,
    MOST,
    estimated,
    filled,
    fitted,
    shares,
    shortened,
    takes,
    takes_from_here,
)
from tests.build import saying
from tests.raced import searched
from trainables.config import TrialConfig

ARMS = 3
TUNED = TrialConfig().override({"optimiser.lr": 0.01})


def lr(budget):
    return Study(stage_named("lr"), "s", TrialConfig(), budget)


def test_rounds_wait_for_each_other():
    """Five runs two at once take three times a run, however many of them came before."""
    assert Pace(2.0, 2).seconds([5]) == 6.0
    assert Pace(2.0, 2).seconds([4, 1]) == 6.0
    assert Pace(2.0, 2).seconds([]) == 0.0


@given(
    minutes=st.floats(2, 60),
    run=st.floats(0.5, 10),
    at_once=st.integers(1, 8),
    elapsed=st.floats(1, 30),
)
def test_a_planned_study_ends_within_a_fifth_of_its_minutes(minutes, run, at_once, elapsed):
    """Whether the decision takes the fewest seeds or the most, a plan that fits takes 80 to 120 % of the minutes."""
    done = max(ARMS, at_once)
    pace = Pace(run, at_once)
    study = fitted(lr(Budget(ARMS, 5, 20, minutes)), done, elapsed, pace)
    planned = study.budget
    assert planned.trials >= done
    # not where hardly anything fitted, or all that there may be
    assume(planned.trials not in (done, MOST) and planned.repeats >= 5)
    spent = elapsed + END - done / at_once * run  # `estimated` counts the trials that are done already
    least, most = (time - BEGINNING - END + spent for time in estimated(study, pace))
    # a round more or less is what one trial more costs at most where the race gets a round more
    slack = run * (math.log2(planned.trials) + 3)
    assert least <= 0.85 * 60 * minutes + slack
    assert most <= 1.2 * 60 * minutes + slack
    assert least >= 0.8 * 60 * minutes - slack


@given(run=st.floats(0.5, 10), at_once=st.integers(1, 8), minutes=st.floats(1, 30))
def test_more_minutes_plan_no_fewer_trials(run, at_once, minutes):
    """Twice the minutes never plan fewer trials, and the user's bound on seeds holds."""
    done, pace = max(ARMS, at_once), Pace(run, at_once)
    few, many = (fitted(lr(Budget(ARMS, 5, 12, time)), done, 8.0, pace).budget for time in (minutes, 2 * minutes))
    assert few.trials <= many.trials
    assert max(few.repeats, many.repeats) <= 12


def test_minutes_that_nothing_fits_in_plan_the_least():
    """Half a minute at ten seconds a run: no trial beyond those that are done, and the fewest seeds that can decide."""
    planned = fitted(lr(Budget(ARMS, 5, 20, 0.5)), 3, 8.0, Pace(10.0, 1)).budget
    assert (planned.trials, planned.repeats) == (3, 4)


def test_what_is_not_planned_yet_is_not_counted_against(tmp_path):
    """Cut off before its plan, a study by minutes says how many trials have ended, and not of how many."""
    asked, _ = searched(tmp_path, "lr", [0.5, 0.4, 0.3, 0.4])
    by_clock = saying(asked.searched, finished=None, budget=Budget(3, 1, 8, 5.0))
    planned = saying(by_clock, budget=Budget(30, 1, 8, 5.0), pace=Pace(1.0, 2))
    assert judge(by_clock, Measured()).verdict == "not finished: 4 trials have ended"
    assert judge(planned, Measured()).verdict == "not finished: 4 of 30 trials have ended"


@pytest.mark.parametrize(("stage", "runs"), [("baseline", 3 + 3), ("final", 1 + 2 * 40 + 5 + 1)])
def test_a_stage_without_a_race_takes_what_its_runs_take(stage, runs):
    """Where nothing is searched, the estimate has one value: trials and runs under new seeds, a run each."""
    made = stage_named(stage)
    least, most = estimated(Study(made, "s", TUNED, made.demo), Pace(1.0, 1))
    assert least == most == BEGINNING + runs + END


@given(
    minutes=st.floats(2, 60),
    elapsed=st.floats(10, 600),
    at_once=st.integers(1, 16),
    start=st.floats(0.5, 20),
    candidates=st.lists(st.floats(0.5, 20), min_size=8, max_size=8),
)
def test_slow_candidates_leave_room_for_fewer_seeds(minutes, elapsed, at_once, start, candidates):
    """All that may follow the search ends in time, each run as soon as a CPU is free, or the fewest seeds are left.

    It never takes longer than is said.
    """
    study = shortened(lr(Budget(24, 5, 20, minutes)), elapsed, at_once, start, candidates)
    repeats = study.budget.repeats
    decided = [[start, candidates[0]] * repeats, [candidates[1]] * repeats]
    after = sum(scheduled(runs, at_once) for runs in [*(candidates[:left] for left in (8, 4, 3, 2)), *decided])
    said = takes_from_here(study, elapsed, at_once, start, candidates)
    assert elapsed + after + END <= said + 1e-6
    assert repeats == 4 or said <= LATEST * 60 * minutes
    assert 4 <= repeats <= 20
    few = lr(Budget(24, 5, 5, minutes))
    assert shortened(few, elapsed, at_once, start, candidates).budget.repeats <= 5


def scheduled(runs, at_once):
    """When the last of them ends, each begun when a CPU is free."""
    free = [0.0] * at_once
    for run in runs:
        heapq.heapreplace(free, free[0] + run)
    return max(free)


@given(
    minutes=st.floats(0.1, 60),
    at_once=st.integers(1, 16),
    begun=st.integers(1, 8),
    lasts=st.fixed_dictionaries(
        {"selected": st.floats(0.5, 20), "baseline": st.floats(0.5, 20), "paper": st.floats(2, 30)}
    ),
)
def test_the_last_stage_fills_its_minutes_with_seeds(minutes, at_once, begun, lasts):
    """Whatever its configs take each, what `final` plans ends in time, and one seed more would not.

    Else it has as many seeds as were begun before it could plan, or the fewest that show a spread. Its capped rivals
    are counted by their caps.
    """
    made = stage_named("final")
    asked = Study(made, "s", TUNED, made.demo).within(minutes)
    took = {role: [seconds] * min(begun, 5) for role, seconds in lasts.items()}

    def ends(repeats):
        counts = {"selected": repeats, "baseline": repeats, "paper": min(5, repeats)}
        return 8.0 + sum((counts[role] - len(took[role])) * lasts[role] for role in took) / at_once + END

    planned = filled(asked, begun, 8.0, at_once, took).budget
    assert planned.trials == 1
    assert planned.repeats >= max(FEWEST, begun)
    assert planned.repeats == max(FEWEST, begun) or ends(planned.repeats) <= 60 * minutes + 1e-6
    assert planned.repeats == MOST or ends(planned.repeats + 1) > 60 * minutes - 1e-6


@settings(max_examples=30)
@given(minutes=st.floats(10, 100), run=st.floats(0.5, 2), at_once=st.integers(1, 8), luck=st.data())
def test_a_chain_ends_within_a_fifth_of_its_minutes(minutes, run, at_once, luck):
    """However many seeds each stage's decision takes, the later stages make up for it."""
    pace, spent, stages = Pace(run, at_once), 0.0, chain_with()
    for place, stage in enumerate(stages):
        left = [Study(later.for_demo(), "s", TUNED, replace(later.demo, epochs=5)) for later in stages[place:]]
        part = shares(left, minutes - spent / 60)[0]
        assert part > 0
        study = left[0].within(part)
        if not stage.varied:  # fills its part with seeds, unless what tells how long they take is more than that
            runs = study.repeated(study.finalists(study.start_trial().config))
            spent += max(60 * part, 8.0 + FEWEST * run * len(runs) / at_once + END)
            continue
        done = max(len(study.arms()), at_once)
        planned = fitted(study, done, 8.0 + run * done / at_once, pace)
        fewest, most = (takes(planned, 0, 8.0, pace, fresh) for fresh in (4, None))
        assume(fewest <= LATEST * 60 * part and planned.budget.trials < MOST)  # else they are too few for the least
        spent += luck.draw(st.floats(fewest, max(fewest, most)))
    assert 0.8 * 60 * minutes - 4 * run <= spent <= 1.2 * 60 * minutes + 4 * run


def test_minutes_are_split_by_the_epochs_that_stages_train():
    """A stage of twice the epochs gets twice the part, and all parts are the whole."""
    made = stage_named("lr")
    short, long = (Study(made, "s", TrialConfig(), Budget(24, epochs)) for epochs in (5, 10))
    assert shares([short, long], 30.0) == pytest.approx([10.0, 20.0])
