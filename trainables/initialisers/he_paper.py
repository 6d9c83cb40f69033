"""He et al.'s initialisation as the paper writes it (section 1.4)."""

from __future__ import annotations

import math

from torch import Generator, nn


def he(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """The paper's: weights N(0, 2 / D), biases N(0.5, 2 / D), the second number a variance.

    D is the number of input channels (convolution) or input features (linear), as the paper writes it.
    """
    draw_normal(layer, generator, sd=math.sqrt(2.0 / layer.weight.shape[1]))


def draw_normal(layer: nn.Conv2d | nn.Linear, generator: Generator, sd: float) -> None:
    """Draw weights from N(0, sd^2), biases from N(0.5, sd^2)."""
    for name, parameter in layer.named_parameters():
        parameter.normal_(0.5 if name == "bias" else 0.0, sd, generator=generator)
