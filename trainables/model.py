"""The Siamese network: one shared encoder, L1 distance, one linear unit (report, section 1.3; Koch et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainables.config import Network
from trainables.data import SIDE
from trainables.dropout import Dropout
from trainables.encoders import make_encoder
from trainables.encoders.encoder import Weighted
from trainables.stored import Batch

FIRST_NAMES = ("conv.", "fc1.")  # of the report's layers, in what was kept before there were other encoders


class SiameseNetwork(nn.Module):
    """Two chips in, one logit out: sigmoid(logit) is the probability that they show different classes.

    `network` names the encoder; by default it is the report's, 41,553 parameters with `out`. Dropout may stand before
    `out`.
    """

    def __init__(self, network: Network | None = None, side: int = SIDE) -> None:
        super().__init__()
        network = network or Network()
        self.encoder = make_encoder(network, side)
        if network.dropout_out:
            self.drop = Dropout(network.dropout_out)
        self.out = nn.Linear(self.encoder.embedding, 1)
        self.register_load_state_dict_pre_hook(_with_names_of_now)  # type: ignore[no-untyped-call]

    def encode(self, chips: Batch | Tensor) -> Tensor:
        """Return embeddings (B, E) of stored chips, or of normalised ones (B, 3, S, S)."""
        return self.encoder(chips)  # type: ignore[no-any-return]

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B,) of "different" for two batches of embeddings (B, E)."""
        distance = torch.abs(first - second)
        if hasattr(self, "drop"):
            distance = self.drop(distance)
        return self.out(distance).squeeze(-1)  # type: ignore[no-any-return]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B, 1) for two batches of normalised chips (B, 3, S, S)."""
        return self.compare(self.encode(first), self.encode(second)).unsqueeze(-1)

    def layer_groups(self) -> Mapping[str, list[Weighted]]:
        """Return the layers with weights by the names of `loss.l2_`: the encoder's groups, and `out`."""
        return {**self.encoder.layer_groups(), "out": [self.out]}

    def draw_from(self, generator: Generator) -> None:
        """Let dropout draw from `generator`."""
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.generator = generator


def _with_names_of_now(module: nn.Module, tensors: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Give weights that were kept without the encoder's name their name of now."""
    for name in [name for name in tensors if name.startswith(FIRST_NAMES)]:
        tensors[f"encoder.{name}"] = tensors.pop(name)
