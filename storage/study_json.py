"""What study.json holds, as one frozen value: what was asked, of which data, where, and what was settled on the way.

`read_manifest` and `write_manifest` (storage/folder.py) alone read and write the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces.domain import Domain, spanning
from search_spaces.stage import Budget, Judged, Parameter
from search_spaces.study import OwnFile, Round, Sampler, Scheduler
from storage.data_source import Source
from trainables.base_config import Config
from trainables.json_values import from_plain, to_plain
from trainables.result import Metric

SCHEMA = 1


@dataclass(frozen=True)
class SplitSizes:
    """How the chips were split, and how many each part has; where whole `classes` were held out, each part's names."""

    kind: str
    train: int
    validation: int
    test: int
    classes: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class PairCount:
    """Pairs of a part, and which share of them is of one class."""

    count: int
    similar: float


@dataclass(frozen=True)
class Grouping:
    """The user's word on what belongs together: `by`, how many groups, and how many of them each part has."""

    by: str | None = None
    groups: int | None = None
    parts: Mapping[str, int] | None = None


@dataclass(frozen=True)
class DataDescription:
    """The images of a study. `groups` counts what the split keeps together, near-duplicates included."""

    source: str
    digest: str
    counts: Mapping[str, int]
    groups: int
    notes: tuple[str, ...]
    split: SplitSizes
    pairs: Mapping[str, PairCount]
    options: tuple[str, ...]
    classes: tuple[str, ...] = ()
    grouping: Grouping | None = None
    warnings: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    read: Source | None = None

    @property
    def validation_pairs(self) -> PairCount | None:
        """Return how many pairs validate; None for a task that knows no pairs."""
        return self.pairs.get("validation")

    @property
    def asked(self) -> Source:
        """Return how the images were asked for; of a study made before that was kept, from the options it names."""
        return self.read or Source.from_options(self.options, grouped=self.grouping is not None)


@dataclass(frozen=True)
class Pace:
    """How long one run of a study takes, in seconds, while so many are trained at once."""

    run: float
    at_once: int

    def seconds(self, runs: Sequence[int]) -> float:
        """Return how long rounds of so many runs take, each waiting for the one before."""
        return self.run * sum(math.ceil(count / self.at_once) for count in runs)


@dataclass(frozen=True)
class Looks:
    """A planned decision: after how many `seeds` it is looked at, and the one-sided error of all looks together."""

    seeds: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Plan:
    """What follows a search: how many candidates each round of the race has, then the decisions, the winner's first."""

    race: tuple[int, ...]
    decisions: tuple[Looks, ...]


@dataclass(frozen=True)
class ResumedUnder:
    """Versions and encoder of a resumption under others than before."""

    time: str
    versions: Mapping[str, str]
    encoder: str


@dataclass(frozen=True)
class Manifest:
    """A study as study.json describes it: what the reader needs to know what its other files mean.

    `judged` is what the config to use is measured against.
    `matching` are paths at which the start takes a candidate's values before the two are compared. `finalists` are the
    configs that the answer is about, by role; `given_up` the trials that had failed when a phase was given up, by its
    name; both are empty until then. `pace` is how long its runs take: the first, where minutes are planned by them,
    else all of the search; None before that, and where nothing is searched and no minutes are given. `rounds` are
    those after the first; the budget counts their trials too.
    `plan` is what followed the search, settled when that ended; None before, and where an older version searched.
    `own_files` are the user's own, by the option that brought them: "encoder", "stage".
    `own_scores` are what the epochs of a task of one's own have beside the verifier's columns. `test_unseen`: the test
    split is left to the last study of its chain.
    `finished` is None until the report is written.
    """

    stage: str
    name: str
    question: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    arms: tuple[str, ...]
    arm_values: Mapping[str, Mapping[str, Any]]
    judged: Judged
    budget: Budget
    seed: int
    sampler: Sampler
    scheduler: Scheduler
    start: Config
    start_from: str
    reference: Config
    data: DataDescription
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    argv: tuple[str, ...]
    commit: str | None = None
    started: str = ""
    finished: str | None = None
    smoke: bool | None = None
    pace: Pace | None = None
    rounds: tuple[Round, ...] = ()
    plan: Plan | None = None
    matching: tuple[str, ...] = ()
    finalists: Mapping[str, Config] = field(default_factory=dict)
    given_up: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    resumed_under: tuple[ResumedUnder, ...] = ()
    own_files: Mapping[str, OwnFile] = field(default_factory=dict)
    own_scores: tuple[str, ...] = ()
    test_unseen: bool = False
    schema: int = SCHEMA

    @property
    def domains(self) -> dict[str, Domain]:
        """Return the range that was searched of each varied parameter, by its path, in all rounds together."""
        domains = {parameter.path: parameter.domain for parameter in self.parameters if parameter.domain}
        for own in self.rounds:
            domains |= {path: spanning(domains[path], domain) for path, domain in own.ranges.items() if path in domains}
        return domains

    @property
    def rounds_taken(self) -> int:
        """Return how many rounds the search has had: the first, and those that checks asked for."""
        return 1 + sum(own.by_checks for own in self.rounds)

    @property
    def first_trials(self) -> int:
        """Return how many trials the first round has."""
        return self.rounds[0].first if self.rounds else self.budget.trials

    @property
    def encoder(self) -> str:
        """Return which pass the study was started with."""
        return str(self.hardware.get("encoder", "torch"))

    @property
    def is_smoke(self) -> bool:
        """Return whether it only went through every part: what such a study adopts answers nothing."""
        return "--smoke" in self.argv if self.smoke is None else self.smoke

    def to_dict(self) -> dict[str, Any]:
        """Return the content of study.json; `examined` is for readers that know no `judged`."""
        return {entry: to_plain(value) for entry, value in vars(self).items()} | {"examined": self.judged == "test"}

    @staticmethod
    def read(content: Mapping[str, Any]) -> Manifest:
        """Return what `to_dict` wrote; raise InputError naming the value that makes no sense.

        An older version wrote whether the test split is `examined`; else what searches is measured against its start.
        """
        if "judged" in content:
            return from_plain(Manifest, content)
        made = from_plain(Manifest, {**content, "judged": "start"})
        return replace(made, judged="test" if content.get("examined") else "start" if made.domains else "chance")
