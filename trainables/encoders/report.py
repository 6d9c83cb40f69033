"""The paper's encoder (section 1.3): three small convolutions and one linear layer, 41,534 parameters."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from trainables.compiled_encoder import compiled_features
from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoder_path import encoder_path
from trainables.encoders.encoder import Encoder, normalised
from trainables.stored_chips import Batch

EMBEDDING = 18
CHANNELS = (3, 5, 5, 7)


class Report(Encoder):
    """Embeddings (B, 18) of chips of side 75.

    The layers and their order are the paper's; `added` puts batch normalisation after each convolution, and dropout
    behind the convolution blocks. `features` applies each ReLU after its max-pool: max and ReLU commute, so the result
    is the same and a quarter of the elements are touched.
    """

    embedding = EMBEDDING

    def __init__(self, added: Network, side: int) -> None:
        super().__init__()
        self._added = added
        blocks = [
            *_convolution(0, added),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            *_convolution(1, added),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            *_convolution(2, added),
            nn.ReLU(),
        ]
        tail = [nn.Flatten(), *_dropout(added.dropout_conv)]
        self.conv = nn.Sequential(*blocks, *tail)
        self.fc1 = nn.Sequential(nn.Linear(CHANNELS[-1] * (side // 4) ** 2, EMBEDDING), nn.Sigmoid())
        self._blocks, self._tail = _pool_first(blocks), tail  # the layers of `conv` in the order in which they run

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return what the convolution blocks make of chips: (B, 7, 18, 18).

        A batch of stored chips takes the compiled pass where there is one for this network; normalised chips
        (B, 3, 75, 75) always take torch's layers.
        """
        if isinstance(chips, Batch) and encoder_path(self._added, chips.stored.pixels.device.type).compiled:
            return compiled_features(chips, list(self.conv.parameters()))
        x = normalised(chips)
        for layer in self._blocks:
            x = layer(x)
        return x

    def embed(self, features: Tensor) -> Tensor:
        """Return embeddings (B, 18) of features (B, 7, 18, 18)."""
        for layer in self._tail:
            features = layer(features)
        return self.fc1(features)  # type: ignore[no-any-return]


def _convolution(place: int, added: Network) -> list[nn.Module]:
    before, after = CHANNELS[place : place + 2]
    convolution = nn.Conv2d(before, after, kernel_size=3, stride=1, padding=1)
    return [convolution, nn.BatchNorm2d(after)] if added.batch_norm else [convolution]


def _dropout(rate: float) -> list[nn.Module]:
    return [Dropout(rate)] if rate else []


def _pool_first(layers: list[nn.Module]) -> list[nn.Module]:
    order = list(layers)
    for place, (layer, following) in enumerate(itertools.pairwise(layers)):
        if isinstance(layer, nn.ReLU) and isinstance(following, nn.MaxPool2d):
            order[place], order[place + 1] = following, layer
    return order
