"""The Siamese network: one shared encoder, and a head that compares its embeddings.

The paper's head is the L1 distance and one linear unit (section 1.3; Koch et al. 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from trainables.config import Data, Network
from trainables.dropout import Dropout
from trainables.encoders import make_encoder
from trainables.encoders.encoder import Weighted
from trainables.encoders.own import Own
from trainables.stored_chips import Batch

TINY = 1e-12  # keeps the gradient of a distance finite where two embeddings are equal
STEEPNESS = 5.0  # of the logit over the distance of unit vectors, before training: from -5 at 0 to 2 at right angles
FIRST_NAMES = ("conv.", "fc1.")  # of the paper's layers, in what was kept before there were other encoders


class SiameseNetwork(nn.Module):
    """Two chips in, one logit out: sigmoid(logit) is the probability that they show different classes.

    `network` names the encoder and the head, `out`; by default both are the paper's, 41,553 parameters. Dropout may
    stand before `out`. `data` says how stored chips are shown to the encoder; chips that are normalised already, it
    takes as they are.
    """

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        super().__init__()
        network, self._data = network or Network(), data or Data()
        self.encoder = make_encoder(network, self._data.side)
        if network.dropout_out:
            self.drop = Dropout(network.dropout_out)
        self.out = Distance() if network.head == "distance" else nn.Linear(self.encoder.embedding, 1)
        self.register_load_state_dict_pre_hook(_with_names_of_now)  # type: ignore[no-untyped-call]

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the encoder's map of features (B, F, h, w) of stored chips, or of normalised ones (B, 3, S, S)."""
        seen = chips.shown(self._data.side, self._data.grey) if isinstance(chips, Batch) else chips
        return self.encoder.features(seen)

    def encode(self, chips: Batch | Tensor) -> Tensor:
        """Return embeddings (B, E) of stored chips, or of normalised ones (B, 3, S, S)."""
        return self.embed(self.features(chips))

    def embed(self, features: Tensor) -> Tensor:
        """Return embeddings (B, E) of what `features` returned: unit vectors for a head that takes their distance."""
        embeddings = self.encoder.embed(features)
        return F.normalize(embeddings, dim=-1) if isinstance(self.out, Distance) else embeddings

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B,) of "different" for two batches of embeddings (B, E)."""
        differences = torch.abs(first - second)
        if hasattr(self, "drop"):
            differences = self.drop(differences)
        return self.out(differences).squeeze(-1)  # type: ignore[no-any-return]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B, 1) for two batches of normalised chips (B, 3, S, S)."""
        return self.compare(self.encode(first), self.encode(second)).unsqueeze(-1)

    def layer_groups(self) -> Mapping[str, list[Weighted]]:
        """Return the layers with weights by the names of `loss.l2_`: the encoder's groups, and `out`."""
        return {**self.encoder.layer_groups(), "out": [self.out] if isinstance(self.out, nn.Linear) else []}

    def draw_from(self, generator: Generator) -> None:
        """Let dropout, and whatever a user's own module draws, draw from `generator`."""
        for layer in self.modules():
            if isinstance(layer, Dropout | Own):
                layer.generator = generator

    def laid_out(self, device: str = "cpu") -> SiameseNetwork:
        """Return the network on `device`, its weights in the memory format of its encoder."""
        return self.to(device).to(memory_format=self.encoder.memory_format)


class Distance(nn.Module):
    """A logit (B, 1) of the Euclidean distance d of two embeddings: 5 e^s (d - 1 - t), with `s` and `t` learned.

    Both start at 0 whatever the initialisation, which a weight decay draws them to: a slope of the wrong sign would
    push what is alike apart before it turned. Takes absolute differences (B, E).
    """

    def __init__(self) -> None:
        super().__init__()
        self.s, self.t = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, differences: Tensor) -> Tensor:
        """Return logits of "different" (B, 1)."""
        distance = torch.sqrt(differences.square().sum(-1, keepdim=True) + TINY)
        return STEEPNESS * torch.exp(self.s) * (distance - 1 - self.t)


def _with_names_of_now(module: nn.Module, tensors: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Give weights that were kept without the encoder's name their name of now."""
    for name in [name for name in tensors if name.startswith(FIRST_NAMES)]:
        tensors[f"encoder.{name}"] = tensors.pop(name)
