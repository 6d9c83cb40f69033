"""What is trained together, as a value: trials that are wanted, where they come from, and who watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from search_spaces.study import Scheduler
from trainables.result import EpochMetrics, History, Trial, TrialResult


class TrialSource(Protocol):
    """Says which config a trial has; asked once for each number that was never begun, in order."""

    def ask(self, number: int) -> Trial:
        """Return trial `number`."""
        ...


class Observer(Protocol):
    """Hears what happens, in the driver, as it happens."""

    def started(self, trial: Trial, ray_id: str) -> None:
        """Hear that a trial was handed to Ray, which calls it `ray_id`; a trial that goes on is handed over again."""
        ...

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Hear of a finished epoch."""
        ...

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Hear how a trial ended, with all its epochs."""
        ...


@dataclass(frozen=True)
class Phase:
    """Trials that are known to be wanted, and who watches them; a search is one, the retraining of finalists another.

    `numbers` are the trials to run; those in `begun` go on, from their checkpoint in `states` if it is there. There
    running trials keep their checkpoints, in `weights`, if named, each its best weights.
    """

    source: TrialSource
    numbers: Sequence[int]
    observers: Sequence[Observer]
    states: Path
    weights: Path | None = None
    begun: Mapping[int, History] = field(default_factory=dict)
    scheduler: Scheduler = "none"
    max_epochs: int = 1
