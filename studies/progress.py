"""Live progress on a terminal or in a notebook, drawn by rich: epochs, trials, the time left, the best so far.

At the end of a study its answer follows.

A phase that has ended leaves its bar standing above the next one's. On anything but a terminal or a notebook it is a
plain line each minute, so that log files stay readable.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trainables.result import EpochMetrics, History, Metric, Trial, TrialResult

REDRAWS = 4  # a second
LINES_APART = 60.0  # seconds between two lines of a log file


class Progress:
    """Hears a phase and keeps its bar up to date; a context manager that leaves the terminal on a fresh line."""

    def __init__(
        self,
        title: str,
        lengths: Sequence[int],
        metric: Metric,
        stream: TextIO | None = None,
        before: Mapping[int, History] | None = None,
    ) -> None:
        """`lengths` are the epochs of every trial; `before` is what an earlier run has left of this one.

        It is drawn on `stream`, standard error if None.
        """
        before = before or {}
        self._title, self._count, self._metric = title, len(lengths), metric
        self._stream = stream or sys.stderr
        self._live = _live(self._stream, self)
        self._last_line = time.monotonic()
        self._running: set[int] = set()
        self._done = sum(history.result is not None for history in before.values())
        behind = sum(lengths[number] if h.result else len(h.epochs) for number, h in before.items())
        self._epochs, self._epochs_done, self._epochs_to_do = sum(lengths), 0, sum(lengths) - behind
        self._best: TrialResult | None = None
        for history in before.values():
            self._compare(history.result)
        self._first_epoch: float | None = None

    def extend(self, lengths: Sequence[int]) -> None:
        """Hear that more trials follow, of so many epochs."""
        self._count += len(lengths)
        self._epochs += sum(lengths)
        self._epochs_to_do += sum(lengths)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, trial: Trial, ray_id: str) -> None:
        """Count a running trial."""
        self._running.add(trial.number)

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Count an epoch; the time left follows from epochs, since trials end in batches."""
        if self._first_epoch is None:
            self._first_epoch = time.monotonic() - metrics.seconds
        self._epochs_done += 1
        self._log()

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Count a trial's end, and note the best."""
        self._running.discard(result.trial.number)
        self._done += 1
        self._epochs_to_do -= result.trial.config.epochs - result.epochs
        self._compare(result)
        self._log()

    def _log(self) -> None:
        """Write how far it is as a line, where nothing is drawn and the last line is old enough."""
        if self._live or time.monotonic() - self._last_line < LINES_APART:
            return
        self._last_line = time.monotonic()
        said = "; ".join(filter(None, (self.counts(), self.time_left(), self.best())))
        with contextlib.suppress(OSError):  # a pipe that was closed
            self._stream.write(f"{self._title}: {said}\n")
            self._stream.flush()

    def _compare(self, result: TrialResult | None) -> None:
        """Keep the result if it is the best so far."""
        if result is None or result.status != "finished" or result.best is None:
            return
        best = self._best.best if self._best else None
        if best is None or self._metric.gain(self._metric.value(result.best), self._metric.value(best)) > 0:
            self._best = result

    def counts(self) -> str:
        """Return how many trials are done, running and left."""
        left = self._count - self._done - len(self._running)
        return f"{self._done} done, {len(self._running)} running, {left} left"

    def time_left(self) -> str:
        """Return the time left at the pace so far, minutes and seconds; what it waits for before the first epoch."""
        if self._first_epoch is None:
            return "starting workers"
        spent = time.monotonic() - self._first_epoch
        seconds = max(round(spent / self._epochs_done * self._epochs_left), 0)
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def best(self) -> str:
        """Return the best trial so far with its figures and its values; nothing if there is none."""
        if not self._best or not self._best.best:
            return ""
        values = ", ".join(
            f"{path.split('.')[-1]} {_short(value)}" for path, value in self._best.trial.overrides.items()
        )
        measured = f"{self._metric.name} {self._metric.value(self._best.best):.4f}"
        share = self._best.best.val_accuracy
        accuracy = "" if share is None else f", accuracy {share:.1%}"
        return f"best is {self._best.trial.number}: {measured}{accuracy} ({values or self._best.trial.arm})"

    @property
    def _epochs_left(self) -> int:
        return self._epochs_to_do - self._epochs_done

    def __rich__(self) -> RenderableType:
        """Draw the bar with its numbers, and below it the best so far; each is cut at the terminal's width."""
        bar = ProgressBar(self._epochs, self._epochs - self._epochs_left)
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        for _ in ("counts", "time left"):
            head.add_column(no_wrap=True, justify="right")
        head.add_row(self._title, bar, self.counts(), self.time_left())
        best = self.best()
        return Group(head, Text(best, no_wrap=True, overflow="ellipsis")) if best else head


def closing(lines: Sequence[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Write a study's answer to `stream`, standard error if None: a table on a terminal, elsewhere a line an entry."""
    stream = stream or sys.stderr
    with contextlib.suppress(OSError):  # a terminal that was closed
        if not stream.isatty():
            stream.writelines(f"{head}: {text}\n" for head, text in lines)
        else:
            table = Table.grid(padding=(0, 2))
            table.add_column(style="bold")
            table.add_column(overflow="fold")
            for head, text in lines:
                table.add_row(Text(head), Text(text))
            Console(file=stream, force_jupyter=False, highlight=False).print(table)
        stream.flush()


def _live(stream: TextIO, drawn: Progress) -> Live | None:
    """What redraws `drawn` on a terminal, and lets lines written to standard error pass above it; None elsewhere.

    In a notebook it is drawn below the cell, where ipywidgets are installed.
    """
    if not stream.isatty():
        notebook = Console()
        if not (stream is sys.stderr and notebook.is_jupyter and importlib.util.find_spec("ipywidgets")):
            return None
        return Live(console=notebook, get_renderable=lambda: drawn, refresh_per_second=1, redirect_stderr=False)
    console = _Console(file=cast(TextIO, _Patient(stream)), force_jupyter=False, highlight=False)
    return Live(console=console, get_renderable=lambda: drawn, refresh_per_second=REDRAWS, redirect_stdout=False)


class _Console(Console):
    """Leaves the cursor where it is seen: a run that is killed could not bring it back."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Patient:
    """A terminal that may be closed at any time: what cannot be written is not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
