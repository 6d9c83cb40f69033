"""Guards which chips are paired: how often, in which balance, and never within a group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.pairs import draw_pairs

labels_strategy = st.lists(st.integers(0, 3), min_size=2, max_size=60).map(np.array)


@given(labels_strategy, st.integers(0, 2**32))
def test_each_chip_meets_five_others_once(labels, seed):
    """5 N pairs, each chip first in five of them, never with itself, no partner twice; fewer than 6 chips: all others."""
    pairs = draw_pairs(labels, np.random.default_rng(seed))
    each = min(5, len(labels) - 1)
    assert len(pairs) == each * len(labels)
    assert (np.bincount(pairs.first, minlength=len(labels)) == each).all()
    assert (pairs.first != pairs.second).all()
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == len(pairs)
    assert ((pairs.second >= 0) & (pairs.second < len(labels))).all()


@given(labels_strategy, st.integers(0, 2**32))
def test_target_zero_means_same_class(labels, seed):
    """The target of every pair is 0 for one class and 1 for two."""
    pairs = draw_pairs(labels, np.random.default_rng(seed))
    for a, b, target in zip(pairs.first, pairs.second, pairs.target, strict=True):
        assert target == (0.0 if labels[a] == labels[b] else 1.0)


@pytest.mark.parametrize("classes", [3, 10, 40])
def test_more_than_two_classes_give_half_similar_pairs(classes):
    """With at least four chips a class, half the pairs are similar, where uniform partners would give 1 / classes."""
    labels = np.arange(classes * 12) % classes
    pairs = draw_pairs(labels, np.random.default_rng(0))
    assert pairs.similar_share == pytest.approx(0.5, abs=0.03)


def test_two_classes_are_drawn_uniformly():
    """With two classes every other chip is an equally likely partner (chi-square over 40,000 draws, p > 0.001)."""
    from scipy import stats

    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    rng = np.random.default_rng(1)
    counts = np.zeros((8, 8))
    for _ in range(1000):
        pairs = draw_pairs(labels, rng)
        np.add.at(counts, (pairs.first, pairs.second), 1)
    off_diagonal = counts[~np.eye(8, dtype=bool)]
    assert stats.chisquare(off_diagonal).pvalue > 1e-3


def test_too_few_of_a_class_are_filled_up_with_others():
    """Two chips a class leave one similar partner each: still five pairs a chip, one of them similar."""
    labels = np.repeat(np.arange(10), 2)
    pairs = draw_pairs(labels, np.random.default_rng(0))
    assert len(pairs) == 100
    assert pairs.similar_share == pytest.approx(0.2)


@given(labels_strategy, st.integers(2, 9), st.integers(0, 2**32))
def test_a_pair_is_of_two_groups(labels, groups, seed):
    """With groups no pair lies within one, no partner comes twice, and each chip has as many as there are, at most five."""
    group = np.arange(len(labels)) % groups
    pairs = draw_pairs(labels, np.random.default_rng(seed), groups=group)
    assert (group[pairs.first] != group[pairs.second]).all()
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == len(pairs)
    others = [(group != own).sum() for own in group]
    assert np.bincount(pairs.first, minlength=len(labels)).tolist() == np.minimum(others, 5).tolist()


def test_pairs_of_groups_are_half_similar():
    """Two classes of five patients, ten pictures each: half the pairs are similar, though fewer candidates are."""
    group = np.repeat(np.arange(10), 10)
    assert draw_pairs(group % 2, np.random.default_rng(0), groups=group).similar_share == pytest.approx(0.5, abs=0.01)
