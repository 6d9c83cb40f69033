"""Guards the metrics against loops and figures by hand."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.metrics import Confusion, confusion, cosine_similarity
from trainables.result import EpochMetrics, Metric

pairs = st.lists(st.tuples(st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)


@given(pairs, st.floats(0.1, 0.9))
def test_counts_equal_those_of_a_loop(pairs, threshold):
    """TP, TN, FP and FN equal a loop over pairs in which similar (target 0, p below the threshold) is positive."""
    threshold = float(torch.tensor(threshold))
    tp = tn = fp = fn = 0
    for p, target in pairs:
        if p < threshold:
            tp, fp = tp + (target == 0), fp + (target == 1)
        else:
            tn, fn = tn + (target == 1), fn + (target == 0)
    p, target = torch.tensor(pairs).T
    assert confusion(p, target, threshold) == Confusion(tp, tn, fp, fn)


def test_accuracy_and_jaccard_by_hand():
    """(TP + TN) / all and TP / (TP + FN + FP); no pair, or no claim and nothing similar, is 0 and not an error."""
    counts = Confusion(tp=6, tn=5, fp=3, fn=1)
    assert counts.accuracy == 11 / 15
    assert counts.jaccard == 6 / 10
    assert Confusion(0, 0, 0, 0).accuracy == 0
    assert Confusion(0, 4, 0, 0).jaccard == 0


@given(pairs)
def test_cosine_equals_the_formula(pairs):
    """p . t / (|p| |t|) by loop, within float32 rounding; a zero vector gives 0."""
    dot = sum(p * t for p, t in pairs)
    norms = math.sqrt(sum(p * p for p, _ in pairs)) * math.sqrt(sum(t for _, t in pairs))
    expected = dot / norms if norms > 1e-6 else None
    p, target = torch.tensor(pairs).T
    measured = cosine_similarity(p, target)
    assert 0 <= measured <= 1 + 1e-6
    if expected is not None:
        assert math.isclose(measured, expected, abs_tol=1e-4)


def test_the_best_epoch_is_the_earliest_of_equals():
    """A metric picks its best epoch by its own goal; equal values go to the earlier epoch; none gives None."""
    epochs = [
        EpochMetrics(n, 1.0, loss, acc, 0.5, 0.5, 0.1, 1.0) for n, loss, acc in [(1, 3, 0.2), (2, 1, 0.9), (3, 1, 0.9)]
    ]
    assert Metric("val_loss", "min").best(epochs).epoch == 2
    assert Metric("val_accuracy", "max").best(epochs).epoch == 2
    assert Metric("val_loss", "min").best([]) is None
    assert Metric("val_loss", "min").gain(1.0, 3.0) == Metric("val_accuracy", "max").gain(3.0, 1.0) == 2.0
