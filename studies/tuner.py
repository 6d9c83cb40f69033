"""The Ray side: trials in, epochs and results out. Ray objects stay here (and in keeper.py).

What a trial is, and what becomes of its results, is somebody else's: a source says which trial comes next, observers
hear of every epoch and every end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from search_spaces.study import Scheduler
from studies import stop
from studies.keeper import Keeper, LocalKeeper, trial_file
from studies.resources import Resources
from trainables.errors import Halted, what_happened
from trainables.result import (
    INTERRUPTED,
    EpochMetrics,
    History,
    Metric,
    Status,
    Trial,
    TrialResult,
    trial_result,
)

RETRIES = 2  # times that a trial is tried again after an exception or a lost worker
NO_ROOM = 2**20  # bytes
KEPT = 2**16  # workers that Tune may keep while a phase ends: all
HOPELESS = 3  # failed trials before any other has ended: what is wrong is not the config

Outcome = Literal["whole", "interrupted", "hopeless"]


class TrialSource(Protocol):
    """Says which config a trial has; asked once for each number that was never begun, in order."""

    def ask(self, number: int) -> Trial:
        """Return trial `number`."""
        ...


class Observer(Protocol):
    """Hears what happens, in the driver, as it happens."""

    def started(self, trial: Trial, ray_id: str) -> None:
        """Hear that a trial was handed to Ray, which calls it `ray_id`; a trial that goes on is handed over again."""
        ...

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Hear of a finished epoch."""
        ...

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Hear how a trial ended, with all its epochs."""
        ...


@dataclass(frozen=True)
class Phase:
    """Trials that are known to be wanted, and who watches them; a search is one, the retraining of finalists another.

    `numbers` are the trials to run; those in `begun` go on, from their checkpoint in `states` if it is there. There
    running trials keep their checkpoints, in `weights`, if named, each its best weights.
    """

    source: TrialSource
    numbers: Sequence[int]
    observers: Sequence[Observer]
    states: Path
    weights: Path | None = None
    begun: Mapping[int, History] = field(default_factory=dict)
    scheduler: Scheduler = "none"
    max_epochs: int = 1


@dataclass(frozen=True)
class TrialRun:
    """Everything one Ray Tune run needs: the trainable and its data, and the trials, phase by phase.

    `data` is what `share` returned for it, or itself where it is small. `one_machine`: every worker will be on the
    driver's, as in a Ray of our own. A phase is asked of `phases` once every trial
    of the one before has ended, so that it may follow from what these gave; workers stay warm in between.
    """

    trainable: type
    data: object
    metric: Metric
    resources: Resources
    scratch: Path
    phases: Iterable[Phase]
    one_machine: bool = False


def run_trials(run: TrialRun) -> Outcome:
    """Run the trials with reused worker processes; return whether all ended, a stop was asked, or there was no hope.

    Raises Halted where the run cannot go on: Ray was lost, or a file cannot be written.
    """
    bridge = _Bridge(run)
    if not bridge.next_phase():
        return "whole"
    threads = max(1, int(run.resources.cpus_per_trial))
    keeper = LocalKeeper() if run.one_machine else Keeper.start()
    trainable = tune.with_parameters(
        run.trainable,
        data=run.data,
        keeper=keeper,
        threads=threads,
        device=device_of(run.resources),
        save_every=run.resources.save_every,
    )
    resources = {"CPU": run.resources.cpus_per_trial, "GPU": run.resources.gpus_per_trial or 0.0}
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Asker(bridge),
            num_samples=-1,  # the asker says when it is over
            max_concurrent_trials=run.resources.max_concurrent,
            scheduler=_scheduler(bridge.phase, run.metric),
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["name"],
            trial_dirname_creator=lambda trial: trial.config["name"],
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(run.scratch.resolve()),
            callbacks=[bridge],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),  # see Keeper
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            stop=_Stopper(bridge),
        ),
    )
    _spare_what_is_not_used(run.one_machine)
    handler = signal.getsignal(signal.SIGUSR1)
    try:
        with stop.patient():
            tuner.fit()
    except Exception as error:
        fault = bridge.fault or error  # Ray hands on what a callback raised as text alone
        if disk_full(run.scratch.parent):  # then whatever Ray says is a consequence
            fault = no_space(run.scratch.parent)
        if not isinstance(fault, tune.TuneError | ray.exceptions.RayError | OSError):
            raise fault from error
        raise Halted(_halted(fault)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, handler)  # Ray keeps its own
        shutil.rmtree(run.scratch, ignore_errors=True)
        with contextlib.suppress(ray.exceptions.RayError):
            keeper.close()
    if bridge.fault:
        raise Halted(_halted(bridge.fault))
    return bridge.close()


def _spare_what_is_not_used(one_machine: bool) -> None:
    """Keep Tune from what costs seconds and is no use here; none of it is a public interface.

    It counts callbacks by their kinds, for which it loads all it knows, W&B among them. And it gives its workers
    environment variables, which workers on this machine have from us: with any, Ray starts new ones for them.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from ray.air._internal import usage

        usage.tag_callbacks = lambda callbacks: False
    with contextlib.suppress(ImportError, AttributeError):
        from ray.tune.execution import class_cache

        if one_machine:
            class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()


def device_of(resources: Resources) -> str:
    """Return where trials train: "cuda" where they are given a part of a GPU."""
    return "cuda" if resources.gpus_per_trial else "cpu"


def disk_full(folder: Path) -> bool:
    """Return whether the disk of `folder` has no room to speak of."""
    return folder.exists() and shutil.disk_usage(folder).free < NO_ROOM


def no_space(folder: Path) -> OSError:
    """Return the error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _halted(fault: Exception) -> str:
    """Why a run cannot go on, in one line."""
    if isinstance(fault, OSError) and fault.filename is not None:
        return f"{fault.filename} cannot be written ({fault.strerror})"
    if isinstance(fault, OSError):
        return what_happened(fault)
    last = (str(fault).strip().splitlines() or [""])[-1]
    return f"Ray was lost ({type(fault).__name__}: {last[:200]})"


class _InTheDriver:
    """What Tune pickles at every snapshot and nobody restores: an empty shell, whatever it can reach here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Stopper(_InTheDriver, tune.Stopper):
    """Stops everything once that was asked, or the bridge has seen that nothing works or going on would cost trials."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return stop.told() is not None or self._bridge.hopeless or self._bridge.fault is not None


class _Asker(_InTheDriver, Searcher):
    """Ray's searcher interface on one side, phases with their `TrialSource` on the other; the bridge tells of ends."""

    def __init__(self, bridge: _Bridge) -> None:
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
        """Nothing to do: `_Bridge` knows the whole curve, Ray hands over only the last result here."""


class _Bridge(_InTheDriver, tune.Callback):
    """Turns Ray's callbacks into our words for the observers; every trial that starts also ends, once."""

    phase: Phase  # from the first `next_phase` on

    def __init__(self, run: TrialRun) -> None:
        self.metric = run.metric
        self.fault: Exception | None = None
        self._phases, self._over = iter(run.phases), False
        self._scratch = run.scratch
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
        self._open[trial.number], self._curves[trial.number] = trial, list(epochs)
        with self._remember_fault():
            for observer in self.phase.observers:
                observer.started(trial, ray_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
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
        reason = trial.last_result.get("infeasible", "")
        if reason:
            self._end(_ours(trial), "infeasible", reason)
        elif len(self._curves[trial.config["number"]]) == _ours(trial).config.epochs:
            self._end(_ours(trial), "finished", "")
        elif not self.hopeless:  # else `close` ends it
            self._end(_ours(trial), "stopped", "by the scheduler")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
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
            self._end(trial, "failed", INTERRUPTED)
        return "whole" if self._over else "hopeless" if hopeless else "interrupted"

    def _end(self, trial: Trial, status: Status, reason: str) -> None:
        del self._open[trial.number]
        curve = self._curves.pop(trial.number)
        result = trial_result(trial, status, curve, self.metric, reason)
        if reason != INTERRUPTED:
            self._ended += 1
            self._failed += status == "failed"
        with self._remember_fault():
            for observer in self.phase.observers:
                observer.ended(result, curve)
        if reason != INTERRUPTED:  # only now: a trial whose end is not written down still needs its checkpoint
            trial_file(self.phase.states, trial.number).unlink(missing_ok=True)


def _ours(trial: Any) -> Trial:
    ours: Trial = trial.config["_trial"]
    return ours


def _reason(trial: Any) -> str:
    """The last line of a worker's traceback: the exception and what it said."""
    lines = [line.strip() for line in ((trial.error_file and Path(trial.error_file).read_text()) or "").splitlines()]
    return next((line for line in reversed(lines) if line), "worker died")[:300]


def _scheduler(phase: Phase, metric: Metric) -> Any:
    if phase.scheduler == "none":
        return _KeepsWorkers()
    return _OfItsPhase(
        time_attr="epoch",
        metric=metric.name,
        mode=metric.goal,
        max_t=phase.max_epochs,
        grace_period=max(1, phase.max_epochs // 4),
        reduction_factor=2,
    )


class _KeepsWorkers(FIFOScheduler):
    """Starts trials in order, and has Tune keep every worker for the next phase, which it cannot know of.

    By itself it keeps one. Its cache of actors is no public interface: in a Ray without it, workers start anew.
    """

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        super().on_trial_add(controller, trial)
        with contextlib.suppress(AttributeError):
            cache, size = controller._actor_cache, trial.placement_group_factory
            cache.increase_max(size, max(0, KEPT - cache.total_max_objects))


class _OfItsPhase(_KeepsWorkers, ASHAScheduler):
    """ASHA over the trials of phases that have a scheduler; those of the others run to their end."""

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        if trial.config["scheduled"]:
            super().on_trial_add(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> Any:
        return super().on_trial_result(controller, trial, result) if trial.config["scheduled"] else self.CONTINUE

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["scheduled"]:
            super().on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        if trial.config["scheduled"]:
            super().on_trial_remove(controller, trial)
