"""What every encoder is: chips in, embeddings out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from trainables.stored_chips import Batch

Weighted = nn.Conv2d | nn.Linear


class Encoder(nn.Module):
    """Makes embeddings (B, E) of chips, E its `embedding`, by way of a map of features (B, F, h, w).

    A unit has `features` and `embed`, and draws nothing by itself: its weights are `initialise`d, its dropout is ours.
    """

    embedding: int
    memory_format: torch.memory_format = torch.channels_last  # of its weights and of what passes through it

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the last map (B, F, h, w) that still has places, of stored chips or normalised ones (B, 3, S, S)."""
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        """Return embeddings (B, E) of what `features` returned."""
        raise NotImplementedError

    def forward(self, chips: Batch | Tensor) -> Tensor:
        """Return embeddings (B, E) of chips: what `embed` makes of their `features`."""
        return self.embed(self.features(chips))

    def start_with(self, weights: str) -> None:
        """Take weights from a file; an encoder that reads none keeps those that were drawn."""

    def layer_groups(self) -> Mapping[str, list[Weighted]]:
        """Return the layers with weights by the names of `loss.l2_`: thirds of the convolutions, and what is linear.

        In the paper's network each is one layer. Of a number that three does not divide the earlier thirds have more.
        """
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        thirds = np.array_split(np.arange(len(convolutions)), 3)
        groups = {f"conv{n}": [convolutions[at] for at in third] for n, third in enumerate(thirds, start=1)}
        return {**groups, "fc1": [layer for layer in layers if isinstance(layer, nn.Linear)]}


def normalised(chips: Batch | Tensor) -> Tensor:
    """Return chips as floats (B, 3, S, S): those of a batch, or what is so already."""
    return chips.normalised() if isinstance(chips, Batch) else chips
