"""A study folder: written as the run goes, read back as one `StudyRecord`. The schema is in results/README.md."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.config import TrialConfig
from trainables.errors import InputError, SearchError
from trainables.result import EPOCH_FIELDS, INTERRUPTED, EpochMetrics, Trial, TrialResult

SCHEMA = 1
BEST_COLUMNS = ("val_loss", "val_accuracy", "val_jaccard", "val_cosine")
TRIAL_COLUMNS = ("trial", "arm", "status", "seed", "epochs", "best_epoch", *BEST_COLUMNS, "seconds", "reason")
EPOCH_COLUMNS = ("trial", *EPOCH_FIELDS)


TEXT_COLUMNS = ("arm", "status", "reason")

# what a study.json must hold for a study to be read: each name with the kind of its value
SHAPE: Mapping[str, Any] = {
    "stage": str,
    "name": str,
    "question": str,
    "metric": {"name": str, "goal": str},
    "parameters": list,
    "arms": list,
    "arm_values": dict,
    "examined": bool,
    "budget": {"trials": int, "epochs": int, "repeats": int},
    "seed": int,
    "sampler": str,
    "scheduler": str,
    "start": dict,
    "start_from": str,
    "reference": dict,
    "data": {
        "source": str,
        "digest": str,
        "counts": dict,
        "groups": int,
        "notes": list,
        "options": list,
        "split": {"kind": str, "train": int, "validation": int, "test": int},
        "pairs": {part: {"count": int, "similar": float} for part in ("train", "validation")},
    },
    "versions": dict,
    "hardware": dict,
    "argv": list,
}


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all: aside, to disk, then renamed."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise InputError naming the file if it is missing, damaged or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of a study folder") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); it was damaged or edited") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, expected a JSON object")
    return content


def append_line(path: Path, content: Mapping[str, Any], durable: bool = False) -> None:
    """Append one JSON object as a line; `durable` waits until the disk has it."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())


class TrialLog:
    """Appends to two CSV files: a row an epoch, a row a trial at its end, each there at once for other readers."""

    def __init__(self, trials: Path, epochs: Path, paths: Sequence[str] = ()) -> None:
        self._trials, self._epochs, self._paths = trials, epochs, tuple(paths)
        if not trials.exists():
            _append(trials, (*TRIAL_COLUMNS, *self._paths))
        if not epochs.exists():
            _append(epochs, EPOCH_COLUMNS)

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Append the epoch."""
        values = asdict(metrics)
        _append(self._epochs, [trial.number, *(values[name] for name in EPOCH_COLUMNS[1:])])

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Append the trial; a trial without a finished epoch leaves its measured columns empty."""
        trial, best = result.trial, result.best
        _append(
            self._trials,
            [
                trial.number,
                trial.arm,
                result.status,
                trial.config.seed,
                result.epochs,
                best.epoch if best else "",
                *(getattr(best, name) if best else "" for name in BEST_COLUMNS),
                round(result.seconds, 3),
                result.reason,
                *(trial.overrides.get(path, "") for path in self._paths),
            ],
        )


def _append(path: Path, row: Sequence[Any]) -> None:
    with open(path, "a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)


@dataclass(frozen=True)
class StudyRecord:
    """A study folder in memory. Frames have the columns of the CSV files; `report` is empty until written."""

    path: Path
    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    epochs: pd.DataFrame
    repeats: pd.DataFrame
    repeat_epochs: pd.DataFrame
    report: Mapping[str, Any]

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
    if not (path / "study.json").exists():
        raise InputError(f"{path}: not a study folder (no study.json); give results/<stage>/<study>")
    manifest = read_json(path / "study.json")
    if manifest.get("schema") != SCHEMA:
        raise InputError(f"{path}/study.json: schema {manifest.get('schema')!r}; this version reads schema {SCHEMA}")
    _check_shape(manifest, SHAPE, f"{path}/study.json: ")
    return StudyRecord(
        path,
        manifest,
        _read_csv(path / "trials.csv", TRIAL_COLUMNS),
        _read_csv(path / "epochs.csv", EPOCH_COLUMNS),
        _uninterrupted(_read_csv(path / "repeats.csv", TRIAL_COLUMNS)),
        _read_csv(path / "repeat_epochs.csv", EPOCH_COLUMNS),
        read_json(path / "report.json") if (path / "report.json").exists() else {},
    )


def _uninterrupted(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["reason"] != INTERRUPTED]


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    try:
        frame = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); it was damaged or edited") from error
    missing = set(columns) - set(frame.columns)
    if missing:
        raise InputError(f"{path}: column {', '.join(sorted(missing))} is missing; it was damaged or edited")
    words = [
        name for name in columns if name not in TEXT_COLUMNS and len(frame) and frame[name].dtype.kind not in "iuf"
    ]
    if words:
        raise InputError(f"{path}: column {', '.join(words)} holds something that is no number; it was edited")
    return frame


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


def _check_shape(content: Mapping[str, Any], shape: Mapping[str, Any], where: str) -> None:
    """Raise InputError for a key that is missing or holds another kind of value than `shape` says."""
    for name, kind in shape.items():
        value = content.get(name)
        wanted = dict if isinstance(kind, Mapping) else kind
        if not isinstance(value, wanted):
            raise InputError(f"{where}{name} is {value!r:.60}, expected {wanted.__name__}; it was damaged or edited")
        if isinstance(kind, Mapping):
            _check_shape(value, kind, f"{where}{name}.")


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
    return max(studies, key=lambda folder: (str(read_json(folder / "study.json").get("started")), folder.name))


def adopted_config(results: Path, stage: str, smoke: bool = False) -> Path | None:
    """Return the best.json of the newest adopted study of `stage` in a results folder; None if there is none.

    What a run of --smoke adopted answers nothing, except to another one.
    """
    adopted = []
    for path in sorted((results / stage).glob("*/best.json")):
        study = read_json(path.parent / "study.json")
        counts = study.get("finished") and (smoke or "--smoke" not in study.get("argv", []))
        if counts and read_json(path).get("adopted") is True:
            adopted.append((str(study["finished"]), path))
    return max(adopted)[1] if adopted else None
