"""Torch's own generators for as long as code runs that draws from them: a user's module, which knows no other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Let torch's generators, of the CPU and of `device`, draw from `seed` inside, and go on as before behind it."""
    kind = torch.device(device)
    with torch.random.fork_rng([] if kind.type == "cpu" else [kind], device_type="cuda"):
        torch.manual_seed(seed)
        yield
