"""A study: a stage with a budget, a seed and a way to sample; and the trials that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from search_spaces.domain import Domain
from search_spaces.stage import Arm, Budget, Parameter, Stage
from trainables.base_config import Config
from trainables.config import SIDE, TrialConfig
from trainables.result import Trial

Sampler = Literal["qmc", "tpe", "random"]
Scheduler = Literal["none", "asha"]
SAMPLERS: tuple[Sampler, ...] = ("qmc", "tpe", "random")
SCHEDULERS: tuple[Scheduler, ...] = ("none", "asha")


def name_by_time() -> str:
    """Return a name for a study or a chain: the time to the microsecond, so that no two commands choose the same."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")


IN_PYTHON = "given in Python"  # the path of an own stage that no file holds
BASELINE, GIVEN = "the baseline's config", "a config given in Python"  # where a start comes from that no file holds


@dataclass(frozen=True)
class OwnFile:
    """A file of the user's whose code a study runs, by the SHA-256 of its content, and the `name` that is taken of it.

    `path` says where it lay, for a reader; the same content elsewhere is the same.
    """

    path: str = field(compare=False)
    digest: str
    name: str = ""

    @property
    def typed(self) -> str:
        """Return it as it stands on the command line."""
        return f"{self.path}:{self.name}" if self.name else self.path


@dataclass(frozen=True)
class Start:
    """The config a study starts from, and where it comes from; `found`: its epochs hold for these images too.

    `encoder` is the file that an own encoder came from.
    """

    config: Config = field(default_factory=TrialConfig)
    origin: str = BASELINE
    found: bool = False
    encoder: OwnFile | None = None


def stretched(config: Config, epochs: int) -> Config:
    """Return `config` with an exponential decay that comes to as much over `epochs` as now over its own.

    Its rate is multiplied by gamma each epoch, so twice the epochs take the root of gamma. That is where to start from;
    the playbook has the schedule tuned again when the training length changes.
    """
    if not isinstance(config, TrialConfig) or config.schedule.kind != "exponential" or epochs == config.epochs:
        return config
    return config.override({"schedule.gamma": config.schedule.gamma ** (config.epochs / epochs)})


@dataclass(frozen=True)
class Change:
    """What a round does otherwise than what came before, in words; the check that asked for it, and its evidence."""

    what: str
    check: str
    why: str


@dataclass(frozen=True)
class Round:
    """Trials that a search adds because of what the checks found in those before: `trials` from number `first` on.

    `arms` take turns. `ranges` are in force from here on, by path, where they are not the stage's. Trials of a widened
    range are `drawn` from a part of it, which reaches from within the old range to the new end. `values` are set in
    every trial of the round. Without `changes` it is no answer to checks: the user has asked for these trials.
    """

    first: int
    trials: int
    arms: tuple[str, ...]
    changes: tuple[Change, ...]
    ranges: Mapping[str, Domain] = field(default_factory=dict)
    drawn: Mapping[str, Domain] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_checks(self) -> bool:
        """Return whether checks asked for it."""
        return bool(self.changes)

    @property
    def told(self) -> str:
        """Return what is changed and why, in a line."""
        return "; ".join(f"{change.what} ({change.check}: {change.why})" for change in self.changes)


@dataclass(frozen=True)
class Study:
    """What one run asks. The same study on the same data suggests the same trials (sampler qmc or random).

    `stage` becomes that which suits the start.
    `rounds` are those after the first; the budget's trials are all of them together. `own_files` has the user's own
    code by the option that brought it, "encoder" and "stage". `test_unseen`: a step of a chain, whose last one alone
    asks the test split; it changes no trial. `left_out`: the arms that do not suit the start, and why.
    """

    stage: Stage
    name: str
    start: Config
    budget: Budget
    seed: int = 0
    sampler: Sampler = "qmc"
    scheduler: Scheduler = "none"
    reference: Config = field(default_factory=TrialConfig)  # the paper's baseline, as long as it is to train
    smoke: bool = False  # it goes through every part and answers nothing
    rounds: tuple[Round, ...] = ()
    own_files: Mapping[str, OwnFile] = field(default_factory=dict)
    test_unseen: bool = field(default=False, compare=False)
    left_out: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Leave out the arms that make no config of the start; raise ConfigError where that is all of them."""
        if unfit := self.stage.unfit(self.start):
            object.__setattr__(self, "left_out", {**self.left_out, **unfit})
            object.__setattr__(self, "stage", self.stage.suited(self.start))

    @property
    def read_at(self) -> int:
        """The side at which images are read: that of the arm which wants the largest."""
        configs = [self.start.override(arm.values) for arm in self.arms()]
        return max((config.data.read_at for config in configs if isinstance(config, TrialConfig)), default=SIDE)

    def arms(self) -> tuple[Arm, ...]:
        """Return the stage's arms, the start's first: trial 0 is the start."""
        own = self.stage.arm_for(self.start)
        return (own, *(arm for arm in self.stage.arms() if arm.name != own.name))

    def arm_of(self, number: int) -> Arm:
        """Return the arm of trial `number`; the arms of a round take turns, so shares differ by one trial at most."""
        own = self.round_of(number)
        arms = [arm for arm in self.arms() if own is None or arm.name in own.arms]
        return arms[(number - (own.first if own else 0)) % len(arms)]

    def round_of(self, number: int) -> Round | None:
        """Return the round that trial `number` belongs to; None for the first, which follows from the stage alone."""
        return next((own for own in reversed(self.rounds) if own.first <= number), None)

    @property
    def first_trials(self) -> int:
        """Return how many trials the first round has."""
        return self.rounds[0].first if self.rounds else self.budget.trials

    def with_more(self, trials: int, rounds: int) -> Study:
        """Return the study with so many trials in all and so many rounds at most, if that is more than it has.

        Trials behind a round's are of all arms, over the whole of the ranges that are in force by then.
        """
        more, added = max(trials, self.budget.trials), self.rounds
        if self.rounds and more > self.budget.trials:
            last, arms = self.rounds[-1], tuple(arm.name for arm in self.arms())
            own = Round(self.budget.trials, more - self.budget.trials, arms, (), last.ranges, {}, last.values)
            added = (*self.rounds, own)
        budget = replace(self.budget, trials=more, rounds=max(rounds, self.budget.rounds), minutes=None)
        return replace(self, budget=budget, rounds=added)

    def as_asked(self) -> Study:
        """Return the study without what its findings have added to it."""
        return replace(self, budget=replace(self.budget, trials=self.first_trials), rounds=())

    def within(self, minutes: float) -> Study:
        """Return the study as one that plans its trials and repeats itself, to fit into so many minutes.

        Where it searches, its first trials are one of each arm; where it does not, they are all there are.
        """
        trials = len(self.arms()) if self.stage.varied else self.budget.trials
        return replace(self, budget=replace(self.budget, trials=trials, minutes=minutes))

    def space(self, number: int) -> dict[str, Domain]:
        """Return what trial `number` is drawn from: the range of each nuisance parameter of its arm."""
        own = self.round_of(number)
        changed = {**own.ranges, **own.drawn} if own else {}
        return {p.path: changed.get(p.path, p.domain) for p in self.arm_of(number).nuisance if p.domain is not None}

    def trial(self, number: int, suggested: Mapping[str, Any]) -> Trial:
        """Return trial `number`: the start config with its arm's values and the suggested nuisance values.

        All trials of a search share a seed, so that the best of them is less a matter of luck (docs/evidence.md).
        Trials of one config, where nothing is searched, each have their own.
        """
        arm = self.arm_of(number)
        round_ = self.round_of(number)
        overrides = {**arm.values, **suggested, **(round_.values if round_ else {})}
        own = {"epochs": self.budget.epochs, "seed": trial_seed(self.seed, 0 if self.stage.varied else number)}
        config = self.start.override({**overrides, **own})
        return Trial(number, arm.name, {p.path: config.value(p.path) for p in self.varied(arm)}, config)

    def varied(self, arm: Arm) -> list[Parameter]:
        """Return the parameters that `arm` fixes or searches, in the stage's order."""
        return [p for p in self.stage.varied if p in arm.nuisance or p.path in arm.values]

    def start_trial(self) -> Trial:
        """Return trial 0: the starting config itself, at the study's number of epochs."""
        arm = self.arm_of(0)
        return self.trial(0, {p.path: self.start.value(p.path) for p in arm.nuisance})

    def finalists(self, selected: Config) -> dict[str, Config]:
        """Return the configs to retrain by role: the selected one, and its rivals where they are other configs."""
        base = {"start": self.start_trial().config, "report": self.reference, "selected": selected}
        finalists = {"selected": selected}
        for rival in self.stage.rivals:
            matched = {path: selected.value(path) for path in rival.matching}
            length = {"epochs": self.budget.epochs} if self.smoke else {}
            config = base[rival.of].override({**rival.values, **matched, **length, "seed": selected.seed})
            if config != selected:
                finalists[rival.role] = config
        return finalists

    def repeats(self, finalists: Mapping[str, Config]) -> list[Trial]:
        """Return each finalist once for each repeat seed: all share these, and no trial or other study has them.

        For a stage that searches nothing; where something is searched, candidates are raced instead.
        """
        counts = self.repeated(finalists)
        runs = [
            (role, config.override({"seed": self.repeat_seed(repeat)}))
            for repeat in range(self.budget.repeats)
            for role, config in finalists.items()
            if repeat < counts[role]
        ]
        return [Trial(number, role, {}, config) for number, (role, config) in enumerate(runs)]

    def repeated(self, finalists: Iterable[str]) -> dict[str, int]:
        """Return under how many repeat seeds each finalist is trained: all, or as many as its rival is given."""
        limit = {rival.role: rival.seeds for rival in self.stage.rivals if rival.seeds}
        return {role: min(self.budget.repeats, limit.get(role, self.budget.repeats)) for role in finalists}

    def repeat_seed(self, repeat: int) -> int:
        """Return the training seed of a run under a new seed (`repeat_seed`)."""
        return repeat_seed(self.seed, self.stage.name, self.start, repeat)


def repeat_seed(study_seed: int, stage: str, start: Config, repeat: int) -> int:
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
