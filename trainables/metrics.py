"""Confusion counts and cosine similarity of verification scores (report, section 1.8).

A score p is the probability "different"; p < threshold is a claim of "similar", and similar is the positive class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

THRESHOLD = 0.5  # at which every study measures its verifier, on validation and on test pairs


@dataclass(frozen=True)
class Confusion:
    """Counts of right and wrong claims; `tp` is a similar pair called similar."""

    tp: int
    tn: int
    fp: int
    fn: int

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all; 0 for no pairs."""
        total = self.tp + self.tn + self.fp + self.fn
        return (self.tp + self.tn) / total if total else 0.0

    @property
    def jaccard(self) -> float:
        """TP / (TP + FN + FP); 0 where nothing is similar and nothing was called so."""
        union = self.tp + self.fn + self.fp
        return self.tp / union if union else 0.0


def confusion(probability: Tensor, target: Tensor, threshold: float = THRESHOLD) -> Confusion:
    """Count claims: `probability` (P,) of "different", `target` (P,) with 0 = similar, 1 = different."""
    called, similar = probability < threshold, target < 0.5
    tp = int((called & similar).sum())
    fp = int((called & ~similar).sum())
    fn = int((~called & similar).sum())
    return Confusion(tp=tp, tn=len(target) - tp - fp - fn, fp=fp, fn=fn)


def cosine_similarity(probability: Tensor, target: Tensor) -> float:
    """Cosine between the vector of predictions and the vector of targets, both (P,), in [0, 1] (report, 1.8)."""
    return float(torch.nn.functional.cosine_similarity(probability, target.to(probability), dim=0))


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """1 less the cosine (P,) between two embeddings (P, E): 0 where they point the same way, whatever their length."""
    return 1 - torch.nn.functional.cosine_similarity(first, second, dim=-1)
