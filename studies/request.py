"""What a command asks for, as a value; and the studies that follow from it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.stage import Budget, Kept, Stage
from search_spaces.stages import chain_with, stages_before
from search_spaces.study import (
    SAMPLERS,
    SCHEDULERS,
    OwnFile,
    Sampler,
    Scheduler,
    Start,
    Study,
    name_by_time,
    stretched,
)
from storage.data_source import SPLITS, SYNTHETIC, Source
from studies.arguments import minutes, positive, seed
from studies.own_files import ENCODER, STAGE, OwnEncoder, check_arms, check_own_files, check_ranges, own_files
from trainables.base_config import Config
from trainables.config import TrialConfig, has_own_encoder, of_verifier
from trainables.errors import InputError

CHAIN_ROUNDS = 2  # of a search in a chain on a user's images; half an hour is too short for them
SMOKE = Budget(trials=3, epochs=2, repeats=1)
NUMBERS: Mapping[str, Callable[[str], float]] = {
    **dict.fromkeys(("trials", "epochs", "repeats", "rounds"), positive),
    "minutes": minutes,
    "seed": seed,
}


def check_rounds(rounds: int | None, stage: Stage) -> None:
    """Raise InputError where a stage that searches nothing is asked for rounds."""
    if rounds and not stage.varied:
        raise InputError(
            f"--rounds {rounds}: asks a search for more trials; {stage.name} searches nothing, leave it out"
        )


@dataclass(frozen=True)
class Request:
    """What is to be studied: None is the stage's, the start's or the clock's to say.

    `chain`: the request is for all stages in turn, where a stage that varies nothing keeps its own number of trials,
    and the chain splits the minutes among them;
    `optional` names stages beyond the paper's that it takes in. `encoder` takes the place of the start's.
    `own_stage` is the file of the stage that is asked, where that is a user's.
    """

    source: Source
    results: Path
    name: str | None = None
    start: Path | None = None
    trials: int | None = None
    epochs: int | None = None
    repeats: int | None = None
    minutes: float | None = None
    rounds: int | None = None
    seed: int = 0
    sampler: Sampler = "qmc"
    scheduler: Scheduler = "none"
    smoke: bool = False
    chain: bool = False
    optional: tuple[str, ...] = ()
    encoder: OwnEncoder | None = None
    own_stage: OwnFile | None = None

    def __post_init__(self) -> None:
        """Raise InputError for values that an option cannot have, and for options that contradict each other."""
        self._check_values()
        if self.optional and not self.chain:
            name = self.optional[0]
            raise InputError(f"--with {name}: goes with --stage all; --stage {name} asks that stage alone")
        if self.minutes and (self.trials or self.repeats or self.smoke):
            raise InputError(
                f"--minutes {self.minutes:g}: plans trials and repeats; leave out --trials, --repeats and --smoke"
            )
        if self.minutes and self.rounds:
            raise InputError(
                f"--rounds {self.rounds}: how many trials its rounds add is not known beforehand, so --minutes "
                "cannot plan them; leave out one of the two"
            )

    def _check_values(self) -> None:
        """The command line takes no other values; a program may give anything."""
        for name, word, known in (
            ("sampler", self.sampler, SAMPLERS),
            ("scheduler", self.scheduler, SCHEDULERS),
            ("split", self.source.split, SPLITS),
        ):
            if word not in known:
                raise InputError(f"{name} {word!r}: one of {', '.join(known)}")
        for name, check in NUMBERS.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, value if value is None else check(str(value)))
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{name}: {error}") from error

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the stages of the chain."""
        return chain_with(self.optional)

    def study_name(self) -> str:
        """Return the name asked for, or the time; raise InputError for anything that is no plain name."""
        name = self.name or name_by_time()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise InputError(
                f"--study {name!r}: use letters, digits, '.', '_' and '-', starting with a letter or digit"
            )
        return name

    def study(self, stage: Stage, start: Start, name: str, epochs: int | None = None) -> Study:
        """Return the study of `stage`; `epochs`, if None, is the user's, the start's or the stage's."""
        demo = self.source.path == SYNTHETIC
        stage, default = (stage.for_demo(), stage.demo) if demo else (stage, stage.budget)
        own_trials = self.trials if stage.varied or not self.chain else None
        found = start.config.epochs if start.found and isinstance(stage.length, Kept) else default.epochs
        budget = Budget(own_trials or default.trials, epochs or self.epochs or found, self.repeats or default.repeats)
        report: Config = stage.config()  # as long as the paper trained it, but in --smoke
        if self.smoke:
            trials = own_trials or min(SMOKE.trials, default.trials)
            budget = Budget(trials, self.epochs or SMOKE.epochs, self.repeats or SMOKE.repeats)
            report = report.override({"epochs": budget.epochs})
        if not self.chain:
            check_rounds(self.rounds, stage)
        if stage.varied:
            budget = replace(budget, rounds=self.rounds or self._usual_rounds(demo))
        config = stretched(start.config, budget.epochs) if start.found else start.config
        if self.own_stage:
            check_arms(stage, config)
        files = own_files(self.own_stage, start.encoder)
        study = Study(
            stage,
            name,
            config,
            budget,
            self.seed,
            self.sampler,
            self.scheduler,
            report,
            self.smoke,
            own_files=files,
            test_unseen=self.chain and stage.judged != "test",
        )
        if self.own_stage:
            check_ranges(study)
        return study.within(self.minutes) if self.minutes and not self.chain else study

    def _usual_rounds(self, demo: bool) -> int:
        """A chain lets each search act on its own checks once, where no budget of runs or minutes says otherwise."""
        free = self.chain and not (demo or self.smoke or self.minutes)
        return CHAIN_ROUNDS if free else 1

    def typed_start(self) -> Start | None:
        """Return the config of --start, if one was given; raise InputError where the file holds none.

        A file of weights that it names lies beside it, unless its path is whole. Code that it names is not run: a
        config may come from anywhere, so its own encoder is one that is typed too.
        """
        from storage.best_json import read_best

        if self.start is None:
            return None
        config = of_verifier(read_best(self.start).config)
        if config.init.weights:
            weights = (self.start.parent / config.init.weights).resolve()
            if not weights.is_file():
                raise InputError(f"{self.start}: init.weights {weights}: no such file")
            config = config.override({"init.weights": str(weights)})
        if has_own_encoder(config) and not self.encoder:
            raise InputError(
                f"{self.start}: has an encoder of its own, {config.network.own}, whose code is not run unasked; give "
                "its file with --encoder FILE.py:NAME"
            )
        return self.with_encoder(Start(config, str(self.start), found=True))

    def first_start(self) -> Start:
        """Return what a chain starts from: the config of --start, else the baseline."""
        return self.typed_start() or self.with_encoder(Start())

    def with_encoder(self, start: Start) -> Start:
        """Return the start with the encoder that was typed, if one was."""
        if self.encoder is None:
            return start
        return replace(start, config=self.encoder.on(of_verifier(start.config)), encoder=self.encoder.file)

    def starting_config(self, stage: Stage) -> Start:
        """Return the config of --start, else the newest adopted one of the nearest stage before, else the baseline."""
        from storage.folder import newest_adopted, read_manifest  # pandas: not before it is needed

        if stage.config is not TrialConfig:
            return self._start_of_a_task(stage)
        if typed := self.typed_start():
            return typed
        for before in stages_before(stage):
            if adopted := newest_adopted(self.results, before.name, smoke=self.smoke):
                path, best = adopted
                manifest = read_manifest(path.parent)
                encoder = manifest.own_files.get(ENCODER) if has_own_encoder(best.config) else None
                same = manifest.data.asked.path == self.source.path
                return self.with_encoder(Start(best.config, str(path), same, encoder))
        return self.with_encoder(Start())

    def _start_of_a_task(self, stage: Stage) -> Start:
        """Return the config of --start for a stage of a task of one's own, else the task's defaults."""
        from storage.best_json import read_best

        if self.encoder:
            raise InputError(f"--encoder {self.encoder.file.typed}: is for the verifier, not for {stage.name}'s task")
        if self.start is None:
            return Start(stage.config())
        config = read_best(self.start).config
        if type(config) is not stage.config:
            found, wanted = type(config).__name__, stage.config.__name__
            raise InputError(f"{self.start}: holds a {found}, and {stage.name} starts from a {wanted}")
        return Start(config, str(self.start), found=True)

    def settings(self) -> dict[str, Any]:
        """Return what must be equal for a chain to be resumed: everything that decides its figures."""
        names = ("trials", "epochs", "repeats", "seed", "sampler", "scheduler", "smoke")
        own = {name: getattr(self, name) for name in names}
        own |= {
            name: value for name in ("rounds", "minutes") if (value := getattr(self, name))
        }  # older chains know none
        own |= {"encoder": [self.encoder.file.digest, self.encoder.file.name]} if self.encoder else {}
        own |= {"ship_class": self.source.ship_class, "start": str(self.start) if self.start else None}
        return own | ({"optional": list(self.optional)} if self.optional else {})  # older chains lack it


def check_unchanged(asked: Request, typed: Mapping[str, Any], folder: Path) -> Source:
    """Return the images of the study in `folder`; refuse what was `typed` (by option) if it was started otherwise."""
    from storage.folder import read_manifest

    manifest = read_manifest(folder)
    encoder = asked.encoder.file if asked.encoder else None
    check_own_files(manifest, {ENCODER: encoder, STAGE: asked.own_stage}, folder)
    source = manifest.data.asked
    before = {
        "start": manifest.start_from,
        "ship_class": source.ship_class,
        "skip_bad": source.skip_bad,
        "drop_small_classes": source.drop_small_classes,
        "group_by": source.group_by,
        "merge_splits": source.merge_splits,
        "epochs": manifest.budget.epochs,
        "repeats": manifest.budget.repeats,
        "minutes": manifest.budget.minutes,
        "seed": manifest.seed,
        "sampler": manifest.sampler,
        "scheduler": manifest.scheduler,
        "split": manifest.data.split.kind,
    }
    for name, value in typed.items():
        if name in before and value is not None and str(value) != str(before[name]):
            option = f"--{name.replace('_', '-')} {value}"
            raise InputError(
                f"{option}: {folder} was started with {before[name]}; leave it out, or choose another --study"
            )
    return source
