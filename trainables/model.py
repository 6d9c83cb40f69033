"""The report's network (section 1.3): one shared encoder, L1 distance, one linear unit; 41,553 parameters."""

from __future__ import annotations

import itertools

import torch
from torch import Generator, Tensor, nn

from trainables.compiled import compiled_features
from trainables.config import Network
from trainables.data import SIDE
from trainables.native import encoder_path
from trainables.stored import Batch

EMBEDDING = 18
CHANNELS = (3, 5, 5, 7)


class Dropout(nn.Module):
    """Dropout whose zeros come from an explicit `generator` (on the CPU), so that a seed decides them."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` in evaluation; in training, each element 0 with probability `rate`, else scaled by 1/(1-rate)."""
        if not self.training:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= self.rate
        return x * kept.to(x.device) / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return what a printed network shows."""
        return f"p={self.rate:g}"


class SiameseNetwork(nn.Module):
    """Two chips in, one logit out: sigmoid(logit) is the probability that they show different classes.

    The layers and their order are the report's; `added` puts batch normalisation after each convolution, dropout
    behind the convolution blocks and before the last layer. `encode` applies each ReLU after its max-pool: max and
    ReLU commute, so the result is the same and a quarter of the elements are touched.
    """

    def __init__(self, added: Network | None = None) -> None:
        super().__init__()
        added = self._added = added or Network()
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
        self.fc1 = nn.Sequential(nn.Linear(CHANNELS[-1] * (SIDE // 4) ** 2, EMBEDDING), nn.Sigmoid())
        if added.dropout_out:
            self.drop = Dropout(added.dropout_out)
        self.out = nn.Linear(EMBEDDING, 1)
        self._blocks, self._tail = _pool_first(blocks), tail  # the layers of `conv` in the order in which they run

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return what the convolution blocks make of chips: (B, 7, 18, 18).

        A batch of stored chips takes the compiled pass where there is one for this network; normalised chips
        (B, 3, 75, 75) always take torch's layers.
        """
        if isinstance(chips, Batch) and encoder_path(self._added, chips.stored.pixels.device.type).compiled:
            return compiled_features(chips, list(self.conv.parameters()))
        x = chips.normalised() if isinstance(chips, Batch) else chips
        for layer in self._blocks:
            x = layer(x)
        return x

    def embed(self, features: Tensor) -> Tensor:
        """Return embeddings (B, 18) of features (B, 7, 18, 18)."""
        for layer in self._tail:
            features = layer(features)
        return self.fc1(features)  # type: ignore[no-any-return]

    def encode(self, chips: Batch | Tensor) -> Tensor:
        """Return embeddings (B, 18) of stored chips, or of normalised ones (B, 3, 75, 75)."""
        return self.embed(self.features(chips))

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B,) of "different" for two batches of embeddings (B, 18)."""
        distance = torch.abs(first - second)
        if hasattr(self, "drop"):
            distance = self.drop(distance)
        return self.out(distance).squeeze(-1)  # type: ignore[no-any-return]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B, 1) for two batches of normalised chips (B, 3, 75, 75)."""
        return self.compare(self.encode(first), self.encode(second)).unsqueeze(-1)

    def weighted_layers(self) -> list[nn.Conv2d | nn.Linear]:
        """Return the three convolutions and the two linear layers, in order."""
        return [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]

    def draw_from(self, generator: Generator) -> None:
        """Let dropout draw from `generator`."""
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.generator = generator


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
