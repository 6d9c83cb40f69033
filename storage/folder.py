"""A study folder: written as the run goes, read back as one `StudyRecord`. The schema is in results/README.md."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from storage.manifest import SCHEMA, Manifest
from storage.report import Report, read_report
from storage.tables import EPOCH_COLUMNS, TRIAL_COLUMNS, read_table
from storage.whole import read_json, write_json
from trainables.config import TrialConfig
from trainables.errors import InputError, SearchError
from trainables.result import INTERRUPTED

MANIFEST = "study.json"


@dataclass(frozen=True)
class StudyRecord:
    """A study folder in memory. Frames have the columns of the CSV files; `report` is None until written."""

    path: Path
    manifest: Manifest
    trials: pd.DataFrame
    epochs: pd.DataFrame
    repeats: pd.DataFrame
    repeat_epochs: pd.DataFrame
    report: Report | None = None

    @property
    def finished(self) -> pd.DataFrame:
        """Return the trials that ran to their end, in order: the only ones that may be selected."""
        return self.trials[self.trials["status"] == "finished"]

    @property
    def evidence(self) -> pd.DataFrame:
        """Return the trials that ended by themselves: what Ctrl-C cut off says nothing about its config."""
        return _uninterrupted(self.trials)


def read_study(path: Path) -> StudyRecord:
    """Read a study folder, finished or not; raise InputError if it is none."""
    return StudyRecord(
        path,
        read_manifest(path),
        read_table(path / "trials.csv", TRIAL_COLUMNS),
        read_table(path / "epochs.csv", EPOCH_COLUMNS),
        _uninterrupted(read_table(path / "repeats.csv", TRIAL_COLUMNS)),
        read_table(path / "repeat_epochs.csv", EPOCH_COLUMNS),
        read_report(path),
    )


def read_manifest(path: Path) -> Manifest:
    """Read the study.json of a study folder; raise InputError if there is none, or for a value that makes no sense."""
    file = path / MANIFEST
    if not file.exists():
        raise InputError(f"{path}: not a study folder (no {MANIFEST}); give results/<stage>/<study>")
    content = read_json(file)
    if content.get("schema") != SCHEMA:
        raise InputError(f"{file}: schema {content.get('schema')!r}; this version reads schema {SCHEMA}")
    try:
        return Manifest.read(content)
    except InputError as error:
        raise InputError(f"{file}: {error}; it was damaged or edited") from error


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the study.json of a study folder, whole or not at all."""
    write_json(path / MANIFEST, manifest.to_dict())


def _uninterrupted(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["reason"] != INTERRUPTED]


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what goes wrong over the content of a kept folder into an InputError: its files are anybody's to edit.

    Only for folders that an earlier run left: in one's own run an unexpected error is a bug and is shown as one.
    """
    try:
        yield
    except (SearchError, OSError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise InputError(f"{folder}: a file in it makes no sense ({said}); it was damaged or edited") from error


def read_config(best: Path) -> TrialConfig:
    """Return the config of a best.json; raise InputError naming the file where it holds none that could be trained."""
    content = read_json(best)
    if "config" not in content:
        raise InputError(f"{best}: has no 'config'; give the best.json of a study folder")
    try:
        return TrialConfig.from_dict(content["config"])
    except InputError as error:
        raise InputError(f"{best}: {error}") from error


def newest_study(results: Path, stage: str) -> Path:
    """Return the study of a stage that was started last; raise InputError if there is none."""
    studies = [path.parent for path in (results / stage).glob("*/study.json")]
    if not studies:
        raise InputError(f"{results / stage}: no study to go on with; start one without --resume")
    return max(studies, key=lambda folder: (read_manifest(folder).started, folder.name))


def adopted_config(results: Path, stage: str, smoke: bool = False) -> Path | None:
    """Return the best.json of the newest adopted study of `stage` in a results folder; None if there is none.

    What a run of --smoke adopted answers nothing, except to another one.
    """
    adopted = []
    for path in sorted((results / stage).glob("*/best.json")):
        study = read_manifest(path.parent)
        if study.finished and (smoke or not study.is_smoke) and read_json(path).get("adopted") is True:
            adopted.append((study.finished, path))
    return max(adopted)[1] if adopted else None
