"""The tables of a study, a row an epoch and a row a trial: files for other readers, with fixed columns, and frames.

Both follow from the record; nothing here reads a file back.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.result import EPOCH_FIELDS, EpochMetrics, History, Metric, Trial, TrialResult, trial_result

BEST_COLUMNS = ("val_loss", "val_accuracy", "val_jaccard", "val_cosine")
TRIAL_COLUMNS = ("trial", "arm", "status", "seed", "epochs", "best_epoch", *BEST_COLUMNS, "seconds", "reason")
EPOCH_COLUMNS = ("trial", *EPOCH_FIELDS)
TEXT_COLUMNS = ("arm", "status", "reason")


class TrialLog:
    """Appends to two CSV files: a row an epoch, a row a trial at its end, each there at once for other readers."""

    def __init__(self, trials: Path, epochs: Path, paths: Sequence[str] = (), own: Sequence[str] = ()) -> None:
        """`paths` are those of the varied values, `own` the scores of the task's own: the last columns."""
        self._trials, self._epochs, self._paths, self._own = trials, epochs, tuple(paths), tuple(own)
        if not trials.exists():
            _append(trials, (*TRIAL_COLUMNS, *self._paths, *self._own))
        if not epochs.exists():
            _append(epochs, (*EPOCH_COLUMNS, *self._own))

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Append the epoch."""
        _append(self._epochs, _epoch_row(trial.number, metrics, self._own))

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Append the trial; a trial without a finished epoch leaves its measured columns empty.

        The file has four statuses: what Ctrl-C cut off is a failed trial in it, and its reason says so.
        """
        cut_off = result.status == "interrupted"
        written = replace(result, status="failed", reason="interrupted") if cut_off else result
        _append(self._trials, _row(written, self._paths, self._own))


def _epoch_row(number: int, epoch: EpochMetrics, own: Sequence[str]) -> list[Any]:
    return [number, *(getattr(epoch, name) for name in EPOCH_FIELDS), *(epoch.own.get(name) for name in own)]


def _row(result: TrialResult, paths: Sequence[str], own: Sequence[str]) -> list[Any]:
    trial, best = result.trial, result.best
    return [
        trial.number,
        trial.arm,
        result.status,
        trial.config.seed,
        result.epochs,
        best.epoch if best else "",
        *(getattr(best, name) if best else "" for name in BEST_COLUMNS),
        round(result.seconds, 3),
        result.reason,
        *(trial.overrides.get(path, "") for path in paths),
        *(best.own.get(name, "") if best else "" for name in own),
    ]


def _append(path: Path, row: Sequence[Any]) -> None:
    with open(path, "a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)


def trial_frame(
    histories: Mapping[int, History], metric: Metric, paths: Sequence[str] = (), own: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a row a trial with the columns of trials.csv, by number: the view that checks and figures take.

    A trial that was begun and has not ended stands there as one that Ctrl-C cut off: interrupted.
    """
    rows = []
    for _, history in sorted(histories.items()):
        ended = history.result or trial_result(history.trial, "interrupted", history.epochs, metric)
        rows.append([None if value == "" else value for value in _row(ended, paths, own)])
    frame = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *paths, *own])
    numbers = [name for name in TRIAL_COLUMNS if name not in TEXT_COLUMNS]
    return frame.astype({name: float for name in numbers if frame[name].isna().all()}) if rows else frame


def epoch_frame(histories: Mapping[int, History], own: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row an epoch with the columns of epochs.csv, by trial and epoch."""
    rows = [_epoch_row(number, epoch, own) for number, history in sorted(histories.items()) for epoch in history.epochs]
    return pd.DataFrame(rows, columns=[*EPOCH_COLUMNS, *own])
