"""What is minimised, and the score each loss gives a pair.

A loss sees embeddings, not chips: it may use the network's last layer, as binary cross entropy does, or only the
distance between embeddings. Targets are 0 = similar, 1 = different; a score p in [0, 1] says how different.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.config import Loss
from trainables.model import SiameseNetwork

TINY = 1e-12  # keeps the gradient of a distance finite where two embeddings are equal


class PairLoss(Protocol):
    """A loss over pairs of embeddings (B, 18) against targets (B,)."""

    def __call__(self, model: SiameseNetwork, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over pairs, a scalar: what validation reports."""
        ...

    def penalty(self, model: SiameseNetwork) -> Tensor | float:
        """Return what training adds to the mean loss, whatever the pairs; 0 for most losses."""
        ...

    def evidence(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return what the score is made of (B,): larger is more different, without the score's bounds."""
        ...

    def score(self, model: SiameseNetwork, first: Tensor, second: Tensor) -> Tensor:
        """Return the score p of "different" (B,)."""
        ...

    def of_score(self, score: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss that scores (B,) amount to, for scores that no single network gave (ensembles)."""
        ...


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Binary cross entropy of sigmoid(out) (report, equation 1), computed on logits for numerical safety."""

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


@dataclass(frozen=True)
class Contrastive:
    """(1 - y) d^2 / 2 + y max(0, m - d)^2 / 2 on the Euclidean distance d of embeddings, margin m.

    Chopra, Hadsell and LeCun 2005; Hadsell, Chopra and LeCun 2006, equation 4. The score is min(d / m, 1); the
    network's last layer is not used and stays as it starts.
    """

    margin: float

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


@dataclass(frozen=True)
class Koch(BinaryCrossEntropy):
    """Binary cross entropy plus a penalty l2 |w|^2 for each layer's weights, without biases (Koch et al. 2015, 3.2)."""

    conv1: float
    conv2: float
    conv3: float
    fc1: float
    out: float

    def penalty(self, model: SiameseNetwork) -> Tensor | float:
        """Return the sum of every layer's factor times its squared weights."""
        factors = (self.conv1, self.conv2, self.conv3, self.fc1, self.out)
        layers = zip(factors, model.weighted_layers(), strict=True)
        return torch.stack([factor * layer.weight.square().sum() for factor, layer in layers]).sum()


LOSSES: dict[str, Callable[[Loss], PairLoss]] = {
    "bce": lambda config: BinaryCrossEntropy(),
    "contrastive": lambda config: Contrastive(config.margin),
    "koch": lambda config: Koch(config.l2_conv1, config.l2_conv2, config.l2_conv3, config.l2_fc1, config.l2_out),
}


def make_loss(config: Loss) -> PairLoss:
    """Return the loss that `config` names."""
    return LOSSES[config.kind](config)
