"""The tables of a study folder: a row an epoch, a row a trial. For other readers; their columns are a contract."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.errors import InputError
from trainables.result import EPOCH_FIELDS, EpochMetrics, Trial, TrialResult

BEST_COLUMNS = ("val_loss", "val_accuracy", "val_jaccard", "val_cosine")
TRIAL_COLUMNS = ("trial", "arm", "status", "seed", "epochs", "best_epoch", *BEST_COLUMNS, "seconds", "reason")
EPOCH_COLUMNS = ("trial", *EPOCH_FIELDS)
TEXT_COLUMNS = ("arm", "status", "reason")
LATER_COLUMNS = ("grad_norm",)  # which tables of older studies lack


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


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table, empty if there is none; raise InputError where it lacks a column or holds words for numbers."""
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    try:
        frame = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); it was damaged or edited") from error
    later = [name for name in LATER_COLUMNS if name in columns and name not in frame]
    frame = frame.assign(**dict.fromkeys(later, float("nan")))
    missing = set(columns) - set(frame.columns)
    if missing:
        raise InputError(f"{path}: column {', '.join(sorted(missing))} is missing; it was damaged or edited")
    words = [
        name for name in columns if name not in TEXT_COLUMNS and len(frame) and frame[name].dtype.kind not in "iuf"
    ]
    if words:
        raise InputError(f"{path}: column {', '.join(words)} holds something that is no number; it was edited")
    return frame
