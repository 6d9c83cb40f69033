"""One Ray Tune run for all phases of a study. Ray stays here, in callbacks, schedulers, cluster and checkpoint_store.

What a trial is, and what becomes of its results, is somebody else's: a source says which trial comes next, observers
hear of every epoch and every end.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from studies import stop
from studies.callbacks import Asker, Bridge, Outcome, Stopper, disk_full, no_space
from studies.checkpoint_store import ActorStore, LocalStore
from studies.phase import Phase
from studies.resources import Resources
from studies.retry import RETRIES
from studies.schedulers import scheduler_of
from trainables.errors import Halted, what_happened
from trainables.result import Metric
from trainables.task import Task


@dataclass(frozen=True)
class TrialRun:
    """Everything one Ray Tune run needs: the trainable and its data, and the trials, phase by phase.

    `data` is what `share` returned for it, or itself where it is small; `task` is what a `TaskTrial` trains.
    `one_machine`: every worker will be on the driver's, as in a Ray of our own. A phase is asked of `phases` once every
    trial of the one before has ended, so that it may follow from what these gave; workers stay warm in between.
    """

    trainable: type
    data: object
    metric: Metric
    resources: Resources
    scratch: Path
    phases: Iterable[Phase]
    one_machine: bool = False
    task: Task | None = None


def run_trials(run: TrialRun) -> Outcome:
    """Run the trials with reused worker processes; return whether all ended, a stop was asked, or there was no hope.

    Raises Halted where the run cannot go on: Ray was lost, or a file cannot be written.
    """
    bridge = Bridge(run.phases, run.metric, run.scratch)
    if not bridge.next_phase():
        return "whole"
    _spare_what_is_not_used(run.one_machine)
    with _kept(run) as store, _own_signals(), stop.patient():
        try:
            _tuner(run, bridge, store).fit()
        except Exception as error:
            fault = bridge.fault or error  # Ray hands on what a callback raised as text alone
            if disk_full(run.scratch.parent):  # then whatever Ray says is a consequence
                fault = no_space(run.scratch.parent)
            if not isinstance(fault, tune.TuneError | ray.exceptions.RayError | OSError):
                raise fault from error
            raise Halted(_halted(fault)) from error
    if bridge.fault:
        raise Halted(_halted(bridge.fault))
    return bridge.close()


def _tuner(run: TrialRun, bridge: Bridge, store: ActorStore | LocalStore) -> Any:
    """Tune's run: trials as the bridge names them, workers reused, nothing kept or printed by Tune itself."""
    resources = run.resources
    trainable = tune.with_parameters(
        run.trainable,
        **({"task": run.task} if run.task else {}),
        data=run.data,
        store=store,
        threads=max(1, int(resources.cpus_per_trial)),
        device=resources.device,
        save_every=resources.save_every,
    )
    wanted = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial or 0.0}
    return tune.Tuner(
        tune.with_resources(trainable, wanted),
        tune_config=tune.TuneConfig(
            search_alg=Asker(bridge),
            num_samples=-1,  # the asker says when it is over
            max_concurrent_trials=resources.max_concurrent,
            scheduler=scheduler_of(bridge.phase, run.metric),
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["name"],
            trial_dirname_creator=lambda trial: trial.config["name"],
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(run.scratch.resolve()),
            callbacks=[bridge],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),  # see ActorStore
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            stop=Stopper(bridge),
        ),
    )


@contextlib.contextmanager
def _kept(run: TrialRun) -> Iterator[ActorStore | LocalStore]:
    """What workers keep their files through; ends with what Tune has written for itself."""
    store = LocalStore() if run.one_machine else ActorStore.start()
    try:
        yield store
    finally:
        shutil.rmtree(run.scratch, ignore_errors=True)
        with contextlib.suppress(ray.exceptions.RayError):
            store.close()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray keeps its own handler of SIGUSR1: put back what was there."""
    handler = signal.getsignal(signal.SIGUSR1)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, handler)


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


def _halted(fault: Exception) -> str:
    """Why a run cannot go on, in one line."""
    if isinstance(fault, OSError) and fault.filename is not None:
        return f"{fault.filename} cannot be written ({fault.strerror})"
    if isinstance(fault, OSError):
        return what_happened(fault)
    last = (str(fault).strip().splitlines() or [""])[-1]
    return f"Ray was lost ({type(fault).__name__}: {last[:200]})"
