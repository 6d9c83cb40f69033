"""A user's own code: `--encoder FILE.py:NAME` and `--stage FILE.py`, and a stage that is a value in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.stage import Stage
from search_spaces.stages import STAGES
from search_spaces.study import IN_PYTHON, OwnFile, Study
from storage.study_json import Manifest
from trainables.base_config import Config
from trainables.config import OWN, TrialConfig
from trainables.errors import ConfigError, InputError
from trainables.images.files import user_path
from trainables.own_code import digest, run_source

PYTHON = ".py"
ENCODER, STAGE = "encoder", "stage"  # the options, and what study.json calls their files
TAKEN = ("all", *(stage.name for stage in STAGES))


@dataclass(frozen=True)
class OwnEncoder:
    """What `--encoder` names: the file, and its text."""

    file: OwnFile
    source: str

    def on(self, config: TrialConfig) -> TrialConfig:
        """Return `config` with this encoder in place of its own; one that normalises does so by itself."""
        label = f"{Path(self.file.path).name}:{self.file.name}"
        values = {"network.encoder": OWN, "network.own": label, "network.source": self.source}
        return config.override({**values, "network.batch_norm": False, "init.weights": ""})


@dataclass(frozen=True)
class OwnStage:
    """What `--stage FILE.py` names: the file, and its stage."""

    file: OwnFile
    stage: Stage


def own_encoder(text: str) -> OwnEncoder:
    """Return what FILE.py:NAME names; raise InputError where that is not its form, or the file cannot be read."""
    path, _, name = text.rpartition(":")
    if not path or not name.isidentifier():
        raise InputError(f"--encoder {text}: give FILE.py:NAME, with NAME a class or a function in that file")
    source = _text(user_path(path), "--encoder")
    return OwnEncoder(OwnFile(str(user_path(path).resolve()), digest(source), name), source)


def note_on_encoder(file: OwnFile | None) -> list[str]:
    """Return what a reader must know where the file of a start's encoder was edited since."""
    if file is None:
        return []
    path = Path(file.path)
    if not path.is_file() or digest(_text(path, "--encoder")) == file.digest:
        return []
    which = f"this goes on with its text as the start has it; --encoder {file.typed} takes the new one"
    return [f"{path} has changed since: {which}"]


def notes_on_arms(study: Study) -> list[str]:
    """Return what a reader must know where arms of a user's own stage are left out."""
    left_out = study.left_out if STAGE in study.own_files else {}
    return [f"arm {name} is left out, since it makes no config of the start: {why}" for name, why in left_out.items()]


def own_stage(text: str) -> OwnStage:
    """Return the stage of a file; raise InputError for whatever is missing or wrong in it, with its line if it has one.

    A file may name our stages too, to take one of them for a pattern.
    """
    path = user_path(text)
    source = _text(path, "--stage")
    values = [value for value in vars(run_source(source, path.name)).values() if isinstance(value, Stage)]
    found = list({id(stage): stage for stage in values if stage not in STAGES}.values())
    if len(found) != 1:
        names = f" ({', '.join(stage.name for stage in found)})" if found else ""
        raise InputError(f"{text} has {len(found) or 'no'} stages{names}; it must have one value `Stage(...)`")
    _check_name(found[0].name, text)
    return OwnStage(OwnFile(str(path.resolve()), digest(source)), found[0])


def given_stage(stage: Stage) -> OwnStage:
    """Return a stage that is a value in Python as one of the user's; raise InputError for a name that it cannot have.

    Its digest is that of what it says; where the class of its configs is defined, in a script or a module, is no
    matter.
    """
    _check_name(stage.name, "stage")
    of = stage.config
    said = repr(stage) if of is TrialConfig else repr(stage).replace(repr(of), of.task)
    return OwnStage(OwnFile(IN_PYTHON, digest(said)), stage)


def _check_name(name: object, where: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", str(name)):
        raise InputError(f"{where}: a stage cannot be called {name!r}; use letters, digits, '.', '_' and '-'")
    if name in TAKEN:
        raise InputError(f"{where}: {name} is one of our stages; call it otherwise")


def _text(path: Path, option: str) -> str:
    """The text of a file, to the byte: its digest is that of the file."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{option} {path}: is no text in UTF-8 ({error})") from error


def check_arms(stage: Stage, start: Config) -> None:
    """Raise ConfigError for an arm that makes no config of the start, where a comparison needs it."""
    unfit = stage.unfit(start)
    for arm, why in unfit.items():
        if len(stage.arms()) - len(unfit) < 2:
            raise ConfigError(f"stage {stage.name}, arm {arm}: {why}")


def check_ranges(study: Study) -> None:
    """Raise ConfigError where a value of a range makes no config in its arm: our own stages have tests instead."""
    for arm in study.arms():
        for parameter in arm.nuisance:
            for value in parameter.domain.ends if parameter.domain else ():
                try:
                    study.start.override({**arm.values, parameter.path: value})
                except ConfigError as error:
                    raise ConfigError(f"stage {study.stage.name}, arm {arm.name}: {error}") from error


def check_own_files(manifest: Manifest, given: Mapping[str, OwnFile | None], folder: Path) -> None:
    """Raise InputError where a study's own files are not those that it was started with.

    They are those `given` with --resume; an encoder's that is not given is looked for where it lay. Where it is gone
    the study goes on all the same, since its study.json has the text.
    """
    for option, before in manifest.own_files.items():
        now = given.get(option) or _still_there(before)
        if now and now != before:
            raise InputError(
                f"--{option} {now.typed}: has changed since {folder} was started (SHA-256 {now.digest[:12]}, then "
                f"{before.digest[:12]}{', ' + before.name if before.name != now.name else ''}); put it back, or start "
                "a new study"
            )
    for option, file in given.items():
        if file and option not in manifest.own_files:
            raise InputError(f"--{option} {file.typed}: {folder} was started without it; leave it out")


def _still_there(file: OwnFile) -> OwnFile | None:
    path = Path(file.path)
    return OwnFile(file.path, digest(_text(path, "--encoder")), file.name) if path.is_file() else None


def own_files(stage: OwnFile | None, encoder: OwnFile | None) -> dict[str, Any]:
    """Return a study's own files, by option."""
    return {option: file for option, file in ((ENCODER, encoder), (STAGE, stage)) if file}
