"""ResNet-18 (He et al. 2016) as torchvision has it, its weights drawn as `init.kind` says or read from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoders.encoder import Encoder, normalised
from trainables.encoders.weights import read_weights
from trainables.errors import InputError
from trainables.stored_chips import Batch

OF_TORCHVISION = {  # the names that torchvision has for our layers
    "stem.0.": "conv1.",
    "stem.1.": "bn1.",
    **{f"stages.{number}.": f"layer{number + 1}." for number in range(4)},
}


class ResNet18(Encoder):
    """Embeddings (B, `embedding`): 11.2 million parameters, the last map averaged, a linear layer in the end."""

    def __init__(self, network: Network, side: int) -> None:
        super().__init__()
        from torchvision.models import resnet18  # a second to load, and for this encoder alone

        self.embedding = network.embedding
        whole = resnet18(weights=None)
        self.stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
        self.stages = nn.Sequential(whole.layer1, whole.layer2, whole.layer3, whole.layer4)
        dropout = [Dropout(network.dropout_conv)] if network.dropout_conv else []
        self.head = nn.Sequential(*dropout, nn.Linear(whole.fc.in_features, network.embedding))

    @torch.no_grad()
    def start_with(self, weights: str) -> None:
        """Take all but the last linear layer from a file of torchvision's; raise InputError where it has none that fit.

        torchvision.models.ResNet18_Weights says where each set comes from and what it was trained on.
        """
        kept = read_weights(Path(weights))
        for name, tensor in self.state_dict().items():
            layer = next((layer for layer in OF_TORCHVISION if name.startswith(layer)), None)
            if layer is None:
                continue
            known = OF_TORCHVISION[layer] + name.removeprefix(layer)
            found = kept.get(known)
            if found is None or found.shape != tensor.shape:
                why = (
                    f"lacks {known}" if found is None else f"{known} is {tuple(found.shape)}, not {tuple(tensor.shape)}"
                )
                raise InputError(f"init.weights {weights}: not the weights of torchvision's resnet18 ({why})")
            tensor.copy_(found)

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the map (B, 512, S / 32, S / 32), sides rounded up, of the last stage."""
        return self.stages(self.stem(normalised(chips)))  # type: ignore[no-any-return]

    def embed(self, features: Tensor) -> Tensor:
        """Return a linear map of the features' means."""
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]
