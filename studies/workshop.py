"""What the studies of one command share: the chips, a running Ray, and where results go."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.source import SYNTHETIC, Source
from studies.cluster import ray_cluster, share
from studies.mirror import MirrorMode
from studies.resources import Cluster, Resources, fit_resources, memory_note
from studies.tuner import device_of
from trainables.data import ChipSet, PreparedData, TrialData, prepare
from trainables.errors import InputError, listed, what_happened
from trainables.images.fetch import KAGGLE, fetch
from trainables.images.files import user_path
from trainables.images.readers import Reading, read_chips
from trainables.images.synthetic import simulate
from trainables.native import EncoderPath, encoder_path

FREE_BYTES = 200 * 2**20  # a study with its checkpoints, figures and Ray's own files, generously


def read_source(source: Source, results: Path | None = None) -> PreparedData:
    """Read and split the chips, past what lies in `results`; raise InputError where they cannot be used."""
    data = prepare(_chips(source, results), source.split, drop_small_classes=source.drop_small_classes)
    if source.ship_class is not None and source.ship_class not in data.chips.classes:
        raise InputError(f"--ship-class {source.ship_class!r}: the classes are {listed(data.chips.classes)}")
    return data


def _chips(source: Source, results: Path | None) -> ChipSet:
    if source.path == SYNTHETIC:
        return simulate()
    path = fetch(source.path) if source.path.startswith(KAGGLE) else user_path(source.path)
    how = Reading(source.skip_bad, source.group_by, source.merge_splits, results, source.side)
    return read_chips(path, how, _reading)


@dataclass(frozen=True)
class Where:
    """Where results go and where trials run."""

    results: Path
    address: str | None
    resources: Resources
    wandb: MirrorMode = "disabled"


@dataclass(frozen=True)
class Workshop:
    """What the studies of one command share: chips, a running Ray, and where results go."""

    source: Source
    data: PreparedData
    trial_data: TrialData
    shared: object  # `trial_data` where Ray's workers find it
    cluster: Cluster
    resources: Resources
    results: Path
    wandb: MirrorMode

    @property
    def encoder(self) -> EncoderPath:
        """Return which pass plain networks take through the encoder, as this machine has it."""
        return encoder_path(device=device_of(self.resources))


@contextlib.contextmanager
def open_workshop(source: Source, where: Where) -> Iterator[Workshop]:
    """Read the chips and start Ray, once; raise InputError before anything is written."""
    data = read_source(source, where.results)
    for warning in data.warnings:
        say(f"warning: {warning}")
    for note in data.notes:
        say(f"note: {note}")
    trial_data = data.for_trials()
    size = trial_data.train.images.nbytes + trial_data.validation.images.nbytes
    threading.Thread(target=_load_the_rest, daemon=True).start()
    with ray_cluster(where.address, size) as cluster:
        resources = fit_resources(where.resources, cluster, size)
        if short := memory_note(resources, cluster, size):
            say(f"note: {short}")
        shared = share(trial_data)
        yield Workshop(source, data, trial_data, shared, cluster, resources, where.results, where.wandb)


def _load_the_rest() -> None:
    """Load what takes seconds while Ray's servers start, and what writes the study up while its trials train.

    Whoever needs one of them imports it, and waits no longer than that takes; what is wrong with it is theirs to say.
    """
    with contextlib.suppress(Exception):
        for name in ("trainables.siamese", "studies.conclude"):
            importlib.import_module(name)


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
