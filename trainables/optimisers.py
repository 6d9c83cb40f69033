"""The optimiser, its step, and the learning rate of each step (report, section 1.6)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from trainables.config import Optimiser, TrialConfig


def make_optimiser(config: Optimiser, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
    """Return Adam with the config's rate and weight decay, one fused update a step."""
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def take_step(optimiser: torch.optim.Adam, lr: float, clip_norm: float) -> Tensor:
    """Move the weights at rate `lr` along their gradient, clipped to `clip_norm` (0: as it is); return its norm, ().

    The norm is Euclidean, over all weights together, before clipping and without Adam's weight decay. It stays on the
    device: nothing waits for it.
    """
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if clip_norm:
        clip_grads_with_norm_(weights, clip_norm, norm)
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.step()
    return norm


def learning_rates(config: TrialConfig, epoch: int, steps: int) -> list[float]:
    """Return the rate of each of the `steps` steps of `epoch` (0 is the first).

    Step t of the run (0 is the first) has the schedule's rate of its epoch times min(1, (t + 1) / (warmup * steps)).
    """
    rate, rise = learning_rate(config, epoch), config.schedule.warmup * steps
    done = epoch * steps
    return [rate if done + step >= rise else rate * (done + step) / rise for step in range(1, steps + 1)]


def learning_rate(config: TrialConfig, epoch: int) -> float:
    """Return the schedule's rate of `epoch` (0 is the first), constant within an epoch.

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
