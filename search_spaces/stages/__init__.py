"""The stages in the order of the experiment; each starts from what the one before adopted."""

from __future__ import annotations

from collections.abc import Collection

from search_spaces.stage import Stage
from search_spaces.stages.baseline import BASELINE
from search_spaces.stages.ensemble import ENSEMBLE
from search_spaces.stages.final import FINAL
from search_spaces.stages.init import INIT
from search_spaces.stages.loss import LOSS
from search_spaces.stages.lr import LR
from search_spaces.stages.network import NETWORK
from search_spaces.stages.regularisation import REGULARISATION
from trainables.errors import ConfigError

STAGES: tuple[Stage, ...] = (BASELINE, NETWORK, LOSS, LR, REGULARISATION, INIT, ENSEMBLE, FINAL)
OPTIONAL = ("network",)  # not of the paper's experiment: a chain asks them where they are named


def chain_with(optional: Collection[str] = ()) -> tuple[Stage, ...]:
    """Return the stages of a chain: the paper's, and of the optional ones those that are named, each at its place."""
    return tuple(stage for stage in STAGES if stage.name not in OPTIONAL or stage.name in optional)


def stage_named(name: str) -> Stage:
    """Return the stage called `name`; raise ConfigError, listing the stages, if there is none."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ConfigError(f"unknown stage {name!r}; the stages are {', '.join(stage.name for stage in STAGES)}")


def stages_before(stage: Stage) -> tuple[Stage, ...]:
    """Return the stages that come before `stage` in the experiment, the nearest first.

    A user's own stage stands before `final`, which adopts nothing.
    """
    names = [each.name for each in STAGES]
    return STAGES[: names.index(stage.name if stage.name in names else FINAL.name)][::-1]


def stage_after(stage: Stage, optional: Collection[str] = ()) -> Stage | None:
    """Return the stage that follows `stage` in the chain with these `optional` ones; None for the last."""
    later = STAGES[STAGES.index(stage) + 1 :]
    return next((each for each in later if each in chain_with(optional)), None)
