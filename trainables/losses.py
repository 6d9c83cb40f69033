"""What is minimised, and the score each loss gives a pair.

A loss sees embeddings, not chips: it may use the network's last layer, as binary cross entropy does, or only the
distance between embeddings.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.model import SiameseNetwork


class PairLoss(Protocol):
    """A loss over pairs of embeddings; targets are 0 = similar, 1 = different."""

    def __call__(self, model: SiameseNetwork, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss (a scalar) of embeddings (B, 18) against targets (B,)."""
        ...

    def probability(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return the score p in [0, 1] of "different" (B,) for embeddings (B, 18)."""
        ...


class BinaryCrossEntropy:
    """Binary cross entropy of sigmoid(out) (report, equation 1), computed on logits for numerical safety."""

    def __call__(self, model: SiameseNetwork, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        return F.binary_cross_entropy_with_logits(model.compare(first, second), target)

    def probability(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return sigmoid(out)."""
        return torch.sigmoid(model.compare(first, second))


LOSSES: dict[str, PairLoss] = {"bce": BinaryCrossEntropy()}
