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
    """Binary cross entropy plus a penalty l2 |w|^2 for each layer's weights, without biases (Koch et al. 2015, 3.2).

    A factor is for a group of layers, as the encoder groups them; in the paper's network a group is one layer.
    """

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
        groups = model.layer_groups().items()
        each = [getattr(self, name) * layer.weight.square().sum() for name, layers in groups for layer in layers]
        return torch.stack(each).sum()
