"""Decay along half a cosine wave."""

from __future__ import annotations

import math

from trainables.config import Schedule


def cosine(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Return the way from 1 towards `floor` over `epochs`, half a period (Loshchilov and Hutter 2017, no restarts)."""
    half_wave = (1 + math.cos(math.pi * epoch / epochs)) / 2
    return schedule.floor + (1 - schedule.floor) * half_wave
