"""The stages in the order of the experiment; each starts from what the one before adopted."""

from __future__ import annotations

from search_spaces.baseline import BASELINE
from search_spaces.lr import LR
from search_spaces.stage import Stage
from trainables.errors import ConfigError

STAGES: tuple[Stage, ...] = (BASELINE, LR)


def stage_named(name: str) -> Stage:
    """Return the stage called `name`; raise ConfigError, listing the stages, if there is none."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ConfigError(f"unknown stage {name!r}; the stages are {', '.join(stage.name for stage in STAGES)}")


def stage_before(stage: Stage) -> Stage | None:
    """Return the stage that comes before `stage` in the experiment; None for the first."""
    place = STAGES.index(stage)
    return STAGES[place - 1] if place else None
