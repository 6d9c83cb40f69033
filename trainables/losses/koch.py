"""Cross entropy with a penalty for each layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.config import Loss
from trainables.losses.bce import BinaryCrossEntropy
from trainables.model import SiameseNetwork


@dataclass(frozen=True)
class Koch(BinaryCrossEntropy):
    """Binary cross entropy plus a penalty l2 |w|^2 for each layer's weights, without biases (Koch et al. 2015, 3.2)."""

    conv1: float
    conv2: float
    conv3: float
    fc1: float
    out: float

    @classmethod
    def of(cls, config: Loss) -> Koch:
        """Return the loss that `config` describes."""
        return cls(config.l2_conv1, config.l2_conv2, config.l2_conv3, config.l2_fc1, config.l2_out)

    def penalty(self, model: SiameseNetwork) -> Tensor | float:
        """Return the sum of every layer's factor times its squared weights."""
        factors = (self.conv1, self.conv2, self.conv3, self.fc1, self.out)
        layers = zip(factors, model.weighted_layers(), strict=True)
        return torch.stack([factor * layer.weight.square().sum() for factor, layer in layers]).sum()
