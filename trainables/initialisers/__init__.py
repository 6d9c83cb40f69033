"""How weights start, each drawn from an explicit generator; a file an initialisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Generator, nn

from trainables.encoders.own import Own
from trainables.initialisers.default import default
from trainables.initialisers.he_fan_in import he_fan_in
from trainables.initialisers.he_paper import he
from trainables.initialisers.koch import koch

Initialiser = Callable[[nn.Conv2d | nn.Linear, Generator], None]  # draws the weights and biases of one layer anew

INITIALISERS: Mapping[str, Initialiser] = {
    "default": default,
    "he": he,
    "he_fan_in": he_fan_in,
    "koch": koch,
}


@torch.no_grad()
def initialise(model: nn.Module, kind: str, generator: Generator) -> None:
    """Draw every convolution and linear layer of `model` anew, in the order of its layers.

    But with `default` a user's own encoder keeps what it started with: it may have drawn, or loaded, what it needs.
    """
    own = [layer for layer in model.modules() if isinstance(layer, Own)]
    kept = {id(layer) for encoder in own for layer in encoder.modules()} if kind == "default" else set()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and id(layer) not in kept:
            INITIALISERS[kind](layer, generator)
