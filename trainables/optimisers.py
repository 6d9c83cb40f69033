"""The optimiser and its step (report, section 1.6)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from trainables.config import Optimiser


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
