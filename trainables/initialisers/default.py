"""Torch's own initialisation."""

from __future__ import annotations

import math

from torch import Generator, nn


def default(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """Torch's own: weights and biases uniform in +-1 / sqrt(fan in)."""
    bound = 1.0 / math.sqrt(layer.weight[0].numel())
    for parameter in layer.parameters():
        parameter.uniform_(-bound, bound, generator=generator)
