"""The stages in the order of the experiment; each starts from what the one before adopted."""

from __future__ import annotations

from search_spaces.stage import Stage
from search_spaces.stages.baseline import BASELINE
from search_spaces.stages.ensemble import ENSEMBLE
from search_spaces.stages.final import FINAL
from search_spaces.stages.init import INIT
from search_spaces.stages.loss import LOSS
from search_spaces.stages.lr import LR
from search_spaces.stages.regularisation import REGULARISATION
from trainables.errors import ConfigError

STAGES: tuple[Stage, ...] = (BASELINE, LOSS, LR, REGULARISATION, INIT, ENSEMBLE, FINAL)


def stage_named(name: str) -> Stage:
    """Return the stage called `name`; raise ConfigError, listing the stages, if there is none."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ConfigError(f"unknown stage {name!r}; the stages are {', '.join(stage.name for stage in STAGES)}")


def stages_before(stage: Stage) -> tuple[Stage, ...]:
    """Return the stages that come before `stage` in the experiment, the nearest first."""
    return STAGES[: STAGES.index(stage)][::-1]


def stage_after(stage: Stage) -> Stage | None:
    """Return the stage that follows `stage` in the experiment; None for the last."""
    return next(iter(STAGES[STAGES.index(stage) + 1 :]), None)
