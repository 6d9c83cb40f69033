"""Race and decisions in one fold: seeds, order, answers, and that an interrupted study goes on as if nothing happened."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.procedure import START, Settled, counted, next_runs, plan, unseen_deaths
from analysis.race import Outcome
from trainables.result import Metric

LOSS = Metric("val_loss", "min")
CHANCE = math.log(2)


def study(means, arms=3, repeats=20, seed=0, sd=0.05, death=None):
    """A study of configs with these mean losses: its procedure, search, arms, and what a run would give."""
    rng = np.random.default_rng(seed)
    procedure = plan(len(means), arms, LOSS, CHANCE, repeats)
    loss = np.asarray(means)[:, None] + sd * rng.normal(size=(len(means), 1 + procedure.race.seeds + max(repeats, 1)))
    dies = rng.random(loss.shape) < np.asarray(death if death is not None else [0.0] * len(means))[:, None]

    def train(trial, seed):
        return Outcome(None, learned=False) if dies[trial, seed] else Outcome(float(loss[trial, seed]))

    search = {trial: train(trial, 0) for trial in range(len(means))}
    return procedure, search, {trial: str(trial % arms) for trial in search}, lambda run: train(run.trial, 1 + run.seed)


def settle(procedure, search, arms, train, known=None, ended_at_once=None, trained_at_once=1):
    """Carry a study out; return the answer and the runs that it asked for."""
    known, asked = dict(known or {}), []
    while not isinstance(wanted := next_runs(procedure, search, arms, known, trained_at_once), Settled):
        assert wanted and len(set(wanted)) == len(wanted) and not set(wanted) & set(known)
        for run in wanted[:ended_at_once]:
            known[run] = train(run)
            asked.append(run)
    return wanted, asked


def test_the_better_config_is_used_and_proven():
    """One config of twelve is better by 4 SDs of the seeds, another by 2: the first wins on seeds that chose nothing."""
    means = [0.42] * 12
    means[5], means[7] = 0.22, 0.32
    procedure, *rest = study(means)
    answer, asked = settle(procedure, *rest)
    assert (answer.use, answer.proven) == (5, True)
    assert answer.ranking.order[:2] == (5, 7)
    [(trial, decision)] = answer.decisions
    assert (trial, decision.stop) == (5, "proven")
    assert decision.low > 0
    race, rest = asked[: procedure.race.runs], asked[procedure.race.runs :]
    assert {run.seed for run in race} == set(range(procedure.race.seeds))
    assert START not in {run.trial for run in race}
    assert {run.trial for run in rest} == {START, 5}
    assert min(run.seed for run in rest) == procedure.race.seeds


def test_the_runner_up_meets_the_start_under_the_same_seeds():
    """The winner dies at every fresh seed: the runner-up is asked, and the start not trained twice."""
    means = [0.42] * 12
    means[5], means[7] = 0.15, 0.22
    procedure, search, arms, train = study(means)
    first = procedure.race.seeds

    def dying(run):
        return Outcome(None, learned=False) if run.trial == 5 and run.seed >= first else train(run)

    answer, asked = settle(procedure, search, arms, dying)
    assert [trial for trial, _ in answer.decisions] == [5, 7]
    assert answer.decisions[0][1].stop == "no better"
    assert answer.decisions[0][1].deaths.died == answer.decisions[0][1].seeds
    assert (answer.use, answer.proven) == (7, True)
    assert len(set(asked)) == len(asked)


def test_of_two_that_are_better_and_not_proven_the_better_one_is_used():
    """Under the same fresh seeds the runner-up gains 0.06 and the winner of the race 0.01: the runner-up is the one to use."""
    means = [0.42] * 12
    means[5], means[7] = 0.15, 0.22
    procedure, search, arms, train = study(means)
    first = procedure.race.seeds

    def uncertain(run):
        luck = 0.15 * (-1) ** (run.seed - first)
        fresh = {START: 0.42, 5: 0.41 - luck, 7: 0.36 + luck}
        return Outcome(fresh[run.trial]) if run.seed >= first else train(run)

    answer, _ = settle(procedure, search, arms, uncertain)
    assert [(trial, decision.stop) for trial, decision in answer.decisions] == [(5, "spent"), (7, "spent")]
    assert (answer.use, answer.proven) == (7, False)


@pytest.mark.parametrize(("trials", "repeats"), [(24, 20), (24, 3), (10, 20), (12, 20)])
def test_what_too_few_runs_can_never_prove_is_known_beforehand(trials, repeats):
    """A gain too small to outweigh the deaths that so few runs may have missed is proven just where these are none."""
    means = [0.3] * trials
    means[1] = 0.29
    answer, _ = settle(*study(means, repeats=repeats, sd=1e-5))
    assert answer.proven == (unseen_deaths(plan(trials, 3, LOSS, CHANCE, repeats), trials) is None)


def test_nothing_better_keeps_the_start():
    """Every other config is worse by 4 SDs: the start is used, and nothing is proven."""
    answer, _ = settle(*study([0.3] + [0.5] * 11))
    assert (answer.use, answer.proven) == (START, False)
    assert {decision.stop for _, decision in answer.decisions} == {"no better"}


@pytest.mark.parametrize("repeats", [1, 2])
def test_one_or_two_seeds_prove_nothing_but_say_which_config_to_use(repeats):
    """Whatever the gain, there were too few seeds; the winner is used where they speak for it."""
    answer, asked = settle(*study([0.42] + [0.2] * 11, repeats=repeats))
    assert not answer.proven
    assert answer.use == answer.ranking.order[0]
    assert {decision.stop for _, decision in answer.decisions} == {"too few seeds"}
    assert sum(run.trial == START for run in asked) == repeats


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_searches_settle(count):
    """A search of the start alone has nothing to race; two or three trials have."""
    answer, asked = settle(*study([0.42, 0.2, 0.3][:count]))
    assert answer.use == min(count - 1, 1)
    assert len(answer.decisions) == min(count - 1, 1)
    assert bool(asked) == (count > 1)


@settings(max_examples=40, deadline=None)  # the first of each number of seeds simulates its level
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(3, 12), st.integers(1, 4), st.data())
def test_an_interrupted_study_asks_for_exactly_what_is_missing(seed, count, repeats, at_once, data):
    """With any part of a study's runs known, in whatever portions the rest ends, the answer and the runs are the same."""
    rng = np.random.default_rng(seed)
    case = study(rng.uniform(0.2, 0.5, count), 3, repeats, seed, death=rng.uniform(0, 0.4, count))
    whole, asked = settle(*case)
    kept = data.draw(st.sets(st.sampled_from(asked))) if asked else set()
    again, missing = settle(*case, {run: case[3](run) for run in kept}, at_once)
    assert again == whole
    assert sorted(missing) == sorted(set(asked) - kept)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 12), st.integers(2, 30))
def test_runs_that_fill_idle_cpus_change_no_answer(seed, count, repeats, trained_at_once):
    """However many are trained at once, the answer and the runs that it rests on are those of one after the other.

    A decision leaves none idle but at its last seed, and has fewer runs too many than are trained at once.
    """
    rng = np.random.default_rng(seed)
    case = study(rng.uniform(0.2, 0.5, count), 3, repeats, seed, death=rng.uniform(0, 0.4, count))
    whole, one_by_one = settle(*case)
    again, asked = settle(*case, trained_at_once=trained_at_once)
    procedure = case[0]
    assert again == whole
    assert set(counted(procedure, again, {run: case[3](run) for run in asked})) == set(one_by_one)
    ahead = len(asked) - len(one_by_one)
    assert 0 <= ahead < trained_at_once * max(len(whole.decisions), 1)
    deciding = len(asked) - procedure.race.runs
    last = procedure.race.seeds + repeats - 1
    assert deciding % trained_at_once == 0 or any(run.seed == last for run in asked)


@pytest.mark.slow
@pytest.mark.parametrize("death", [0.05, 0.1, 0.2])
def test_a_search_among_unstable_configs_at_no_true_gain_proves_one_in_at_most_five_percent(death):
    """All 23 rivals of the start die under some seeds and are else better: the race picks those that happened to live."""
    alive = (0.42 - death * CHANCE) / (1 - death)
    means, deaths = [0.42] + [alive] * 23, [0.0] + [death] * 23
    answers = [settle(*study(means, seed=seed, sd=0.055, death=deaths))[0].proven for seed in range(500)]
    assert np.mean(answers) <= 0.05
