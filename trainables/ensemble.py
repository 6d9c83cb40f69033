"""Several networks for one answer: their configs, how they become one score, and how they are kept as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.model import SiameseNetwork

SEED_STRIDE = 0x9E3779B97F4A7C15  # odd, so that a config's members never share a seed


def member_configs(config: TrialConfig) -> list[TrialConfig]:
    """Return one single-network config for each member; the first has the config's own seed and initialisation."""
    ensemble = config.ensemble
    second = config.init.kind if ensemble.second_init == "same" else ensemble.second_init
    return [
        config.override(
            {
                "seed": (config.seed + member * SEED_STRIDE) % 2**63,
                "init.kind": second if member % 2 else config.init.kind,
                "ensemble.members": 1,
            }
        )
        for member in range(ensemble.members)
    ]


def mean_score(scores: Sequence[Tensor]) -> Tensor:
    """Return the average (P,) of the members' scores, each (P,)."""
    return torch.stack(list(scores)).mean(0)


def pack(networks: Sequence[SiameseNetwork]) -> dict[str, Tensor]:
    """Return copies of all weights on the CPU; the names of several networks begin with the network's number."""
    states = [network.state_dict() for network in networks]
    prefixes = [""] if len(states) == 1 else [f"{number}." for number in range(len(states))]
    return {
        prefix + name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for prefix, state in zip(prefixes, states, strict=True)
        for name, tensor in state.items()
    }


def unpack(config: TrialConfig, tensors: Mapping[str, Tensor]) -> list[SiameseNetwork]:
    """Return the networks that `pack` wrote for `config`, ready to answer; RuntimeError for others."""
    several = config.ensemble.combine == "average" and config.ensemble.members > 1
    prefixes = [f"{number}." for number in range(config.ensemble.members)] if several else [""]
    networks = []
    for prefix in prefixes:
        network = SiameseNetwork(config.network, config.data)
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(own)
        networks.append(network.laid_out().eval())
    return networks
