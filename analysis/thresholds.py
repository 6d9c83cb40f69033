"""Which score separates similar from different: chosen on validation pairs, then applied to the test pairs as it is.

A score p says how different a pair is; p below the threshold is a claim of "similar", the positive class. The report
proposes both choices as future work (section 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix_at_thresholds, roc_auc_score

Floats = NDArray[np.float64]


def best_f1(score: Floats, target: Floats) -> float:
    """Return the threshold of highest F1 = 2 TP / (2 TP + FP + FN); of equals, the one nearest to 0.5."""
    threshold, _, fp, fn, tp = _claims(score, target)
    return _nearest_to_half(threshold, 2 * tp / np.maximum(2 * tp + fp + fn, 1))


def best_roc(score: Floats, target: Floats) -> float:
    """Return the threshold of highest TPR - FPR, the ROC curve's point furthest above the diagonal (Youden 1950)."""
    threshold, tn, fp, fn, tp = _claims(score, target)
    return _nearest_to_half(threshold, tp / np.maximum(tp + fn, 1) - fp / np.maximum(fp + tn, 1))


def area_under_roc(score: Floats, target: Floats) -> float | None:
    """Return the chance that a similar pair has a lower score than a different one, ties counted half.

    None where there are no similar pairs, or no different ones.
    """
    if len(np.unique(target)) < 2:
        return None
    return float(roc_auc_score(target, score))


def equal_error_rate(score: Floats, target: Floats) -> float | None:
    """Return the error at which as large a share of different pairs is called similar as of similar ones different.

    Between two thresholds both shares are taken to change in a line. None without similar pairs, or without different
    ones.
    """
    if len(np.unique(target)) < 2:
        return None
    _, tn, fp, fn, tp = _claims(score, target)
    accepted, rejected = fp / (fp + tn), fn / (fn + tp)
    after = int(np.argmax(accepted >= rejected))  # nothing is accepted at the first threshold, all at the last
    gap = rejected - accepted
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepted[after - 1] + share * (accepted[after] - accepted[after - 1]))


def _claims(score: Floats, target: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Every threshold that makes a difference, and TN, FP, FN, TP of claiming "similar" below it.

    scikit-learn claims from a score upwards, so it is asked with the signs turned, and never about claiming nothing.
    """
    tn, fp, fn, tp, values = confusion_matrix_at_thresholds(target, -score, pos_label=0)
    nothing = [[tn[0] + fp[0]], [0.0], [fn[0] + tp[0]], [0.0]]
    tn, fp, fn, tp = np.concatenate([nothing, [tn, fp, fn, tp]], axis=1)
    values = -values
    # half way between neighbouring scores, so that rounding elsewhere cannot push a pair over the edge
    threshold = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, np.nextafter(values[-1:], 2)])
    return threshold, tn, fp, fn, tp


def _nearest_to_half(threshold: Floats, merit: Floats) -> float:
    best = threshold[merit >= merit.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])
