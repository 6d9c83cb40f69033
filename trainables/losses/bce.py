"""Binary cross entropy of the network's logit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.config import Loss
from trainables.model import SiameseNetwork


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Binary cross entropy of sigmoid(out) (report, equation 1), computed on logits for numerical safety."""

    @classmethod
    def of(cls, config: Loss) -> BinaryCrossEntropy:
        """Return the loss that `config` describes."""
        return cls()

    def __call__(self, model: SiameseNetwork, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        return F.binary_cross_entropy_with_logits(model.compare(first, second), target)

    def penalty(self, model: SiameseNetwork) -> Tensor | float:
        """Return 0."""
        return 0.0

    def evidence(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return out, the logit."""
        return model.compare(first, second)

    def score(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return sigmoid(out), the probability of "different"."""
        return torch.sigmoid(self.evidence(model, first, second))

    def of_score(self, score: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy of probabilities."""
        return F.binary_cross_entropy(score, target)
