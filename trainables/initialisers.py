"""How weights start, each drawn from an explicit generator (report, section 1.4; He et al. 2015; Koch et al. 2015)."""

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
    """The report's: weights N(0, 2 / D), biases N(0.5, 2 / D), the second number a variance.

    D is the number of input channels (convolution) or input features (linear), as the report writes it.
    """
    _normal(layer, generator, sd=math.sqrt(2.0 / layer.weight.shape[1]))


def he_fan_in(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """As `he`, with D the fan in, input channels times kernel area, as He et al. (2015, equation 10) define it."""
    _normal(layer, generator, sd=math.sqrt(2.0 / layer.weight[0].numel()))


def koch(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """Koch et al. (2015, section 3.2): weights N(0, 0.01) in convolutions, N(0, 0.2) in linear layers.

    Biases are N(0.5, 0.01) everywhere; the second numbers are standard deviations.
    """
    layer.weight.normal_(0.0, 0.01 if isinstance(layer, nn.Conv2d) else 0.2, generator=generator)
    assert layer.bias is not None
    layer.bias.normal_(0.5, 0.01, generator=generator)


def _normal(layer: nn.Conv2d | nn.Linear, generator: Generator, sd: float) -> None:
    for name, parameter in layer.named_parameters():
        parameter.normal_(0.5 if name == "bias" else 0.0, sd, generator=generator)


INITIALISERS: dict[str, Callable[[nn.Conv2d | nn.Linear, Generator], None]] = {
    "default": default,
    "he": he,
    "he_fan_in": he_fan_in,
    "koch": koch,
}


@torch.no_grad()
def initialise(model: nn.Module, kind: str, generator: Generator) -> None:
    """Draw every convolution and linear layer of `model` anew, in the order of its layers."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            INITIALISERS[kind](layer, generator)
