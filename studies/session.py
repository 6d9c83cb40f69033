"""What the studies of one command share: the chips, a running Ray, and where results go."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from storage.data_source import IN_MEMORY, SYNTHETIC, Source
from studies.cluster import ray_cluster, sent_by_value, share
from studies.machine import usable_cpus, usable_memory
from studies.resources import Cluster, Node, Resources, fit_resources, memory_note
from studies.wandb_process import WandbMode
from trainables.data import ChipSet, PreparedData, TrialData
from trainables.encoder_path import EncoderPath, encoder_path
from trainables.errors import InputError, listed, what_happened
from trainables.images.arrays import Arrays
from trainables.images.fetch import KAGGLE, fetch
from trainables.images.files import user_path
from trainables.images.readers import Reading, read_chips
from trainables.images.synthetic import SIZE, embedded
from trainables.preparation import prepare
from trainables.task import Task, TaskData

T = TypeVar("T")

READY = 16  # workers that start before anything is asked of them; on more CPUs many would find no trial
FREE_BYTES = 200 * 2**20  # a study with its checkpoints, figures and Ray's own files, generously


def read_source(source: Source, results: Path | None = None, given: Arrays | None = None) -> PreparedData:
    """Read and split the chips, past what lies in `results`; raise InputError where they cannot be used.

    `given` are those of a source that is in memory.
    """
    chips = given.chips(source.side) if given else _chips(source, results)
    data = prepare(chips, source.split, drop_small_classes=source.drop_small_classes)
    tested = data.classes_of("test")  # all of them, unless whole classes are held out
    if source.ship_class is not None and source.ship_class not in tested:
        held_out = "classes" if source.split != "classes" else "held-out classes"
        raise InputError(f"--ship-class {source.ship_class!r}: the {held_out} are {listed(tested)}")
    return data


def _chips(source: Source, results: Path | None) -> ChipSet:
    if source.path == SYNTHETIC:
        return embedded()
    if source.path == IN_MEMORY:
        raise InputError("the study's images were in memory: resume it in Python, by Session(images).resume(...)")
    path = fetch(source.path) if source.path.startswith(KAGGLE) else user_path(source.path)
    how = Reading(source.skip_bad, source.group_by, source.merge_splits, results, source.side)
    return read_chips(path, how, _reading)


@dataclass(frozen=True)
class Where:
    """Where results go and where trials run."""

    results: Path
    address: str | None
    resources: Resources
    wandb: WandbMode = "disabled"


@dataclass(frozen=True)
class Session:
    """What the studies of one command share: task and data, a running Ray, and where results go."""

    source: Source
    task: Task
    data: PreparedData | TaskData
    trial_data: TrialData | None  # what trials see of the verifier's chips; of another task only that knows
    shared: object  # what trials see, where Ray's workers find it
    cluster: Cluster
    resources: Resources
    results: Path
    wandb: WandbMode
    opened: float  # when, by time.monotonic

    @property
    def chips(self) -> PreparedData:
        """Return the verifier's chips; raise InputError in a session of another task."""
        if isinstance(self.data, TaskData):
            raise InputError(f"this is for the verifier's chips, not for {self.data.source}")
        return self.data

    @property
    def encoder(self) -> EncoderPath:
        """Return which pass plain networks take through the encoder, as this machine has it."""
        if isinstance(self.data, TaskData):
            return EncoderPath(False, "a task of one's own")
        return encoder_path(device=self.resources.device)


@contextlib.contextmanager
def open_session(source: Source, where: Where, given: Arrays | Task | None = None) -> Iterator[Session]:
    """Read the data and start Ray, once; raise InputError before anything is written.

    `given` are the images of a source that is in memory, or a task of one's own, which loads its data.
    How much Ray must have room for is known of simulated chips before they are there, so both are made at once.
    """
    opened = time.monotonic()
    reading = _begun(lambda: _data(source, where.results, given))
    size = SIZE if source.path == SYNTHETIC else reading.result().nbytes
    with ray_cluster(where.address, size, ready=_libraries(where.resources, size)) as cluster:
        from trainables.siamese import Siamese  # seconds, in which the chips are made

        own = None if given is None or isinstance(given, Arrays) else sent_by_value(given)
        yield _session(source, where, cluster, own or Siamese(), reading.result(), opened)


def _data(source: Source, results: Path, given: Arrays | Task | None) -> PreparedData | TaskData:
    if given is None or isinstance(given, Arrays):
        return read_source(source, results, given)
    return given.load()


def _session(
    source: Source, where: Where, cluster: Cluster, task: Task, data: PreparedData | TaskData, opened: float
) -> Session:
    """Say what is to be known of the data, and share them with the cluster's workers."""
    for warning in data.warnings:
        say(f"warning: {warning}")
    for note in data.notes:
        say(f"note: {note}")
    seen, size = data.for_trials(), data.nbytes
    resources = fit_resources(where.resources, cluster, size)
    if short := memory_note(resources, cluster, size):
        say(f"note: {short}")
    trial_data = seen if isinstance(seen, TrialData) else None
    return Session(source, task, data, trial_data, share(seen), cluster, resources, where.results, where.wandb, opened)


def _libraries(wanted: Resources, size: int) -> tuple[str, ...]:
    """Return what workers load as they start, where there will be one for each CPU; nothing where there may be fewer.

    Nothing of our own: where that lies, Ray tells a worker later.
    """
    with contextlib.suppress(InputError):  # said once Ray runs
        fits = on_this_machine(wanted, size)
        if fits.max_concurrent == usable_cpus() <= READY and not fits.gpus_per_trial:
            return ("ray.tune", "safetensors.torch")
    return ()


def on_this_machine(wanted: Resources, size: int) -> Resources:
    """Return what a Ray of our own would give trials on `size` bytes; raise InputError where none fits."""
    gpus = float(Path("/dev/nvidiactl").exists())
    return fit_resources(wanted, Cluster((Node(usable_cpus(), gpus, usable_memory()),)), size)


def _begun(work: Callable[[], T]) -> Future[T]:
    """Begin `work` beside the main thread, which Ctrl-C goes to; the end of the process does not wait for it."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # the main thread's to handle, whatever it is
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def say(text: str) -> None:
    """Tell the user something, on standard error; on a terminal in place of a live line, which is drawn again below."""
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(("\r\x1b[K" if sys.stderr.isatty() else "") + text, file=sys.stderr, flush=True)


def check_writable(folder: Path) -> None:
    """Raise InputError where a results folder could not be made or written to, or its disk is nearly full."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"--results-dir: {nearest} is no folder that can be written to; choose another")
    free = shutil.disk_usage(nearest).free
    if free < FREE_BYTES:
        raise InputError(
            f"--results-dir: only {free / 2**20:.0f} MiB are free in {nearest}, a study wants "
            f"{FREE_BYTES / 2**20:.0f}; make room, or choose another"
        )


@contextlib.contextmanager
def beginning(folder: Path) -> Iterator[None]:
    """Turn a fault of the disk into an InputError that names the folder, as long as nothing is there to be kept."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"--results-dir: nothing can be kept in {folder} ({what_happened(error)}); choose another"
        ) from error


def _reading(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 200 == 0 or done == total):
        print(f"\rreading images: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
