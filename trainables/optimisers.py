"""The optimiser, and the learning rate of each epoch (report, section 1.6)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from trainables.config import Optimiser, TrialConfig


def make_optimiser(config: Optimiser, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
    """Return Adam with the config's rate and weight decay, one fused update a step."""
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: TrialConfig, epoch: int) -> float:
    """Return the rate of `epoch` (0 is the first), constant within an epoch.

    constant: lr; exponential: lr * gamma^epoch (report, equation 2); cosine: from lr towards floor * lr over
    `config.epochs`, half a period (Loshchilov and Hutter 2017, without restarts).
    """
    schedule, lr = config.schedule, config.optimiser.lr
    match schedule.kind:
        case "exponential":
            return lr * schedule.gamma**epoch
        case "cosine":
            half_wave = (1 + math.cos(math.pi * epoch / config.epochs)) / 2
            return lr * (schedule.floor + (1 - schedule.floor) * half_wave)
        case _:
            return lr
