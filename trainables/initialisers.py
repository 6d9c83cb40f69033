"""How weights start, each drawn from an explicit generator (report, section 1.4).

D is the number of input channels (convolution) or input features (linear), as the report writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, nn


def default(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """Torch's own: weights and biases uniform in +-1 / sqrt(fan in)."""
    bound = 1.0 / math.sqrt(layer.weight[0].numel())
    for parameter in layer.parameters():
        parameter.uniform_(-bound, bound, generator=generator)


def he(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """The report's: weights N(0, 2 / D), biases N(0.5, 2 / D), the second number a variance."""
    sd = math.sqrt(2.0 / layer.weight.shape[1])
    for name, parameter in layer.named_parameters():
        parameter.normal_(0.5 if name == "bias" else 0.0, sd, generator=generator)


INITIALISERS: dict[str, Callable[[nn.Conv2d | nn.Linear, Generator], None]] = {"default": default, "he": he}


@torch.no_grad()
def initialise(model: nn.Module, kind: str, generator: Generator) -> None:
    """Draw every convolution and linear layer of `model` anew, in the order of its layers."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            INITIALISERS[kind](layer, generator)
