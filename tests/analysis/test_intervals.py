"""Guards that intervals cover what they claim, for other chips, groups and seeds, and are no wider than they must be."""

import functools
import itertools

import numpy as np
import pytest

from analysis.intervals import difference_interval, dyadic_variance, ratio_interval, wilson
from benchmarks.coverage import accuracy_of, covered, designs, gain_covered, gained, over_chips, over_groups


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
def drawn():
    """A hundred draws of pairs among as many chips."""
    return designs(CHIPS)


def simulated(rng):
    return over_chips(rng, drawn(), CHIPS)


@pytest.fixture(scope="module")
def true_share():
    rng = np.random.default_rng(1)
    return float(np.mean([simulated(rng).right.mean() for _ in range(3000)]))


@pytest.mark.slow
def test_coverage_over_new_chips(true_share):
    """Over 2,000 simulated test splits the 95 % interval of accuracy covers the truth in 92.5 to 97.5 %.

    The binomial interval, which takes pairs for independent, covers in less than 85 %.
    """
    rng = np.random.default_rng(2)
    ours = naive = 0
    for _ in range(2000):
        split = simulated(rng)
        low, high = ratio_interval(*accuracy_of(split), split.first, split.second)
        ours += low <= true_share <= high
        low, high = wilson(split.right.mean(), len(split.right))
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
    assert covered([over_groups(rng, groups, kind) for _ in range(400)], accuracy_of) >= 0.92


def test_two_units_say_nothing():
    """From the pairs of two patients nothing follows for others: the intervals are all there is."""
    first, second = np.zeros(20, np.int64), np.ones(20, np.int64)
    assert ratio_interval(np.ones(20, bool), np.ones(20, bool), first, second) == (0, 1)
    assert difference_interval(np.ones((2, 20)), first, second) == (-1, 1)


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
        difference, first, second = gained(rng, drawn(), seeds, hard, astray)
        better += difference_interval(difference, first, second)[0] > 0
        over_chips += difference_interval(difference.mean(0, keepdims=True), first, second)[0] > 0
    assert better / 1000 <= 0.045
    if astray == 0.8:
        assert over_chips / 1000 > 0.1


@pytest.mark.slow
def test_the_gain_s_interval_is_not_wider_than_chance_asks():
    """Where seeds do not matter, 1,000 intervals of the gain over ten seeds cover the truth in at most 98.5 %."""
    rng = np.random.default_rng(4)
    assert 0.93 <= gain_covered(rng, 1000, 10, 1.0, 0.0) <= 0.985


def test_equal_runs_gain_nothing_for_sure():
    """Two configs that judge every pair alike have the gain zero and no spread."""
    assert difference_interval(np.zeros((3, 10)), np.arange(10), np.arange(10, 20)) == (0.0, 0.0)
