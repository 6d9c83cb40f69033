"""Decay by the same factor every epoch."""

from __future__ import annotations

from trainables.config import Schedule


def exponential(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Return gamma^epoch (report, equation 2)."""
    return schedule.gamma**epoch
