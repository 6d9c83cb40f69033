"""The report's network (section 1.3): one shared encoder, L1 distance, one linear unit; 41,553 parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 75
EMBEDDING = 18


class SiameseNetwork(nn.Module):
    """Two chips in, one logit out: sigmoid(logit) is the probability that they show different classes.

    The layers and their order are the report's. `encode` applies each ReLU after its max-pool: max and ReLU commute,
    so the result is the same and a quarter of the elements are touched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 5, kernel_size=3, stride=1, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(5, 5, kernel_size=3, stride=1, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(5, 7, kernel_size=3, stride=1, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.fc1 = nn.Sequential(nn.Linear(7 * (SIDE // 4) ** 2, EMBEDDING), nn.Sigmoid())
        self.out = nn.Linear(EMBEDDING, 1)

    def encode(self, chips: Tensor) -> Tensor:
        """Return embeddings (B, 18) of normalised chips (B, 3, 75, 75)."""
        conv1, relu1, pool1, conv2, relu2, pool2, conv3, relu3, flatten = self.conv
        x = relu1(pool1(conv1(chips)))
        x = relu2(pool2(conv2(x)))
        return self.fc1(flatten(relu3(conv3(x))))  # type: ignore[no-any-return]

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B,) of "different" for two batches of embeddings (B, 18)."""
        return self.out(torch.abs(first - second)).squeeze(-1)  # type: ignore[no-any-return]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B, 1) for two batches of normalised chips (B, 3, 75, 75)."""
        return self.compare(self.encode(first), self.encode(second)).unsqueeze(-1)
