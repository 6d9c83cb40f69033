"""ResNet-18 (He et al. 2016) as torchvision has it, its weights drawn as `init.kind` says."""

from __future__ import annotations

from torch import Tensor, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoders.encoder import Encoder, normalised
from trainables.stored import Batch


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

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the map (B, 512, S / 32, S / 32), sides rounded up, of the last stage."""
        return self.stages(self.stem(normalised(chips)))  # type: ignore[no-any-return]

    def embed(self, features: Tensor) -> Tensor:
        """Return a linear map of the features' means."""
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]
