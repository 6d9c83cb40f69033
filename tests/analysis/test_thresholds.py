"""Guards the thresholds and the area under the ROC curve: against loops over thresholds and over couples of pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.thresholds import area_under_roc, best_f1, best_roc, equal_error_rate

pairs = st.lists(
    st.tuples(st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.75, 1.0]), st.integers(0, 1)), min_size=1, max_size=25
)


def counts(score, target, threshold):
    tp = fp = fn = tn = 0
    for s, t in zip(score, target, strict=True):
        tp, fp = tp + (s < threshold and t == 0), fp + (s < threshold and t == 1)
        fn, tn = fn + (s >= threshold and t == 0), tn + (s >= threshold and t == 1)
    return tp, fp, fn, tn


def f1(score, target, threshold):
    tp, fp, fn, _ = counts(score, target, threshold)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def youden(score, target, threshold):
    tp, fp, fn, tn = counts(score, target, threshold)
    return (tp / (tp + fn) if tp + fn else 0.0) - (fp / (fp + tn) if fp + tn else 0.0)


@settings(deadline=None)  # a busy machine is no fault
@given(pairs)
def test_no_threshold_is_better(drawn):
    """A loop over a fine grid of thresholds finds no higher F1, and no higher TPR - FPR, than the chosen ones have."""
    score, target = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    grid = np.linspace(0, 1.1, 111)
    assert f1(score, target, best_f1(score, target)) >= max(f1(score, target, t) for t in grid) - 1e-12
    assert youden(score, target, best_roc(score, target)) >= max(youden(score, target, t) for t in grid) - 1e-12


@settings(deadline=None)  # a busy machine is no fault
@given(pairs)
def test_the_area_is_the_share_of_couples_in_order(drawn):
    """AUC equals a loop over all couples of a similar and a different pair, ties counted half."""
    score, target = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    couples = [(s < d) + (s == d) / 2 for s, d in itertools.product(score[target == 0], score[target == 1])]
    area = area_under_roc(score, target)
    assert area == pytest.approx(np.mean(couples)) if couples else area is None


@settings(deadline=None)  # a busy machine is no fault
@given(pairs)
def test_the_equal_error_rate_lies_between_the_errors_at_the_nearest_thresholds(drawn):
    """No threshold has both errors below it, none has both above it; turning all scores round gives its complement."""
    score, target = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    rate = equal_error_rate(score, target)
    if len(set(target)) < 2:
        assert rate is None
        return
    for threshold in [*score, 2.0]:
        tp, fp, fn, tn = counts(score, target, threshold)
        both = fp / (fp + tn), fn / (fn + tp)
        assert min(both) <= rate + 1e-9 and max(both) >= rate - 1e-9
    assert equal_error_rate(1 - score, target) == pytest.approx(1 - rate)


def test_the_equal_error_rate_of_known_scores():
    """One of four similar pairs beyond three of four different ones: a quarter; told apart, 0; all alike, a half."""
    target = np.array([0.0, 0, 0, 0, 1, 1, 1, 1])
    assert equal_error_rate(np.array([0.1, 0.2, 0.3, 0.8, 0.4, 0.6, 0.7, 0.9]), target) == pytest.approx(0.25)
    assert equal_error_rate(np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]), target) == 0
    assert equal_error_rate(np.full(8, 0.5), target) == pytest.approx(0.5)


def test_a_gap_between_the_classes_is_cut_near_one_half():
    """Where every threshold between 0.3 and 0.8 is perfect the one half way is chosen, for both criteria."""
    score, target = np.array([0.1, 0.3, 0.8, 0.9]), np.array([0.0, 0, 1, 1])
    assert best_f1(score, target) == best_roc(score, target) == pytest.approx(0.55)
    assert area_under_roc(score, target) == 1
