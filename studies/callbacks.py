"""Ray Tune's interfaces on one side, a study's phases on the other: what Tune asks and tells, in our words."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from ray import tune
from ray.tune.search import Searcher

from studies import stop
from studies.checkpoint_store import trial_file
from studies.phase import Phase
from studies.retry import HOPELESS, RETRIES
from trainables.result import EpochMetrics, History, Metric, Status, Trial, trial_result

NO_ROOM = 2**20  # bytes

Outcome = Literal["whole", "interrupted", "hopeless"]


def disk_full(folder: Path) -> bool:
    """Return whether the disk of `folder` has no room to speak of."""
    return folder.exists() and shutil.disk_usage(folder).free < NO_ROOM


def no_space(folder: Path) -> OSError:
    """Return the error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


class _InTheDriver:
    """What Tune pickles at every snapshot and nobody restores: an empty shell, whatever it can reach here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Stopper(_InTheDriver, tune.Stopper):
    """Stops everything once that was asked, or the bridge has seen that nothing works or going on would cost trials."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether the run is to end."""
        return stop.told() is not None or self._bridge.hopeless or self._bridge.fault is not None


class Asker(_InTheDriver, Searcher):
    """Ray's searcher interface on one side, phases with their `TrialSource` on the other; the bridge tells of ends."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge, self._given = bridge, 0

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's config for Ray; None while a phase's last trials run, FINISHED behind the last."""
        bridge = self._bridge
        if bridge.again:
            return self._described(bridge.again.pop(), trial_id)
        while self._given == len(bridge.phase.numbers):
            if not bridge.phase_over:
                return None
            if not bridge.next_phase():
                return Searcher.FINISHED
            self._given = 0
        number = bridge.phase.numbers[self._given]
        self._given += 1
        begun = bridge.phase.begun.get(number)
        return self._described(begun or History(bridge.phase.source.ask(number)), trial_id)

    def _described(self, history: History, trial_id: str) -> dict[str, Any]:
        bridge, phase, trial = self._bridge, self._bridge.phase, history.trial
        number, times = trial.number, bridge.given_again[trial.number]
        bridge.started(trial, trial_id, history.epochs)
        return {
            "number": number,
            "name": f"{phase.states.name}_{number:04d}{'_again' * times}",
            "config": trial.config.to_dict(),
            "metric": asdict(bridge.metric),
            "state": str(trial_file(phase.states.absolute(), number)),
            "weights": str(trial_file(phase.weights.absolute(), number)) if phase.weights else None,
            "scheduled": phase.scheduler != "none",
            "_trial": trial,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: `Bridge` knows the whole curve, Ray hands over only the last result here."""


class Bridge(_InTheDriver, tune.Callback):
    """Turns Ray's callbacks into our words for the observers; every trial that starts also ends, once."""

    phase: Phase  # from the first `next_phase` on

    def __init__(self, phases: Iterable[Phase], metric: Metric, scratch: Path) -> None:
        self.metric = metric
        self.fault: Exception | None = None
        self._phases, self._over = iter(phases), False
        self._scratch = scratch
        self._open: dict[int, Trial] = {}
        self._curves: dict[int, list[EpochMetrics]] = {}
        self._ended = self._failed = 0  # in this phase, as what follows
        self.again: list[History] = []  # to be handed to Ray once more
        self.given_again: Counter[int] = Counter()

    def next_phase(self) -> bool:
        """Begin the next phase; return whether there is one."""
        with self._remember_fault():
            phase = next(self._phases, None)
        if phase is None:
            self._over = True
            return False
        self.phase, self._ended, self._failed = phase, 0, 0
        self.given_again.clear()
        return True

    @property
    def phase_over(self) -> bool:
        """Whether every trial of this phase has ended."""
        return self._ended == len(self.phase.numbers)

    @contextlib.contextmanager
    def _remember_fault(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.fault = self.fault or error
            raise

    @property
    def hopeless(self) -> bool:
        """Whether the first trials to end in this phase have all failed, after their retries, and others are left."""
        return self._failed == self._ended >= HOPELESS and not self.phase_over

    def started(self, trial: Trial, ray_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Hear that a trial was handed to Ray, with the epochs that are behind it."""
        self._open[trial.number], self._curves[trial.number] = trial, list(epochs)
        with self._remember_fault():
            for observer in self.phase.observers:
                observer.started(trial, ray_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell of an epoch, unless it was trained once more after a checkpoint."""
        if "infeasible" in result:
            return
        metrics = EpochMetrics.from_dict(result)
        curve = self._curves[trial.config["number"]]
        if metrics.epoch <= len(curve):  # trained again after the last checkpoint, to the same figures
            return
        curve.append(metrics)
        with self._remember_fault():
            for observer in self.phase.observers:
                observer.epoch(_ours(trial), metrics)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell how a trial ended by itself or by the scheduler."""
        reason = trial.last_result.get("infeasible", "")
        if reason:
            self._end(_ours(trial), "infeasible", reason)
        elif len(self._curves[trial.config["number"]]) == _ours(trial).config.epochs:
            self._end(_ours(trial), "finished", "")
        elif not self.hopeless:  # else `close` ends it
            self._end(_ours(trial), "stopped", "by the scheduler")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Have a trial tried again, or tell that it failed; a full disk says nothing about it and halts the run."""
        reason = _reason(trial)
        if os.strerror(errno.ENOSPC) in reason or disk_full(self._scratch.parent):
            self.fault = self.fault or no_space(self._scratch.parent)  # says nothing about the trial: it stays open
        elif trial.should_recover() and self.given_again[_ours(trial).number] < RETRIES:
            # Tune tries again what was running; this one met a worker that had died idle
            number = _ours(trial).number
            self.again.append(History(self._open.pop(number), tuple(self._curves.pop(number))))
            self.given_again[number] += 1
        else:
            self._end(_ours(trial), "failed", reason)

    def close(self) -> Outcome:
        """End what was left open; return how the run ended."""
        hopeless = self.hopeless
        for trial in list(self._open.values()):
            self._end(trial, "interrupted", "")
        return "whole" if self._over else "hopeless" if hopeless else "interrupted"

    def _end(self, trial: Trial, status: Status, reason: str) -> None:
        del self._open[trial.number]
        curve = self._curves.pop(trial.number)
        result = trial_result(trial, status, curve, self.metric, reason)
        if status != "interrupted":
            self._ended += 1
            self._failed += status == "failed"
        with self._remember_fault():
            for observer in self.phase.observers:
                observer.ended(result, curve)
        if status != "interrupted":  # only now: a trial whose end is not written down still needs its checkpoint
            trial_file(self.phase.states, trial.number).unlink(missing_ok=True)


def _ours(trial: Any) -> Trial:
    ours: Trial = trial.config["_trial"]
    return ours


def _reason(trial: Any) -> str:
    """The last line of a worker's traceback: the exception and what it said."""
    lines = [line.strip() for line in ((trial.error_file and Path(trial.error_file).read_text()) or "").splitlines()]
    return next((line for line in reversed(lines) if line), "worker died")[:300]
