"""Tune's schedulers, which here keep their workers from one phase to the next."""

from __future__ import annotations

import contextlib
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from studies.phase import Phase
from trainables.result import EPOCH_FIELDS, Metric

KEPT = 2**16  # workers that Tune may keep while a phase ends: all


def scheduler_of(phase: Phase, metric: Metric) -> Any:
    """Return the scheduler of a run whose phases are like `phase`."""
    if phase.scheduler == "none":
        return _KeepsWorkers()
    return _OfItsPhase(
        time_attr="epoch",
        metric=metric.name if metric.name in EPOCH_FIELDS else f"own/{metric.name}",  # as Tune flattens a result
        mode=metric.goal,
        max_t=phase.max_epochs,
        grace_period=max(1, phase.max_epochs // 4),
        reduction_factor=2,
    )


class _KeepsWorkers(FIFOScheduler):
    """Starts trials in order, and has Tune keep every worker for the next phase, which it cannot know of.

    By itself it keeps one. Its cache of actors is no public interface: in a Ray without it, workers start anew.
    """

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        super().on_trial_add(controller, trial)
        with contextlib.suppress(AttributeError):
            cache, size = controller._actor_cache, trial.placement_group_factory
            cache.increase_max(size, max(0, KEPT - cache.total_max_objects))


class _OfItsPhase(_KeepsWorkers, ASHAScheduler):
    """ASHA over the trials of phases that have a scheduler; those of the others run to their end."""

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        if trial.config["scheduled"]:
            super().on_trial_add(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> Any:
        return super().on_trial_result(controller, trial, result) if trial.config["scheduled"] else self.CONTINUE

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["scheduled"]:
            super().on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        if trial.config["scheduled"]:
            super().on_trial_remove(controller, trial)
