"""No decay."""

from __future__ import annotations

from trainables.config import Schedule


def constant(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Return 1."""
    return 1.0
