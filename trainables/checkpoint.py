"""A run that can be resumed: everything its next epoch depends on, as plain tensors (no code is ever loaded).

Restored on the CPU, a run continues to the bit as if it had never stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.config import TrialConfig
from trainables.result import EpochMetrics
from trainables.task import Best, packed
from trainables.training import Member, Run

MOMENTS = ("exp_avg", "exp_avg_sq")


def to_bytes(config: TrialConfig, run: Run, best: Best) -> bytes:
    """Return a run and its best epoch as the content of one safetensors file; config and numbers are its metadata."""
    tensors = {f"best.{name}": tensor for name, tensor in best.weights.items()}
    for number, member in enumerate(run.members):
        tensors |= {f"{number}.{name}": tensor for name, tensor in _member_tensors(member).items()}
    described = {
        "config": config.to_dict(),
        "epoch": run.epoch,
        "best": best.epoch.to_dict() if best.epoch else None,
    }
    return bytes(save(packed(tensors), metadata={"run": json.dumps(described)}))


def from_bytes(content: bytes, config: TrialConfig, device: str = "cpu") -> tuple[Run, Best]:
    """Return the run and best epoch that `to_bytes` wrote; raise ValueError for another config's or a damaged file."""
    try:
        described = _metadata(content)
        tensors = load(content)
        if TrialConfig.from_dict(described["config"]) != config:
            raise ValueError("it belongs to another config")
        run = Run.fresh(config, device)
        for number, member in enumerate(run.members):
            _restore(member, _under(tensors, f"{number}."))
        run.epoch = int(described["epoch"])
        best = Best(EpochMetrics.from_dict(described["best"]) if described["best"] else None, _under(tensors, "best."))
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise ValueError(f"not a checkpoint of this trial ({error})") from error
    return run, best


def _member_tensors(member: Member) -> dict[str, Tensor]:
    tensors = {f"model.{name}": tensor for name, tensor in member.model.state_dict().items()}
    for place, parameter in enumerate(member.model.parameters()):
        state = member.optimiser.state.get(parameter, {})
        tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in state.items()}
    return tensors | {"order": member.order.get_state(), "generator": member.generator.get_state()}


@torch.no_grad()
def _restore(member: Member, tensors: Mapping[str, Tensor]) -> None:
    member.model.load_state_dict(_under(tensors, "model."))
    member.order.set_state(tensors["order"])
    member.generator.set_state(tensors["generator"])
    for place, parameter in enumerate(member.model.parameters()):
        saved = _under(tensors, f"optimiser.{place}.")
        if saved:
            # the fused update walks memory: moments must lie in memory as their parameter does
            moments = {name: torch.zeros_like(parameter).copy_(saved[name]) for name in MOMENTS}
            member.optimiser.state[parameter] = {"step": saved["step"].to(parameter.device), **moments}


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _metadata(content: bytes) -> dict[str, Any]:
    """The description in a safetensors header: eight bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    described = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["run"])
    if not isinstance(described, dict):
        raise ValueError("no description")
    return described
