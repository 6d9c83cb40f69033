"""Which score separates similar from different: chosen on validation pairs, then applied to the test pairs as it is.

A score p says how different a pair is; p below the threshold is a claim of "similar", the positive class. The report
proposes both choices as future work (section 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def best_f1(score: Floats, target: Floats) -> float:
    """Return the threshold of highest F1 = 2 TP / (2 TP + FP + FN); of equals, the one nearest to 0.5."""
    threshold, tp, fp = _claims(score, target)
    similar = int((target == 0).sum())
    return _nearest_to_half(threshold, 2 * tp / np.maximum(tp + fp + similar, 1))


def best_roc(score: Floats, target: Floats) -> float:
    """Return the threshold of highest TPR - FPR, the ROC curve's point furthest above the diagonal (Youden 1950)."""
    threshold, tp, fp = _claims(score, target)
    similar = int((target == 0).sum())
    return _nearest_to_half(threshold, tp / max(similar, 1) - fp / max(len(target) - similar, 1))


def area_under_roc(score: Floats, target: Floats) -> float | None:
    """Return the chance that a similar pair has a lower score than a different one, ties counted half.

    This is Mann and Whitney's U over the number of such couples; None without any couple.
    """
    similar = target == 0
    couples = int(similar.sum()) * int((~similar).sum())
    if not couples:
        return None
    ranks = stats.rankdata(score)
    different = int((~similar).sum())
    return float((ranks[~similar].sum() - different * (different + 1) / 2) / couples)


def _claims(score: Floats, target: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Every threshold that makes a difference, with the true and false claims of "similar" below it."""
    values = np.unique(score)
    # half way between neighbouring scores, so that rounding elsewhere cannot push a pair over the edge
    threshold = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, np.nextafter(values[-1:], 2)])
    tp = np.searchsorted(np.sort(score[target == 0]), threshold)
    fp = np.searchsorted(np.sort(score[target == 1]), threshold)
    return threshold, tp, fp


def _nearest_to_half(threshold: Floats, merit: Floats) -> float:
    best = threshold[merit >= merit.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])
