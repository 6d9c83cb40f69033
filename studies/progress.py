"""One live line on standard error: trials done, running and left, the best so far, the time left.

On anything but a terminal it is silent, so that log files stay readable.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from trainables.result import EpochMetrics, History, Metric, Trial, TrialResult

MIN_INTERVAL = 0.2  # seconds between redraws


class Progress:
    """Hears a run and keeps its line up to date; a context manager that leaves the terminal on a fresh line."""

    def __init__(
        self,
        title: str,
        lengths: Sequence[int],
        metric: Metric,
        stream: TextIO = sys.stderr,
        before: Mapping[int, History] | None = None,
    ) -> None:
        """`lengths` are the epochs of every trial; `before` is what an earlier run has left of this one."""
        before = before or {}
        self._title, self._count, self._metric = title, len(lengths), metric
        self._stream, self._live = stream, stream.isatty()
        self._running: set[int] = set()
        self._done = sum(history.result is not None for history in before.values())
        behind = sum(lengths[number] if h.result else len(h.epochs) for number, h in before.items())
        self._epochs_done, self._epochs_to_do = 0, sum(lengths) - behind
        self._best: TrialResult | None = None
        for history in before.values():
            self._compare(history.result)
        self._first_epoch: float | None = None
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        self._draw(force=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._draw(force=True)
            self._write("\n")

    def started(self, trial: Trial, ray_id: str) -> None:
        """Count a running trial."""
        self._running.add(trial.number)
        self._draw()

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Count an epoch; the time left follows from epochs, since trials end in batches."""
        if self._first_epoch is None:
            self._first_epoch = time.monotonic() - metrics.seconds
        self._epochs_done += 1
        self._draw()

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Count a trial's end, and note the best."""
        self._running.discard(result.trial.number)
        self._done += 1
        self._epochs_to_do -= result.trial.config.epochs - result.epochs
        self._compare(result)
        self._draw(force=True)

    def _compare(self, result: TrialResult | None) -> None:
        """Keep the result if it is the best so far."""
        if result is None or result.status != "finished" or result.best is None:
            return
        best = self._best.best if self._best else None
        if best is None or self._metric.gain(self._metric.value(result.best), self._metric.value(best)) > 0:
            self._best = result

    def line(self) -> str:
        """Return the line as it would be drawn now."""
        left = self._count - self._done - len(self._running)
        parts = [f"{self._title}: {self._done} done, {len(self._running)} running, {left} left", self._time_left()]
        if self._best and self._best.best:
            values = ", ".join(
                f"{path.split('.')[-1]} {_short(value)}" for path, value in self._best.trial.overrides.items()
            )
            value = self._metric.value(self._best.best)
            measured = f"{self._metric.name} {value:.4f}, accuracy {self._best.best.val_accuracy:.1%}"
            parts.append(f"best is {self._best.trial.number}: {measured} ({values or self._best.trial.arm})")
        return " | ".join(part for part in parts if part)

    def _time_left(self) -> str:
        if self._first_epoch is None:
            return "starting workers"
        spent = time.monotonic() - self._first_epoch
        seconds = round(spent / self._epochs_done * (self._epochs_to_do - self._epochs_done))
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def _draw(self, force: bool = False) -> None:
        if not self._live or (not force and time.monotonic() - self._drawn < MIN_INTERVAL):
            return
        self._drawn = time.monotonic()
        width = shutil.get_terminal_size().columns
        self._write("\r\x1b[K" + self.line()[: width - 1])

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed
            self._stream.write(text)
            self._stream.flush()


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
