"""He et al.'s initialisation as they define it (2015, equation 10)."""

from __future__ import annotations

import math

from torch import Generator, nn

from trainables.initialisers.he_paper import draw_normal


def he_fan_in(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """As `he`, with D the fan in, input channels times kernel area, as He et al. (2015, equation 10) define it."""
    draw_normal(layer, generator, sd=math.sqrt(2.0 / layer.weight[0].numel()))
