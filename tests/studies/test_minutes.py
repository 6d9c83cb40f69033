"""Guards how many trials and seeds are planned for the minutes that a user gives."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.study_json import Pace
from studies.minutes import END, MOST_TRIALS, estimated, fitted, seconds
from trainables.config import TrialConfig

ARMS = 3


def lr(budget):
    return Study(stage_named("lr"), "s", TrialConfig(), budget)


def test_rounds_wait_for_each_other():
    """Five runs two at once take three times a run, however many of them came before."""
    assert seconds(Pace(2.0, 2), [5]) == 6.0
    assert seconds(Pace(2.0, 2), [4, 1]) == 6.0
    assert seconds(Pace(2.0, 2), []) == 0.0


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
    planned = fitted(Budget(ARMS, 5, 20, minutes), ARMS, done, elapsed, pace)
    assert planned.trials >= done
    # not where hardly anything fitted, or all that there may be
    assume(planned.trials not in (done, MOST_TRIALS) and planned.repeats >= 5)
    spent = elapsed + END - done / at_once * run  # `estimated` counts the trials that are done already
    least, most = (time - 7.0 - END + spent for time in estimated(lr(planned), pace))
    # a round more or less is what one trial more costs at most where the race gets a round more
    slack = run * (math.log2(planned.trials) + 3)
    assert least <= 0.85 * 60 * minutes + slack
    assert most <= 1.2 * 60 * minutes + slack
    assert least >= 0.8 * 60 * minutes - slack


@given(run=st.floats(0.5, 10), at_once=st.integers(1, 8), minutes=st.floats(1, 30))
def test_more_minutes_plan_no_fewer_trials(run, at_once, minutes):
    """Twice the minutes never plan fewer trials, and the user's bound on seeds holds."""
    done, pace = max(ARMS, at_once), Pace(run, at_once)
    few, many = (fitted(Budget(ARMS, 5, 12, time), ARMS, done, 8.0, pace) for time in (minutes, 2 * minutes))
    assert few.trials <= many.trials
    assert max(few.repeats, many.repeats) <= 12


def test_minutes_that_nothing_fits_in_plan_the_least():
    """Half a minute at ten seconds a run: no trial beyond those that are done, and the fewest seeds that can decide."""
    planned = fitted(Budget(ARMS, 5, 20, 0.5), ARMS, 3, 8.0, Pace(10.0, 1))
    assert (planned.trials, planned.repeats) == (3, 4)


@pytest.mark.parametrize(("stage", "runs"), [("baseline", 3 + 3), ("final", 1 + 2 * 40 + 5 + 1)])
def test_a_stage_without_a_race_takes_what_its_runs_take(stage, runs):
    """Where nothing is searched, the estimate has one value: trials and runs under new seeds, a run each."""
    made = stage_named(stage)
    least, most = estimated(Study(made, "s", TrialConfig().override({"optimiser.lr": 0.01}), made.demo), Pace(1.0, 1))
    assert least == most == 7.0 + runs + END
