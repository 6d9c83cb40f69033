"""The optimiser and its step (report, section 1.6)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from trainables.config import Optimiser


class Adam(torch.optim.Adam):
    """Torch's Adam without the wrappers that tell `torch.compile` to keep out, which load it: two seconds a process."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


def make_optimiser(config: Optimiser, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
    """Return Adam with the config's rate and weight decay, one fused update a step."""
    return Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


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
