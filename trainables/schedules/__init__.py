"""The learning rate of each epoch and step; a file a schedule. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainables.config import Schedule, TrialConfig
from trainables.schedules.constant import constant
from trainables.schedules.cosine import cosine
from trainables.schedules.exponential import exponential

Decay = Callable[[Schedule, int, int], float]  # of an epoch (0 is the first) and the number of epochs: a share of lr

SCHEDULES: Mapping[str, Decay] = {
    "constant": constant,
    "exponential": exponential,
    "cosine": cosine,
}


def learning_rates(config: TrialConfig, epoch: int, steps: int) -> list[float]:
    """Return the rate of each of the `steps` steps of `epoch` (0 is the first).

    Step t of the run (0 is the first) has the schedule's rate of its epoch times min(1, (t + 1) / (warmup * steps)).
    """
    rate, rise = learning_rate(config, epoch), config.schedule.warmup * steps
    done = epoch * steps
    return [rate if done + step >= rise else rate * (done + step) / rise for step in range(1, steps + 1)]


def learning_rate(config: TrialConfig, epoch: int) -> float:
    """Return the schedule's rate of `epoch` (0 is the first), constant within an epoch."""
    return config.optimiser.lr * SCHEDULES[config.schedule.kind](config.schedule, epoch, config.epochs)
