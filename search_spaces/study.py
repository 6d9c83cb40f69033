"""A study: a stage with a budget, a seed and a way to sample; and the trials that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from search_spaces.stage import Arm, Budget, Parameter, Stage
from trainables.config import TrialConfig
from trainables.result import Trial

Sampler = Literal["qmc", "tpe", "random"]
Scheduler = Literal["none", "asha"]
SAMPLERS: tuple[Sampler, ...] = ("qmc", "tpe", "random")
SCHEDULERS: tuple[Scheduler, ...] = ("none", "asha")


def name_by_time() -> str:
    """Return a name for a study or a chain: the time to the microsecond, so that no two commands choose the same."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")


@dataclass(frozen=True)
class Start:
    """The config a study starts from, and where it comes from; `found`: its epochs hold for these images too."""

    config: TrialConfig = field(default_factory=TrialConfig)
    origin: str = "the baseline's config"
    found: bool = False


@dataclass(frozen=True)
class Study:
    """What one run asks. The same study on the same data suggests the same trials (sampler qmc or random).

    `stage` becomes that which suits the start.
    """

    stage: Stage
    name: str
    start: TrialConfig
    budget: Budget
    seed: int = 0
    sampler: Sampler = "qmc"
    scheduler: Scheduler = "none"
    reference: TrialConfig = field(default_factory=TrialConfig)  # the report's baseline, as long as it is to train
    smoke: bool = False  # it goes through every part and answers nothing

    def __post_init__(self) -> None:
        """Leave out the arms that make no config of the start; raise ConfigError where that is all of them."""
        object.__setattr__(self, "stage", self.stage.suited(self.start))

    @property
    def read_at(self) -> int:
        """The side at which images are read: that of the arm which wants the largest."""
        return max(self.start.override(arm.values).data.read_at for arm in self.arms())

    def arms(self) -> tuple[Arm, ...]:
        """Return the stage's arms, the incumbent's first: trial 0 is the incumbent."""
        own = self.stage.arm_for(self.start)
        return (own, *(arm for arm in self.stage.arms() if arm.name != own.name))

    def arm_of(self, number: int) -> Arm:
        """Return the arm of trial `number`; arms take turns, so shares differ by one trial at most."""
        arms = self.arms()
        return arms[number % len(arms)]

    def trial(self, number: int, suggested: Mapping[str, Any]) -> Trial:
        """Return trial `number`: the start config with its arm's values and the suggested nuisance values.

        All trials of a search share a seed, so that the best of them is less a matter of luck (docs/evidence.md).
        Trials of one config, where nothing is searched, each have their own.
        """
        arm = self.arm_of(number)
        overrides = {**arm.values, **suggested}
        own = {"epochs": self.budget.epochs, "seed": trial_seed(self.seed, 0 if self.stage.varied else number)}
        config = self.start.override({**overrides, **own})
        return Trial(number, arm.name, {p.path: config.value(p.path) for p in self.varied(arm)}, config)

    def varied(self, arm: Arm) -> list[Parameter]:
        """Return the parameters that `arm` fixes or searches, in the stage's order."""
        return [p for p in self.stage.varied if p in arm.nuisance or p.path in arm.values]

    def incumbent(self) -> Trial:
        """Return trial 0: the starting config itself, at the study's number of epochs."""
        arm = self.arm_of(0)
        return self.trial(0, {p.path: self.start.value(p.path) for p in arm.nuisance})

    def finalists(self, selected: TrialConfig) -> dict[str, TrialConfig]:
        """Return the configs to retrain by role: the selected one, and its rivals where they are other configs."""
        base = {"start": self.incumbent().config, "report": self.reference, "selected": selected}
        finalists = {"selected": selected}
        for rival in self.stage.rivals:
            matched = {path: selected.value(path) for path in rival.matching}
            config = base[rival.of].override({**rival.values, **matched, "seed": selected.seed})
            if config != selected:
                finalists[rival.role] = config
        return finalists

    def repeats(self, finalists: Mapping[str, TrialConfig]) -> list[Trial]:
        """Return each finalist once for each repeat seed: all share these, and no trial or other study has them.

        For a stage that searches nothing; where something is searched, candidates are raced instead.
        """
        limit = {rival.role: rival.seeds for rival in self.stage.rivals if rival.seeds}
        runs = [
            (role, config.override({"seed": self.repeat_seed(repeat)}))
            for repeat in range(self.budget.repeats)
            for role, config in finalists.items()
            if repeat < limit.get(role, self.budget.repeats)
        ]
        return [Trial(number, role, {}, config) for number, (role, config) in enumerate(runs)]

    def repeat_seed(self, repeat: int) -> int:
        """Return the training seed of a run under a new seed (`repeat_seed`)."""
        return repeat_seed(self.seed, self.stage.name, self.start, repeat)


def repeat_seed(study_seed: int, stage: str, start: TrialConfig, repeat: int) -> int:
    """Return the training seed number `repeat` after the search: a function of study seed, stage and start.

    Studies that follow each other share none: what was adopted for its runs under some seeds is measured again under
    others, else each next study would find these lucky runs once more.
    """
    asked = json.dumps([stage, start.identity()], sort_keys=True)
    mark = int.from_bytes(hashlib.sha256(asked.encode("utf-8")).digest()[:8], "big")
    return _seed(study_seed, 1, repeat, mark)


def trial_seed(study_seed: int, number: int) -> int:
    """Return the training seed of a trial: a function of study seed and number alone."""
    return _seed(study_seed, 0, number)


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint32)[0])
