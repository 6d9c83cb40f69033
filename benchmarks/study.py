"""What benchmarks of a whole study share: its chips, and the command that a user types, timed.

A timing starts with the command. The record is appended as things happen, and its last line is the end of the last
trial, so the time of its last change is when the search was over.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.event_record import Files, read_histories
from storage.folder import read_manifest
from storage.study_json import Manifest
from trainables.data import ChipSet
from trainables.errors import InputError
from trainables.images.synthetic import simulate
from trainables.result import History

ROOT = Path(__file__).resolve().parents[1]


def parser(description: str | None, chips: int, trials: int, epochs: int) -> argparse.ArgumentParser:
    """Return a benchmark's command line: its chips, its size and its seed."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, metavar="PATH", help="images as run_search.py takes them (default: simulated)")
    p.add_argument("--chips", type=positive, default=chips, metavar="N", help=f"simulated chips (default: {chips})")
    p.add_argument("--trials", type=positive, default=trials, metavar="N", help=f"default: {trials}")
    p.add_argument("--epochs", type=positive, default=epochs, metavar="N", help=f"default: {epochs}")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of simulated chips and study (default: 0)")
    p.add_argument("--at-once", type=positive, metavar="N", help="trials at once (default: as many as CPUs)")
    return p


def positive(text: str) -> int:
    """Return a whole number from 1; what argparse calls for an option."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return number


def chips_of(args: argparse.Namespace, folder: Path) -> Path:
    """Return --data, else the path of simulated chips, written to `folder`."""
    return args.data.absolute() if args.data else write_chips(simulate(args.chips, args.seed), folder)


def write_chips(chips: ChipSet, folder: Path) -> Path:
    """Write chips as an `input_data.npz` that the product reads; return its path."""
    path = folder / f"chips_{len(chips)}.npz"
    np.savez(path, X_train=chips.images, Y_train=chips.labels)
    return path


@dataclass(frozen=True)
class StudyRun:
    """A study that a command has run: its folder, and seconds from the command to two ends."""

    folder: Path
    search_s: float  # the end of its last search trial
    whole_s: float  # the command's return, the report written

    @property
    def manifest(self) -> Manifest:
        """Return study.json."""
        return read_manifest(self.folder)

    @property
    def search(self) -> dict[int, History]:
        """Return the trials of the search, by number."""
        return read_histories(Files.of_search(self.folder).record, self.manifest.metric)

    @property
    def repeats(self) -> dict[int, History]:
        """Return the finalists' runs under new seeds, by number."""
        return read_histories(Files.of_repeats(self.folder).record, self.manifest.metric)

    def at_once(self, asked: int | None) -> int:
        """Return how many trials ran at once, each on one CPU, where `asked` were."""
        cpus = int(self.manifest.hardware["CPUs"])
        return min(asked or cpus, cpus)


def run_study(args: argparse.Namespace, data: Path, results: Path, *options: str) -> StudyRun:
    """Run the `lr` stage on CPUs by its command, in a process of its own; raise InputError where that fails."""
    command = [sys.executable, str(ROOT / "run_search.py"), "--stage", "lr", "--data", str(data), *options]
    command += ["--trials", str(args.trials), "--epochs", str(args.epochs), "--seed", str(args.seed)]
    command += ["--gpus-per-trial", "0", "--results-dir", str(results)]
    command += ["--max-concurrent", str(args.at_once)] if args.at_once else []
    status, printed, began, whole = timed(command)
    if status:
        raise InputError(f"{' '.join(command[1:])}: exit status {status}")
    folder = Path(printed.splitlines()[-1]).parent
    run = StudyRun(folder, Files.of_search(folder).record.stat().st_mtime - began, whole)
    assert len(run.search) == args.trials and all(history.result for history in run.search.values())
    return run


def timed(command: Sequence[str], environment: dict[str, str] | None = None) -> tuple[int, str, float, float]:
    """Run a command; return its status, its standard output, when it began (Unix time) and how many seconds it took."""
    began, clock = time.time(), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    return done.returncode, done.stdout, began, time.perf_counter() - clock
