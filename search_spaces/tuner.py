"""The Ray side: trials in, epochs and results out. Ray objects never leave this file.

What a trial is, and what becomes of its results, is somebody else's: a source says which trial comes next, observers
hear of every epoch and every end.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # our own record is the only one
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial reports no metric

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

from search_spaces.study import Resources, Scheduler
from trainables.errors import InputError
from trainables.result import INTERRUPTED, EpochMetrics, Metric, Status, Trial, TrialResult

EPOCH_FIELDS = tuple(field.name for field in fields(EpochMetrics))


class TrialSource(Protocol):
    """Says which trial comes next; asked once for each number, in order."""

    def ask(self, number: int) -> Trial:
        """Return trial `number`."""
        ...


class Observer(Protocol):
    """Hears what happens, in the driver, as it happens."""

    def started(self, trial: Trial) -> None:
        """Hear that a trial was handed to Ray."""
        ...

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Hear of a finished epoch."""
        ...

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Hear how a trial ended, with all its epochs."""
        ...


@dataclass(frozen=True)
class Cluster:
    """Where trials run, in plain numbers."""

    cpus: float
    gpus: float
    nodes: int


@contextlib.contextmanager
def ray_cluster(address: str | None = None) -> Iterator[Cluster]:
    """Start Ray on this machine, or join the cluster at `address`, silently; leave it on exit."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"ray(\.|$)")
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = (
            f"--address {address}: no Ray cluster answers there" if address else "Ray does not start on this machine"
        )
        raise InputError(f"{where} ({error})") from error
    try:
        total = ray.cluster_resources()
        yield Cluster(total.get("CPU", 0.0), total.get("GPU", 0.0), len(ray.nodes()))
    finally:
        ray.shutdown()


def fit_resources(wanted: Resources, cluster: Cluster) -> Resources:
    """Fill in what was left open from the machine; raise InputError where not even one trial would fit.

    A GPU is shared by four trials unless said otherwise: the network is far too small to fill one.
    """
    gpus = wanted.gpus_per_trial if wanted.gpus_per_trial is not None else (0.25 if cluster.gpus else 0.0)
    if wanted.cpus_per_trial == 0 and gpus == 0:
        raise InputError(
            "--cpus-per-trial 0 with no GPU: a trial must take some of the machine, or all would start at once"
        )
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"--gpus-per-trial {gpus:g}: above 1 a trial takes whole GPUs")
    if wanted.cpus_per_trial > cluster.cpus or gpus > cluster.gpus:
        raise InputError(
            f"a trial of {wanted.cpus_per_trial:g} CPUs and {gpus:g} GPUs does not fit: "
            f"the cluster has {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs"
        )
    fits = min(
        cluster.cpus / wanted.cpus_per_trial if wanted.cpus_per_trial else math.inf,
        cluster.gpus / gpus if gpus else math.inf,
    )
    at_once = wanted.max_concurrent or max(1, int(fits))
    return Resources(wanted.cpus_per_trial, gpus, min(at_once, max(1, int(fits))))


@dataclass(frozen=True)
class TrialRun:
    """Everything one Ray Tune run needs: the trainable and its data, the trials and who watches them."""

    trainable: type
    data: object
    source: TrialSource
    count: int
    metric: Metric
    resources: Resources
    observers: Sequence[Observer]
    scratch: Path
    scheduler: Scheduler = "none"
    max_epochs: int = 1
    weights: Path | None = None


def run_trials(run: TrialRun) -> bool:
    """Run `run.count` trials with reused worker processes; return False if Ctrl-C ended it early.

    Where `run.weights` names a folder, each trial's best weights are written there as trial_NNNN.safetensors.
    """
    threads = max(1, int(run.resources.cpus_per_trial))
    device = "cuda" if run.resources.gpus_per_trial else "cpu"
    trainable = tune.with_parameters(run.trainable, data=run.data, threads=threads, device=device)
    resources = {"CPU": run.resources.cpus_per_trial, "GPU": run.resources.gpus_per_trial or 0.0}
    bridge = _Bridge(run)
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Asker(run, bridge),
            num_samples=run.count,
            max_concurrent_trials=run.resources.max_concurrent,
            scheduler=_scheduler(run),
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial_{trial.config['number']:04d}",
            trial_dirname_creator=lambda trial: f"trial_{trial.config['number']:04d}",
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(run.scratch.resolve()),
            callbacks=[bridge],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=run.weights is not None),
        ),
    )
    handler = signal.getsignal(signal.SIGINT)
    try:
        tuner.fit()
    finally:
        signal.signal(signal.SIGINT, handler)  # Ray keeps its own, which would swallow the next Ctrl-C
        shutil.rmtree(run.scratch, ignore_errors=True)
    return bridge.close()


class _Asker(Searcher):
    """Ray's searcher interface on one side, a `TrialSource` on the other; ends are told by the bridge."""

    def __init__(self, run: TrialRun, bridge: _Bridge) -> None:
        super().__init__()
        self._run, self._bridge, self._next = run, bridge, 0

    def suggest(self, trial_id: str) -> dict[str, Any]:
        trial = self._run.source.ask(self._next)
        self._next += 1
        self._bridge.started(trial)
        metric = asdict(self._run.metric)
        return {"number": trial.number, "config": trial.config.to_dict(), "metric": metric, "_trial": trial}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: `_Bridge` knows the whole curve, Ray hands over only the last result here."""


class _Bridge(tune.Callback):
    """Turns Ray's callbacks into our words for the observers; every trial that starts also ends, once."""

    def __init__(self, run: TrialRun) -> None:
        self._run = run
        self._open: dict[int, Trial] = {}
        self._curves: dict[int, list[EpochMetrics]] = {}
        self._ended = 0

    def started(self, trial: Trial) -> None:
        self._open[trial.number], self._curves[trial.number] = trial, []
        for observer in self._run.observers:
            observer.started(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "infeasible" in result:
            return
        metrics = EpochMetrics(**{name: result[name] for name in EPOCH_FIELDS})
        self._curves[trial.config["number"]].append(metrics)
        for observer in self._run.observers:
            observer.epoch(_ours(trial), metrics)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        if self._run.weights is None:
            return
        self._run.weights.mkdir(parents=True, exist_ok=True)
        with checkpoint.as_directory() as folder:
            for file in Path(folder).glob("*.safetensors"):
                shutil.copyfile(file, self._run.weights / f"trial_{trial.config['number']:04d}.safetensors")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reason = trial.last_result.get("infeasible", "")
        if reason:
            self._end(_ours(trial), "infeasible", reason)
        elif len(self._curves[trial.config["number"]]) == _ours(trial).config.epochs:
            self._end(_ours(trial), "finished", "")
        else:
            self._end(_ours(trial), "stopped", "by the scheduler")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(_ours(trial), "failed", _reason(trial))

    def close(self) -> bool:
        """End what Ctrl-C left open; return whether every trial of the run ended by itself."""
        whole = not self._open and self._ended == self._run.count
        for trial in list(self._open.values()):
            self._end(trial, "failed", INTERRUPTED)
        return whole

    def _end(self, trial: Trial, status: Status, reason: str) -> None:
        del self._open[trial.number]
        curve = self._curves.pop(trial.number)
        seconds = sum(epoch.seconds for epoch in curve)
        result = TrialResult(trial, status, len(curve), self._run.metric.best(curve), seconds, reason)
        self._ended += 1
        for observer in self._run.observers:
            observer.ended(result, curve)


def _ours(trial: Any) -> Trial:
    ours: Trial = trial.config["_trial"]
    return ours


def _reason(trial: Any) -> str:
    """The last line of a worker's traceback: the exception and what it said."""
    lines = [line.strip() for line in ((trial.error_file and Path(trial.error_file).read_text()) or "").splitlines()]
    return next((line for line in reversed(lines) if line), "worker died")[:300]


def _scheduler(run: TrialRun) -> Any:
    if run.scheduler == "none":
        return None
    return ASHAScheduler(
        time_attr="epoch",
        metric=run.metric.name,
        mode=run.metric.goal,
        max_t=run.max_epochs,
        grace_period=max(1, run.max_epochs // 4),
        reduction_factor=2,
    )
