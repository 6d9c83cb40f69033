"""The initialisation of Koch et al. (2015)."""

from __future__ import annotations

from torch import Generator, nn


def koch(layer: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """Koch et al. (2015, section 3.2): weights N(0, 0.01) in convolutions, N(0, 0.2) in linear layers.

    Biases are N(0.5, 0.01) everywhere; the second numbers are standard deviations.
    """
    layer.weight.normal_(0.0, 0.01 if isinstance(layer, nn.Conv2d) else 0.2, generator=generator)
    if layer.bias is not None:
        layer.bias.normal_(0.5, 0.01, generator=generator)
