"""The record of a Ray run: an append-only file of events that is the truth about every trial.

    {"event": "started", "trial": 3, "arm": "cosine", "overrides": {...}, "config": {...}, "ray": "a1b2c_00003"}
    {"event": "epoch", "trial": 3, "epoch": 1, "train_loss": ..., ...}
    {"event": "resumed", "trial": 3, "ray": "d4e5f_00000"}
    {"event": "ended", "trial": 3, "status": "finished", "reason": ""}

The CSV tables, Optuna's storage and what Ray is asked to do are all made from it. An event is one line, written at
once; a line that a killed process or a full disk cut short is dropped when the record is opened again, and with it
nothing but the event it would have been.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.tables import TrialLog
from storage.whole_files import append_line, write_bytes
from trainables.base_config import Config
from trainables.errors import InputError
from trainables.result import EpochMetrics, History, Metric, Trial, TrialResult, trial_result


@dataclass(frozen=True)
class Files:
    """Where a run is written down: its record, and the two tables made from it."""

    record: Path
    trials: Path
    epochs: Path

    @classmethod
    def of_search(cls, folder: Path) -> Files:
        """Return the files of a study's search."""
        return cls(folder / "search.jsonl", folder / "trials.csv", folder / "epochs.csv")

    @classmethod
    def of_repeats(cls, folder: Path) -> Files:
        """Return the files of the retraining of a study's finalists."""
        return cls(folder / "repeats.jsonl", folder / "repeats.csv", folder / "repeat_epochs.csv")


class Record:
    """Hears a run and writes it down. Opened again, it knows what it heard: `histories`, by trial number."""

    def __init__(self, files: Files, metric: Metric, paths: Sequence[str] = (), own: Sequence[str] = ()) -> None:
        """`paths` are those of the varied values, `own` the scores of the task's own: columns of the tables."""
        self._files, self._paths, self._own = files, tuple(paths), tuple(own)
        _cut_unfinished_line(files.record)
        self.histories = read_histories(files.record, metric)
        _write_tables(self.histories, files, paths, own)
        self._log = TrialLog(files.trials, files.epochs, paths, own)
        self.failed: list[TrialResult] = []  # of those heard since

    @property
    def done(self) -> dict[int, History]:
        """The trials that need nothing more."""
        return {number: history for number, history in self.histories.items() if history.result is not None}

    @property
    def open(self) -> dict[int, History]:
        """The trials that were begun and have not ended, those that Ctrl-C cut off among them."""
        return {number: history for number, history in self.histories.items() if history.result is None}

    def missing(self, count: int) -> list[int]:
        """Return which of the first `count` trials have something left to do, those that were begun first."""
        return [*sorted(self.open), *(number for number in range(count) if number not in self.histories)]

    def reopen(self, numbers: Sequence[int]) -> None:
        """Take back the ends of trials that left less behind than they should have: they are open again."""
        for number in numbers:
            self._append("resumed", self.histories[number].trial, {"ray": self.histories[number].ray})
            self.histories[number] = replace(self.histories[number], result=None)
        if numbers:
            _write_tables(self.histories, self._files, self._paths, self._own)

    def started(self, trial: Trial, ray_id: str) -> None:
        """Write down a trial's config before it is trained, or that it goes on."""
        if trial.number in self.histories:
            self._append("resumed", trial, {"ray": ray_id})
            self.histories[trial.number] = replace(self.histories[trial.number], ray=ray_id)
            return
        described = {"arm": trial.arm, "overrides": dict(trial.overrides), "config": trial.config.to_dict()}
        self._append("started", trial, described | {"ray": ray_id})
        self.histories[trial.number] = History(trial, ray=ray_id)

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Write down an epoch."""
        self._append("epoch", trial, metrics.to_dict())
        self._log.epoch(trial, metrics)
        history = self.histories[trial.number]
        self.histories[trial.number] = replace(history, epochs=(*history.epochs, metrics))

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Write down how a trial ended."""
        self._append("ended", result.trial, {"status": result.status, "reason": result.reason}, durable=True)
        self._log.ended(result, epochs)
        kept = result if result.status != "interrupted" else None
        self.failed += [kept] if kept and kept.status == "failed" else []
        self.histories[result.trial.number] = replace(self.histories[result.trial.number], result=kept)

    def _append(self, event: str, trial: Trial, content: Mapping[str, Any], durable: bool = False) -> None:
        append_line(self._files.record, {"event": event, "trial": trial.number, **content}, durable)


def read_histories(path: Path, metric: Metric) -> dict[int, History]:
    """Return what a record knows, by trial number, but for a last line that is not finished (yet).

    Raises InputError, naming file and line, where anything else makes no sense.
    """
    histories: dict[int, History] = {}
    for number, event in enumerate(_events(path), start=1):
        try:
            fold(histories, event, metric)
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise InputError(f"{path}: line {number} makes no sense ({error!r}); it was damaged or edited") from error
    return histories


def _events(path: Path) -> Iterator[Any]:
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}: line {number} is not JSON ({error}); it was damaged or edited") from error


def _cut_unfinished_line(path: Path) -> None:
    """Drop a last line that was cut short: what is appended next begins a line of its own."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        write_bytes(path, whole)


def fold(histories: dict[int, History], event: Mapping[str, Any], metric: Metric) -> None:
    """Add one event of a record to what is known; raises what the event's fault is, where it makes no sense."""
    number = event["trial"]
    if event["event"] == "started":
        config = Config.from_dict(event["config"])
        histories[number] = History(Trial(number, event["arm"], event["overrides"], config), ray=event["ray"])
        return
    history = histories[number]
    match event["event"]:
        case "epoch":
            metrics = EpochMetrics.from_dict(event)
            if metrics.epoch != len(history.epochs) + 1:
                raise ValueError(f"epoch {metrics.epoch} after {len(history.epochs)}")
            histories[number] = replace(history, epochs=(*history.epochs, metrics))
        case "ended":
            if "interrupted" not in (event["status"], event["reason"]):  # a reason in older studies
                result = trial_result(history.trial, event["status"], history.epochs, metric, event["reason"])
                histories[number] = replace(history, result=result)
        case "resumed":
            histories[number] = replace(history, result=None, ray=event["ray"])
        case other:
            raise ValueError(f"unknown event {other!r}")


def _write_tables(histories: Mapping[int, History], files: Files, paths: Sequence[str], own: Sequence[str]) -> None:
    """Make both tables anew from what is known, each whole or not at all."""
    aside = [table.with_name(f".{table.name}.part") for table in (files.trials, files.epochs)]
    for table in aside:
        table.unlink(missing_ok=True)
    log = TrialLog(aside[0], aside[1], paths, own)
    for history in histories.values():
        for metrics in history.epochs:
            log.epoch(history.trial, metrics)
        if history.result is not None:
            log.ended(history.result, history.epochs)
    for part, table in zip(aside, (files.trials, files.epochs), strict=True):
        part.replace(table)
