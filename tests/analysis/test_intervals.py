"""Guards that intervals cover what they claim, for other chips, groups and seeds, and are no wider than they must be."""

import functools
import itertools

import numpy as np
import pytest

from analysis.intervals import difference_interval, dyadic_variance, ratio_interval, wilson
from trainables.pairs import draw_pairs


def test_variance_equals_the_double_sum():
    """The closed form equals the sum of residual products over all pairs of pairs with a picture in common."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 6, (2, 25))
        residual = rng.normal(size=25)
        double = sum(
            residual[p] * residual[q]
            for p, q in itertools.product(range(25), repeat=2)
            if {first[p], second[p]} & {first[q], second[q]}
        )
        expected = max(double, (residual**2).sum()) / 25**2
        assert dyadic_variance(residual, first, second) == pytest.approx(expected)


def test_pairs_that_share_nothing_are_independent():
    """With no picture in two pairs the interval is Wilson's at the number of pairs."""
    hit = np.array([True] * 80 + [False] * 20)
    low, high = ratio_interval(hit, np.ones(100, bool), np.arange(100), np.arange(100, 200))
    assert (low, high) == pytest.approx(wilson(0.8, 100), abs=1e-9)
    assert wilson(0.8, 100) == pytest.approx((0.7112, 0.8666), abs=1e-4)


def test_intervals_stay_inside_zero_and_one():
    """All right, all wrong, and nothing counted give intervals in [0, 1] that are not points."""
    first, second = np.arange(10), np.arange(10, 20)
    for hit, counted in (
        (np.ones(10, bool), np.ones(10, bool)),
        (np.zeros(10, bool), np.ones(10, bool)),
        (np.zeros(10, bool),) * 2,
    ):
        low, high = ratio_interval(hit, counted, first, second)
        assert 0 <= low < high <= 1


CHIPS = 80


@functools.cache
def designs():
    """A hundred draws of pairs among as many chips of two classes: simulated splits take them in turn."""
    rng = np.random.default_rng(0)
    return [draw_pairs(np.arange(CHIPS) % 2, rng) for _ in range(100)]


def simulated(rng):
    """Pairs of which a hard chip spoils all it stands in: right with odds that both chips' difficulty sets."""
    pairs = designs()[rng.integers(100)]
    ease = rng.normal(0, 1.2, CHIPS)
    chance = 1 / (1 + np.exp(-(1.5 + ease[pairs.first] + ease[pairs.second])))
    return pairs, rng.random(len(pairs)) < chance


@pytest.fixture(scope="module")
def true_share():
    rng = np.random.default_rng(1)
    return float(np.mean([simulated(rng)[1].mean() for _ in range(3000)]))


@pytest.mark.slow
def test_coverage_over_new_chips(true_share):
    """Over 2,000 simulated test splits the 95 % interval of accuracy covers the truth in 92.5 to 97.5 %.

    The binomial interval, which takes pairs for independent, covers in less than 85 %.
    """
    rng = np.random.default_rng(2)
    ours = naive = 0
    for _ in range(2000):
        pairs, hit = simulated(rng)
        low, high = ratio_interval(hit, np.ones(len(hit), bool), pairs.first, pairs.second)
        ours += low <= true_share <= high
        low, high = wilson(hit.mean(), len(hit))
        naive += low <= true_share <= high
    assert 0.925 <= ours / 2000 <= 0.975
    assert naive / 2000 < 0.85


@pytest.mark.parametrize("kind", ["recogniser", "hard", "mild"])
@pytest.mark.parametrize("groups", [4, 6, 10, 20])
def test_coverage_over_new_groups(groups, kind):
    """Over 400 test splits of 4 to 20 patients, ten pictures each, the 95 % interval covers the truth in 92 % or more.

    A network that recognises patients, whose class says nothing; patients that are hard; patients that hardly differ.
    """
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(groups), 10)
    seen = []
    for _ in range(400):
        pairs = draw_pairs(group % 2, rng, groups=group)
        one, other = group[pairs.first], group[pairs.second]
        ease = rng.normal(0, {"hard": 1.5, "mild": 0.7, "recogniser": 0}[kind], groups)
        right = rng.random(len(one)) < 1 / (1 + np.exp(-(1 + ease[one] + ease[other])))
        if kind == "recogniser":
            alike = rng.integers(0, 2, groups)
            right = (alike[one] == alike[other]) == (pairs.target == 0)
        seen.append((right, one, other))
    truth = np.mean([right.mean() for right, _, _ in seen])
    intervals = [ratio_interval(right, np.ones(len(right), bool), one, other) for right, one, other in seen]
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.92


def test_two_units_say_nothing():
    """From the pairs of two patients nothing follows for others: the intervals are all there is."""
    first, second = np.zeros(20, np.int64), np.ones(20, np.int64)
    assert ratio_interval(np.ones(20, bool), np.ones(20, bool), first, second) == (0, 1)
    assert difference_interval(np.ones((2, 20)), first, second) == (-1, 1)


def trained(rng, seeds, hard, astray):
    """Right minus right (R, P) of two equally good configs: SD `hard` of a chip's ease, `astray` of a seed's luck."""
    pairs = designs()[rng.integers(100)]
    ease = rng.normal(0, hard, CHIPS) + rng.normal(0, hard / 2, (2, 1, CHIPS)) + rng.normal(0, 0.5, (2, seeds, CHIPS))
    odds = 2 + rng.normal(0, astray, (2, seeds, 1)) + ease[:, :, pairs.first] + ease[:, :, pairs.second]
    hit = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return hit[0].astype(float) - hit[1], pairs.first, pairs.second


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("hard", "astray"), [(1.0, 0.0), (0.8, 0.3), (0.8, 0.8), (0.3, 0.8)])
def test_the_gain_s_interval_covers_for_other_chips_and_other_seeds(seeds, hard, astray):
    """Of 1,000 gains between equal configs, at most 4.5 % are called better where 2.5 % are meant, whatever varies.

    Three to ten seeds, chips that matter more than seeds or less. Chips alone, as if every seed were these, call up to
    five times as many better.
    """
    rng = np.random.default_rng(3)
    better = over_chips = 0
    for _ in range(1000):
        difference, first, second = trained(rng, seeds, hard, astray)
        better += difference_interval(difference, first, second)[0] > 0
        over_chips += difference_interval(difference.mean(0, keepdims=True), first, second)[0] > 0
    assert better / 1000 <= 0.045
    if astray == 0.8:
        assert over_chips / 1000 > 0.1


@pytest.mark.slow
def test_the_gain_s_interval_is_not_wider_than_chance_asks():
    """Where seeds do not matter, 1,000 intervals of the gain over ten seeds cover the truth in at most 98.5 %."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(1000):
        low, high = difference_interval(*trained(rng, 10, 1.0, 0.0))
        covered += low <= 0 <= high
    assert 0.93 <= covered / 1000 <= 0.985


def test_equal_runs_gain_nothing_for_sure():
    """Two configs that judge every pair alike have the gain zero and no spread."""
    assert difference_interval(np.zeros((3, 10)), np.arange(10), np.arange(10, 20)) == (0.0, 0.0)
