"""Contrastive loss on the distance between embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.config import Loss
from trainables.model import TINY, SiameseNetwork


@dataclass(frozen=True)
class Contrastive:
    """(1 - y) d^2 / 2 + y max(0, m - d)^2 / 2 on the Euclidean distance d of embeddings, margin m.

    Chopra, Hadsell and LeCun 2005; Hadsell, Chopra and LeCun 2006, equation 4. The score is min(d / m, 1); the
    network's head is not used and stays as it starts; where that is `distance`, embeddings are unit vectors, at most 2
    apart.
    """

    margin: float

    @classmethod
    def of(cls, config: Loss) -> Contrastive:
        """Return the loss that `config` describes."""
        return cls(config.margin)

    def __call__(self, model: SiameseNetwork, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the mean contrastive loss."""
        squared, distance = self._distances(first, second)
        apart = torch.clamp(self.margin - distance, min=0)
        return ((1 - target) * squared + target * apart**2).mean() / 2

    def penalty(self, model: SiameseNetwork) -> Tensor | float:
        """Return 0."""
        return 0.0

    def evidence(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return d."""
        return self._distances(first, second)[1]

    def score(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return min(d / m, 1)."""
        return torch.clamp(self.evidence(model, first, second) / self.margin, max=1)

    def of_score(self, score: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss at distances m p: the loss itself, but for similar pairs further apart than m."""
        distance = self.margin * score
        return ((1 - target) * distance**2 + target * (self.margin - distance) ** 2).mean() / 2

    @staticmethod
    def _distances(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        squared = (first - second).square().sum(-1)
        return squared, torch.sqrt(squared + TINY)
