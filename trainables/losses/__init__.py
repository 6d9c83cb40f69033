"""What is minimised, and the score each loss gives a pair; a file a loss.

A loss sees embeddings, not chips: it may use the network's last layer, as binary cross entropy does, or only the
distance between embeddings. Targets are 0 = similar, 1 = different; a score p in [0, 1] says how different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from trainables.config import Loss
from trainables.losses.bce import BinaryCrossEntropy
from trainables.losses.contrastive import Contrastive
from trainables.losses.koch import Koch
from trainables.model import SiameseNetwork


class PairLoss(Protocol):
    """A loss over pairs of embeddings (B, E) against targets (B,)."""

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


LOSSES: Mapping[str, Callable[[Loss], PairLoss]] = {
    "bce": BinaryCrossEntropy.of,
    "contrastive": Contrastive.of,
    "koch": Koch.of,
}


def make_loss(config: Loss) -> PairLoss:
    """Return the loss that `config` names."""
    return LOSSES[config.kind](config)
