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


def simulated(rng, chips=80):
    """Pairs of which a hard chip spoils all it stands in: right with odds that both chips' difficulty sets."""
    labels = np.arange(chips) % 2
    pairs = draw_pairs(labels, rng)
    ease = rng.normal(0, 1.2, chips)
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


@pytest.mark.slow
def test_coverage_of_the_gain_between_two_models():
    """The 95 % interval of an accuracy difference on shared pairs covers its truth, zero, in 92.5 to 97.5 % of 2,000."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(2000):
        pairs, _ = simulated(rng)
        ease = rng.normal(0, 1, (2, 80))
        hits = [rng.random(len(pairs)) < 1 / (1 + np.exp(-(1 + e[pairs.first] + e[pairs.second]))) for e in ease]
        low, high = difference_interval(hits[0].astype(float) - hits[1], pairs.first, pairs.second)
        covered += low <= 0 <= high
    assert 0.925 <= covered / 2000 <= 0.975
