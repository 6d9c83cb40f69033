"""The race: who enters, who is left, and that its state is nothing but the runs known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.race import Outcome, RacePlan, Ranking, Run, entrants, next_in_race, plan_race
from trainables.result import Metric

LOSS, ACCURACY = Metric("val_loss", "min"), Metric("val_accuracy", "max")
CHANCE = float(np.log(2))

losses = st.one_of(st.none(), st.floats(0.05, 0.69))
outcomes = losses.map(lambda value: Outcome(value, learned=value is not None))


@st.composite
def searches(draw):
    """Outcomes of a search of 2 to 12 trials, their arms, and all that its race may ask for."""
    count = draw(st.integers(2, 12))
    search = {trial: draw(outcomes) for trial in range(count)}
    arms = {trial: draw(st.sampled_from("abc")) for trial in range(count)}
    plan = plan_race(count, len(set(arms.values())))
    runs = {Run(trial, seed): draw(outcomes) for trial in range(count) for seed in range(plan.seeds)}
    return search, arms, plan, runs


def raced(plan, search, candidates, runs, known=None, at_once=None):
    """Carry a race out, `at_once` runs at a time; return its ranking, and the runs in the order they were asked for."""
    known, asked = dict(known or {}), []
    while not isinstance(wanted := next_in_race(plan, search, candidates, known, LOSS, CHANCE), Ranking):
        assert wanted and not set(wanted) & set(known)
        for run in wanted[:at_once]:
            asked.append(run)
            known[run] = runs[run]
    return wanted, asked


@pytest.mark.parametrize(
    ("trials", "arms", "left"),
    [(1, 1, ()), (2, 3, (1,)), (12, 3, (4, 3, 2)), (24, 3, (8, 4, 3, 2)), (36, 3, (12, 6, 3, 2)), (15, 5, (5, 3, 2))],
)
def test_plans(trials, arms, left):
    """A third enters, or one an arm; halved while many, then one less each time; the start alone has no race."""
    assert plan_race(trials, arms).left == left


@given(st.integers(1, 200), st.integers(1, 12))
def test_a_plan_narrows_and_keeps_a_place_for_every_arm(trials, arms):
    """Round by round fewer are left, two at the end; every arm has a place where trials are enough, the start has none."""
    plan = plan_race(trials, arms)
    assert list(plan.left) == sorted(set(plan.left), reverse=True)
    assert plan.entrants >= min(arms, trials - 1)
    assert plan.entrants < trials
    assert trials < 3 or plan.left[-1] == 2
    assert plan.runs == sum(plan.left)


@given(searches())
def test_the_best_of_every_arm_enters_and_the_start_never(case):
    """As many as are planned, none twice, each arm's best among them, the best first."""
    search, arms, plan, _ = case
    chosen = entrants(search, arms, 0, plan.entrants, LOSS, CHANCE)
    assert 0 not in chosen
    assert len(set(chosen)) == len(chosen) == plan.entrants
    worth = {trial: outcome.worth(CHANCE) for trial, outcome in search.items()}
    for arm in {arms[trial] for trial in search if trial}:
        assert min((t for t in search if t and arms[t] == arm), key=lambda t: worth[t]) in chosen
    assert [worth[trial] for trial in chosen] == sorted(worth[trial] for trial in chosen)


@given(searches())
def test_the_ranking_is_that_of_plain_loops(case):
    """Round by round: mean of the search's and all new runs so far, a diverged one worth guessing; the worst leave."""
    search, arms, plan, runs = case
    candidates = entrants(search, arms, 0, plan.entrants, LOSS, CHANCE)
    ranking, asked = raced(plan, search, candidates, runs)
    order, count = list(candidates), 0
    for seed, left in enumerate(plan.left):
        means = []
        for place, trial in enumerate(order[:left]):
            count += 1
            values = [search[trial].value, *(runs[Run(trial, earlier)].value for earlier in range(seed + 1))]
            means.append((float(np.mean([CHANCE if value is None else value for value in values])), place, trial))
        order[:left] = [trial for *_, trial in sorted(means)]
    assert list(ranking.order) == order
    assert len(asked) == count == plan.runs


@given(searches(), st.integers(1, 3), st.data())
def test_a_resumed_race_asks_for_what_is_missing_and_ends_alike(case, at_once, data):
    """Whatever part of the asked runs is known already, however many end at once, no run is asked for twice."""
    search, arms, plan, runs = case
    candidates = entrants(search, arms, 0, plan.entrants, LOSS, CHANCE)
    whole, asked = raced(plan, search, candidates, runs)
    kept = data.draw(st.sets(st.sampled_from(asked)))
    again, missing = raced(plan, search, candidates, runs, {run: runs[run] for run in kept}, at_once)
    assert again == whole
    assert sorted(missing) == sorted(set(asked) - kept)


def test_more_is_better_where_the_metric_says_so():
    """Accuracy: the higher mean wins, and a diverged run is worth guessing."""
    search = {0: Outcome(0.5), 1: Outcome(0.8), 2: Outcome(0.9)}
    known = {Run(1, 0): Outcome(0.8), Run(2, 0): Outcome(None, learned=False)}
    assert next_in_race(RacePlan((2,)), search, (2, 1), known, ACCURACY, 0.5) == Ranking((1, 2))
