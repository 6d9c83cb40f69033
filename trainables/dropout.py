"""Dropout that a seed decides."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn


class Dropout(nn.Module):
    """Dropout whose zeros come from an explicit `generator` (on the CPU), so that a seed decides them."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` in evaluation; in training, each element 0 with probability `rate`, else scaled by 1/(1-rate)."""
        if not self.training:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= self.rate
        return x * kept.to(x.device) / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return what a printed network shows."""
        return f"p={self.rate:g}"
