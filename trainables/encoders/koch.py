"""The encoder of Koch et al. (2015, figure 4): four convolutions and 4096 outputs, made for characters of side 105."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoders.encoder import Encoder, normalised
from trainables.stored_chips import Batch

CHANNELS = (3, 64, 128, 128, 256)  # the paper's characters have one channel, our chips three
KERNELS = (10, 7, 4, 4)


class Koch(Encoder):
    """Embeddings (B, 4096) of chips of side 105.

    38.96 million parameters: 156 MB as a file, 468 MB with Adam's moments.

    Convolutions without padding, ReLU, and max-pool behind all but the last; then a linear layer and a sigmoid. Batch
    normalisation may follow each convolution, and dropout the last.
    """

    embedding = 4096

    def __init__(self, network: Network, side: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(CHANNELS)):
            side = side - KERNELS[number] + 1
            blocks += [nn.Conv2d(before, after, KERNELS[number])]
            blocks += [nn.BatchNorm2d(after)] if network.batch_norm else []
            blocks += [nn.ReLU()]
            if number < len(KERNELS) - 1:
                side = side // 2
                blocks += [nn.MaxPool2d(2)]
        self.conv = nn.Sequential(*blocks)
        dropout = [Dropout(network.dropout_conv)] if network.dropout_conv else []
        linear = nn.Linear(CHANNELS[-1] * side**2, self.embedding)
        self.fc1 = nn.Sequential(nn.Flatten(), *dropout, linear, nn.Sigmoid())

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the map (B, 256, 6, 6) of the last convolution."""
        return self.conv(normalised(chips))  # type: ignore[no-any-return]

    def embed(self, features: Tensor) -> Tensor:
        """Return the sigmoid of a linear map of all features."""
        return self.fc1(features)  # type: ignore[no-any-return]
