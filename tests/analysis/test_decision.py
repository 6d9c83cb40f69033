"""The decision: its formula against plain loops, and its error rates by simulation with fixed seeds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.decision import (
    Decision,
    Earlier,
    Rule,
    Tally,
    deaths_of,
    decide,
    looks_up_to,
    most_deaths,
    nominal_level,
)
from analysis.race import Outcome
from trainables.result import Metric

LOSS, ACCURACY = Metric("val_loss", "min"), Metric("val_accuracy", "max")
CHANCE = math.log(2)
NOTHING = Earlier(Tally(0, 0), Tally(0, 0))
HEALTHY = Earlier(Tally(0, 6), Tally(0, 60))  # a study in which nothing dies: the t alone decides at small gains
DEAD, DIVERGED = Outcome(CHANCE, learned=False), Outcome(None, learned=False)
ERROR = 0.045
STUDIES = 2000


def decided(rule, pairs, earlier=NOTHING, metric=LOSS, chance=CHANCE):
    """Give the decision pairs until it has enough."""
    decision = decide(rule, pairs, metric, chance, earlier)
    assert isinstance(decision, Decision), f"wants {decision} pairs of {len(pairs)}"
    return decision


def runs(rng, count, mean=0.42, sd=0.055, death=0.0, dead=DEAD, shared=0.0):
    """Outcomes of one config: normal losses, `shared` (count,) being the part of a seed's effect that others have."""
    values = mean + np.sqrt(0.6) * sd * shared + np.sqrt(0.4 if np.ndim(shared) else 1.0) * sd * rng.normal(size=count)
    return [dead if rng.random() < death else Outcome(float(value)) for value in values]


def share_proven(draw, earlier=NOTHING, repeats=20, studies=STUDIES):
    """Simulate decisions on pairs drawn by `draw(rng, repeats)`; return the share that are proven."""
    rule, rng = Rule(looks_up_to(repeats), ERROR), np.random.default_rng(1)
    return np.mean([decided(rule, draw(rng, repeats), earlier).proven for _ in range(studies)])


def pairs_of(rng, repeats, ours, start):
    """Draw paired outcomes: `ours` and `start` are options of `runs`."""
    shared = rng.normal(size=repeats)
    return list(zip(runs(rng, repeats, **ours, shared=shared), runs(rng, repeats, **start, shared=shared), strict=True))


# --- formulae --------------------------------------------------------------------------------------------------------


def test_looks():
    """At every seed from four to ten, then at every second, and always at the last."""
    assert looks_up_to(20) == (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20)
    assert looks_up_to(11) == (4, 5, 6, 7, 8, 9, 10, 11)
    assert looks_up_to(3) == (3,)
    assert (looks_up_to(2), looks_up_to(1)) == ((2,), (1,))


def test_one_look_is_tested_at_the_whole_error():
    """The simulated level of a single look is the error itself, within four standard errors of 400,000 draws."""
    assert nominal_level((8,), 0.045) == pytest.approx(0.045, abs=4 * math.sqrt(0.045 * 0.955 / 400_000))


@pytest.mark.parametrize("repeats", [3, 5, 12, 20, 40])
def test_equal_configs_pass_at_any_look_with_the_error_that_is_stated(repeats):
    """40,000 sequences of normal gains from another generator, each t computed by SciPy: 4.5 % within four SEs."""
    looks, count = looks_up_to(repeats), 40_000
    gains = np.random.default_rng(99).normal(size=(count, repeats))
    level = nominal_level(looks, ERROR)
    passed = np.zeros(count, dtype=bool)
    for look in looks:
        passed |= stats.ttest_1samp(gains[:, :look], 0.0, axis=1, alternative="greater").pvalue <= level
    assert passed.mean() == pytest.approx(ERROR, abs=4 * math.sqrt(ERROR * (1 - ERROR) / count))


@given(st.integers(1, 40), st.data(), st.sampled_from([0.95, 0.975]))
def test_the_share_that_may_die_is_where_so_few_deaths_become_unlikely(count, data, assurance):
    """Clopper and Pearson: at the upper end, as few deaths as were seen have the probability that is left."""
    died = data.draw(st.integers(0, count - 1))
    upper = most_deaths(died, count, assurance)
    assert stats.binom.cdf(died, count, upper) == pytest.approx(1 - assurance)


def test_deaths_have_the_exact_interval():
    """0 of 5 still allows 52 %, 2 of 9 is told with its exact interval, and all of 3 may be all."""
    assert (deaths_of([Outcome(0.3)] * 5).low, deaths_of([Outcome(0.3)] * 5).high) == (
        0,
        pytest.approx(0.5218, abs=1e-4),
    )
    exact = stats.binomtest(2, 9).proportion_ci(0.95, "exact")
    told = deaths_of([DEAD, DIVERGED, *[Outcome(0.3)] * 7])
    assert (told.died, told.runs, told.low, told.high) == (2, 9, pytest.approx(exact.low), pytest.approx(exact.high))
    assert deaths_of([DEAD] * 3).high == 1


def test_a_decision_is_that_of_plain_loops():
    """Gain, interval and p of eight pairs, one of them diverged: computed again with SciPy, look by look."""
    rng = np.random.default_rng(5)
    ours, start = rng.normal(0.30, 0.05, 8), rng.normal(0.42, 0.05, 8)
    pairs = [(Outcome(a), Outcome(b)) for a, b in zip(ours.tolist(), start.tolist(), strict=True)]
    pairs[6] = (DIVERGED, pairs[6][1])
    ours[6] = CHANCE
    rule = Rule((8,), 0.05)
    decision = decided(rule, pairs)
    test = stats.ttest_rel(start, ours, alternative="greater")
    bounds = stats.ttest_rel(start, ours).confidence_interval(1 - 2 * rule.level)
    assert decision.gain == pytest.approx((start - ours).mean())
    assert decision.p == pytest.approx(test.pvalue)
    assert (decision.low, decision.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))
    assert (decision.seeds, decision.deaths.died, decision.start_deaths.died) == (8, 1, 0)
    assert decision.confidence == pytest.approx(0.9)


def test_higher_is_better_where_the_metric_says_so():
    """An accuracy that rises under every seed is proven; the same pairs the other way round are no better."""
    up = [(Outcome(0.90 + 0.001 * seed), Outcome(0.80)) for seed in range(20)]
    rule = Rule(looks_up_to(20), ERROR)
    assert decided(rule, up, metric=ACCURACY, chance=0.5).stop == "proven"
    down = [(start, ours) for ours, start in up]
    assert decided(rule, down, metric=ACCURACY, chance=0.5).stop == "no better"


@settings(deadline=None)  # the first one simulates the level
@given(st.integers(0, 1000), st.floats(-0.1, 0.3))
def test_pairs_beyond_the_last_look_change_nothing(seed, gain):
    """A decision depends on the first pairs up to its look, so a resumed study decides as it did."""
    pairs = pairs_of(np.random.default_rng(seed), 20, {"mean": 0.42 - gain}, {})
    rule = Rule(looks_up_to(20), ERROR)
    whole = decided(rule, pairs)
    assert decided(rule, pairs[: whole.seeds]) == whole
    if whole.seeds > rule.looks[0]:
        fewer = decide(rule, pairs[: whole.seeds - 1], LOSS, CHANCE, NOTHING)
        assert fewer == whole.seeds


# --- errors that must not be made ------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [1, 2])
def test_one_or_two_seeds_prove_nothing_and_say_so(repeats):
    """However large the gain: a spread of fewer than three is none."""
    decision = decided(Rule(looks_up_to(repeats), ERROR), [(Outcome(0.1), Outcome(0.6))] * repeats)
    assert (decision.stop, decision.proven, decision.better) == ("too few seeds", False, True)
    assert (decision.gain, decision.low, decision.high) == (0.5, None, None)


@pytest.mark.parametrize("dead", [DEAD, DIVERGED])
def test_one_dead_run_of_the_start_adopts_no_small_gain(dead):
    """The start dies once of twenty and is else as good, up to a thousandth: not proven, where it used to be adopted."""
    for place in range(20):
        pairs = [(Outcome(0.419 + 0.002 * (seed % 2)), Outcome(0.42)) for seed in range(20)]
        pairs[place] = (pairs[place][0], dead)
        assert not decided(Rule(looks_up_to(20), ERROR), pairs).proven


@pytest.mark.parametrize("earlier", [NOTHING, HEALTHY])
@pytest.mark.parametrize(
    "both", [{}, {"death": 0.02, "dead": DIVERGED}, {"death": 0.1, "dead": DIVERGED}, {"death": 0.2, "dead": DEAD}]
)
def test_equal_configs_are_proven_better_in_at_most_five_percent(both, earlier):
    """A against A, whether or not runs of both die or diverge."""
    assert share_proven(lambda rng, count: pairs_of(rng, count, both, both), earlier) <= 0.05


def test_equal_configs_near_guessing_are_proven_better_in_at_most_five_percent():
    """There a death costs nothing, so the t alone must hold the error."""
    near = {"mean": CHANCE - 0.015, "sd": 0.005}
    assert share_proven(lambda rng, count: pairs_of(rng, count, near, near), HEALTHY) <= 0.05


@pytest.mark.parametrize("repeats", [3, 5, 8, 20, 30])
@pytest.mark.parametrize("death", [0.1, 0.2, 0.35])
def test_a_config_that_dies_is_proven_in_at_most_five_percent_at_no_true_gain(death, repeats):
    """Its mean over all runs is the start's, so those that live look better: by 2.7 SD at 35 %."""
    alive = {"mean": (0.42 - death * CHANCE) / (1 - death), "death": death}
    assert share_proven(lambda rng, count: pairs_of(rng, count, alive, {}), repeats=repeats) <= 0.05


def test_a_lone_config_that_dies_in_a_fifth_counts_its_earlier_runs_only_as_what_they_were():
    """In a healthy study its six earlier runs count; that it lived in all of them and is proven: at most 5 %."""
    alive = {"mean": (0.42 - 0.2 * CHANCE) / 0.8, "death": 0.2}
    lived = 0.8**6
    assert lived * share_proven(lambda rng, count: pairs_of(rng, count, alive, {}), HEALTHY) <= 0.05


def test_a_clear_gain_is_proven():
    """Two SDs of the seeds, no deaths: in at least 95 % of studies."""
    better = {"mean": 0.31}
    assert share_proven(lambda rng, count: pairs_of(rng, count, better, {}), studies=500) >= 0.95


@pytest.mark.parametrize("earlier", [NOTHING, HEALTHY])
def test_the_detectable_gain_is_proven_in_eighty_percent(earlier):
    """At the gain that a decision names for the spread and penalty it saw, its rule proves 80 %, within three SEs."""
    rule, rng = Rule(looks_up_to(20), ERROR), np.random.default_rng(2)
    told = []
    for _ in range(200):
        told.append(decided(rule, pairs_of(rng, 20, {}, {}), earlier).detectable)
    better = {"mean": 0.42 - float(np.mean(told))}
    share = share_proven(lambda rng, count: pairs_of(rng, count, better, {}), earlier, studies=1000)
    assert share == pytest.approx(0.8, abs=0.05)


def test_the_interval_holds_at_whatever_look_the_decision_stops():
    """Repeated confidence interval at 91 %: it covers the true gain at least so often, early stops included."""
    rule, rng, gain = Rule(looks_up_to(20), ERROR), np.random.default_rng(3), 0.06
    covered = []
    for _ in range(STUDIES):
        decision = decided(rule, pairs_of(rng, 20, {"mean": 0.42 - gain}, {}), HEALTHY)
        covered.append(decision.low <= gain <= decision.high)
    assert np.mean(covered) >= decision.confidence
