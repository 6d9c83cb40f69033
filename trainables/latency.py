"""What a verifier costs at use: the time that one pair takes."""

from __future__ import annotations

import time
from statistics import median

import torch

from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.ensemble import mean_score
from trainables.losses import make_loss
from trainables.model import SiameseNetwork
from trainables.stored_chips import load

PAIRS = 25  # timed one by one, after as many that are not


@torch.no_grad()
def pair_milliseconds(config: TrialConfig, data: TrialData) -> float:
    """Return the median milliseconds from two chips in memory to their score, on one thread of this machine's CPU.

    Pairs are validation's and come alone, as in use; reading an image file is not in it. Untrained networks stand in
    for the trained: the time is that of their layers, whatever the weights.
    """
    validation, loss = load(data.validation, data), make_loss(config.loss)
    members = config.ensemble.members if config.ensemble.combine == "average" else 1
    networks = [SiameseNetwork(config.network, config.data).laid_out().eval() for _ in range(members)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken = []
        for number in range(2 * PAIRS):
            at = number % len(validation.target)
            both = torch.stack([validation.first[at], validation.second[at]])
            began = time.perf_counter()
            embedded = [network.encode(validation.chips.batch(both)).chunk(2) for network in networks]
            score = [loss.score(network, *pair) for network, pair in zip(networks, embedded, strict=True)]
            float(mean_score(score))
            taken.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(taken[PAIRS:])


def parameters(config: TrialConfig) -> int:
    """Return how many numbers a network of `config` has learned."""
    return sum(parameter.numel() for parameter in SiameseNetwork(config.network, config.data).parameters())
