"""Guards what the page says of a stage's arms: by new seeds alone, and no more than these tell."""

import pytest
from scipy.stats import binom

from analysis.arms import arm_answers
from analysis.candidates import contest, settled
from analysis.procedure import START
from tests.build import ARMS, saying
from tests.raced import carried_out, lucky, world


def test_arms_are_ranked_by_new_seeds_and_not_by_the_luckiest_trial():
    """Trial 26 (cosine) was the luckiest of the search; under new seeds trial 3 (constant) leads, and cosine is behind."""
    made = carried_out(lucky(26), world(better=[3]))
    answers = arm_answers(made)
    assert answers[0].arm == "constant" and answers[0].candidate == 3
    assert answers[0].behind is None
    assert sorted(answer.arm for answer in answers) == sorted(ARMS)
    assert all(answer.trials == 9 for answer in answers)
    cosine = next(answer for answer in answers if answer.arm == "cosine")
    assert cosine.mean > answers[0].mean + 0.1


@pytest.mark.parametrize(("better", "gain"), [([START], 0.2), ([START, 1], 0.05), ([1], 0.2)])
def test_the_start_stands_for_its_arm_where_it_is_the_best_of_it(better, gain):
    """The start is of the first arm: it leads where it is what to use, else stands for its arm where that is worse."""
    made = carried_out(lucky(26), world(better=better, gain=gain, spread=0.01))
    answers = {answer.arm: answer for answer in arm_answers(made)}
    used = settled(made).use
    assert (answers[ARMS[0]].candidate == START) == (START in better)
    assert next(iter(answers)) == (ARMS[0] if used == START else contest(made).arms[used])
    if START in better:
        fresh = contest(made).seeds[contest(made).procedure.race.seeds :]
        runs = made.repeats[(made.repeats["arm"] == "baseline") & made.repeats["seed"].isin(fresh)]
        assert answers[ARMS[0]].seeds <= len(runs)
        assert answers[ARMS[0]].mean < 0.4


def test_an_interval_needs_three_common_seeds_and_is_paired():
    """The gap and its interval are those of the seeds that both have; with fewer than three there is none."""
    made = carried_out(lucky(26), world(better=[3], spread=0.0))
    found = contest(made)
    seeds = {
        answer.candidate: {run.seed for run in found.known if run.trial == answer.candidate}
        for answer in arm_answers(made)
    }
    leading = arm_answers(made)[0]
    for answer in arm_answers(made)[1:]:
        common = seeds[answer.candidate] & seeds[leading.candidate]
        assert (answer.half is None) == (len(common) < 3)
        if answer.half is not None:
            assert (answer.behind, answer.half, answer.apart) == (pytest.approx(0.2), pytest.approx(0), True)


def test_equal_arms_are_seldom_told_apart():
    """Where all configs are alike, at most 4 % of the comparisons that are made call two arms different."""
    answers = [answer for seed in range(60) for answer in arm_answers(carried_out(lucky(26), world(seed=seed)))]
    judged = [answer for answer in answers if answer.half is not None]
    assert len(judged) >= 40
    assert sum(answer.apart for answer in judged) <= binom.ppf(0.999, len(judged), 0.04)


def test_one_arm_or_no_race_has_no_answer():
    """A stage with one arm, and a study whose finalists were a fixed number of runs, say nothing of arms."""
    made = carried_out(lucky(26), world(better=[3]))
    assert arm_answers(saying(made, arms=("constant",))) == ()
    assert arm_answers(saying(made, parameters=())) == ()
