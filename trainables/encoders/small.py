"""A small network of today's making: blocks of convolution, batch normalisation, ReLU and max-pool."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoders.encoder import Encoder, normalised
from trainables.stored_chips import Batch

RESIDUAL_FROM = 2  # blocks without a residual unit: where maps are large one costs most and brings least
MOST_GROWTH = 8  # channels of the last blocks over those of the first
SMALLEST_MAP = 4  # side below which a map is not pooled


class Small(Encoder):
    """Embeddings (B, `embedding`) by `depth` blocks; by default 475,344 parameters at any side.

    The first block has `width` channels, each next one twice as many, up to eight times; each halves the side. From the
    third on a residual unit (He et al. 2016) follows. The last map is averaged over its places, and a linear layer
    makes the embedding of it; dropout stands between the two.
    """

    def __init__(self, network: Network, side: int) -> None:
        super().__init__()
        self.embedding = network.embedding
        channels = [3, *(network.width * min(2**block, MOST_GROWTH) for block in range(network.depth))]
        blocks: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(channels)):
            pooled = side >= SMALLEST_MAP
            side = side // 2 if pooled else side
            blocks += [*_convolution(before, after), *([nn.MaxPool2d(2)] if pooled else []), nn.ReLU()]
            blocks += [Residual(after)] if number >= RESIDUAL_FROM else []
        self.blocks = nn.Sequential(*blocks)
        dropout = [Dropout(network.dropout_conv)] if network.dropout_conv else []
        self.head = nn.Sequential(*dropout, nn.Linear(channels[-1], network.embedding))

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return what the blocks make of chips."""
        return self.blocks(normalised(chips))  # type: ignore[no-any-return]

    def embed(self, features: Tensor) -> Tensor:
        """Return a linear map of the features' means."""
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.added = nn.Sequential(*_convolution(channels, channels), nn.ReLU(), *_convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(x + what the convolutions make of it)."""
        return nn.functional.relu(x + self.added(x))


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(after)]
