"""What a study costs as it grows: by chips, and by trials.

    python -m benchmarks.growth [--chips 500 2000 5000 20000] [--trials 10 100 1000] [--epochs 20] [--data PATH]

By chips, each size in processes of its own: preparing them (near-duplicates, split, pairs), and a worker that is handed
the training data as Ray hands it over, loads it and trains the baseline for two epochs, of which the second is timed
(benchmarks/worker.py). Simulated chips are rounded to 8 bits, as images of files are, unless --float; with --data the
sizes are those of its first chips of each class in turn, and the whole set.

By trials: invented curves of --epochs epochs through record, Optuna's storage and report; nothing is trained.

The last line is a JSON object with two lists of such measurements:

    chips   chips, prepare_s, prepare_bytes (peak of the process that reads and prepares), epoch_s, epoch_cpu_s,
            worker_bytes (peak of the worker), worker_base_bytes (the same before it had data); and per chip
            prepare_s_per_chip, epoch_s_per_chip, worker_bytes_per_chip (without the base)
    trials  trials; per trial record_s, optuna_s, reopen_s, report_s, record_bytes (with its tables), optuna_bytes,
            report_bytes; peak_bytes of the process
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import studies.cluster  # noqa: F401  # how workers allocate memory is set there, in the environment that they inherit
from analysis.report import write_report
from benchmarks.study import ROOT, positive, write_chips
from benchmarks.worker import hand_over, peak_bytes
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.data_source import Source
from storage.event_record import Files, Record
from storage.folder import write_manifest
from studies.describe import manifest
from studies.resources import Cluster, Node
from studies.suggest import Suggester
from trainables.config import TrialConfig
from trainables.data import ChipSet
from trainables.encoder_path import encoder_path
from trainables.errors import InputError
from trainables.images.readers import read_chips
from trainables.images.synthetic import simulate
from trainables.preparation import MIN_CHIPS_PER_CLASS, prepare
from trainables.result import EpochMetrics, trial_result


def in_fresh_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call a function in a process that has done nothing before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


# --- by chips --------------------------------------------------------------------------------------------------------


def eight_bit(chips: ChipSet) -> ChipSet:
    """Return chips whose pixels are rounded to 0..255, the whole set's range."""
    low, high = chips.images.min(), chips.images.max()
    return replace(chips, images=((chips.images - low) / (high - low) * 255).round().astype(np.uint8))


def first_chips(chips: ChipSet, count: int) -> ChipSet:
    """Return `count` chips from the classes in turn, as far as each goes: all classes, or as many as have enough."""
    if count == len(chips):
        return chips
    classes = min(len(chips.classes), max(2, count // MIN_CHIPS_PER_CLASS))
    place = np.empty(len(chips), dtype=np.int64)  # of a chip within its class
    for label in range(len(chips.classes)):
        own = chips.labels == label
        place[own] = np.arange(own.sum())
    among = np.flatnonzero(chips.labels < classes)
    kept = np.sort(among[np.argsort(place[among], kind="stable")[:count]])
    return replace(chips, images=chips.images[kept], labels=chips.labels[kept], classes=chips.classes[:classes])


def preparing(chips: Path, folder: Path) -> dict[str, Any]:
    """Read and prepare chips, and leave in `folder` what a worker is handed."""
    read = read_chips(chips)
    began = time.perf_counter()
    data = prepare(read, "grouped").for_trials()
    seconds, peak = time.perf_counter() - began, peak_bytes()
    hand_over(data, folder)
    return {"chips": len(read), "prepare_s": seconds, "prepare_bytes": peak}


def working(folder: Path) -> dict[str, float]:
    """Have a worker load what it is handed and train two epochs."""
    command = [sys.executable, "-m", "benchmarks.worker", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def by_chips(chips: ChipSet) -> dict[str, Any]:
    """Measure one size."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        row = in_fresh_process(preparing, write_chips(chips, folder), folder) | working(folder)
    count = row["chips"]
    return row | {
        "prepare_s_per_chip": row["prepare_s"] / count,
        "epoch_s_per_chip": row["epoch_s"] / count,
        "worker_bytes_per_chip": (row["worker_bytes"] - row["worker_base_bytes"]) / count,
    }


def chip_sets(args: argparse.Namespace) -> list[ChipSet]:
    """Return the sets to measure, the smallest first."""
    if args.data:
        whole = read_chips(args.data)
        sizes = sorted({min(count, len(whole)) for count in [*args.chips, len(whole)]})
    else:
        whole = simulate(max(args.chips), args.seed)
        whole, sizes = whole if args.float else eight_bit(whole), sorted(set(args.chips))
    return [first_chips(whole, count) for count in sizes]


# --- by trials -------------------------------------------------------------------------------------------------------


class Stopwatch:
    """Adds up the seconds spent in its `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._began


def invented(rng: np.random.Generator, epochs: int) -> list[EpochMetrics]:
    """Return a curve that falls to a random level."""
    losses = rng.uniform(0.2, 0.6) + 0.4 * np.exp(-np.arange(epochs) / 3) + rng.normal(0, 0.01, epochs)
    return [EpochMetrics(e + 1, v, v, 0.9, 0.8, 0.9, 0.01, 1.0) for e, v in enumerate(losses.tolist())]


def by_trials(trials: int, epochs: int, seed: int) -> dict[str, Any]:
    """Put `trials` invented trials through record, Optuna and report; return what each took a trial."""
    study = Study(stage_named("lr"), "many", TrialConfig(), Budget(trials, epochs, 1), seed)
    paths = [parameter.path for parameter in study.stage.varied]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = prepare(simulate(60), "grouped")
        described = manifest(study, data, data.for_trials(), Source(), "", Cluster((Node(1),)), encoder_path())
        write_manifest(folder, described)
        files = Files.of_search(folder)
        rng, record = np.random.default_rng(seed), Record(files, study.stage.metric, paths)
        suggester = Suggester(study, folder / "optuna.journal")
        recording, asking, reopening, reporting = Stopwatch(), Stopwatch(), Stopwatch(), Stopwatch()
        for number in range(trials):
            curve = invented(rng, epochs)
            with asking:
                trial = suggester.ask(number)
            result = trial_result(trial, "finished", curve, study.stage.metric)
            with recording:
                record.started(trial, "ray")
                for epoch in curve:
                    record.epoch(trial, epoch)
                record.ended(result, curve)
            with asking:
                suggester.ended(result, curve)
        with reopening:
            assert len(Record(files, study.stage.metric, paths).done) == trials
        with reporting:
            page = write_report(folder)
        tables = [files.record, files.trials, files.epochs]
        return {
            "trials": trials,
            "record_s": recording.seconds / trials,
            "optuna_s": asking.seconds / trials,
            "reopen_s": reopening.seconds / trials,
            "report_s": reporting.seconds / trials,
            "record_bytes": sum(path.stat().st_size for path in tables) / trials,
            "optuna_bytes": (folder / "optuna.journal").stat().st_size / trials,
            "report_bytes": page.stat().st_size / trials,
            "peak_bytes": peak_bytes(),
        }


def table(rows: Sequence[dict[str, Any]], columns: dict[str, tuple[str, float]]) -> str:
    """Return rows as Markdown: for each column its title, and what its values are multiplied with."""
    titles = [title for title, _ in columns.values()]
    cells = [[f"{row[key] * factor:.4g}" for key, (_, factor) in columns.items()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [titles, ["---"] * len(titles), *cells])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print tables and result; return the exit status."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, metavar="PATH", help="images as run_search.py takes them (default: simulated)")
    p.add_argument("--chips", type=positive, nargs="+", default=[500, 2000, 5000, 20000], metavar="N")
    p.add_argument("--trials", type=positive, nargs="+", default=[10, 100, 1000], metavar="N")
    p.add_argument("--epochs", type=positive, default=20, metavar="N", help="of an invented trial (default: 20)")
    p.add_argument("--float", action="store_true", help="leave simulated chips as they are, 32-bit floats")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    args = p.parse_args(argv)
    try:
        chips = [by_chips(chip_set) for chip_set in chip_sets(args)]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    per_chip = {
        "chips": ("chips", 1),
        "prepare_s": ("prepare, s", 1),
        "prepare_s_per_chip": ("a chip, ms", 1e3),
        "prepare_bytes": ("peak, MiB", 2**-20),
        "epoch_s": ("epoch, s", 1),
        "epoch_s_per_chip": ("a chip, ms", 1e3),
        "worker_bytes": ("worker's peak, MiB", 2**-20),
        "worker_bytes_per_chip": ("a chip, KiB", 2**-10),
    }
    print(table(chips, per_chip) + "\n", flush=True)
    trials = [in_fresh_process(by_trials, count, args.epochs, args.seed) for count in args.trials]
    seconds = {f"{name}_s": (f"{name}, ms", 1e3) for name in ("record", "optuna", "reopen", "report")}
    sizes = {f"{name}_bytes": (f"{name}, KiB", 2**-10) for name in ("record", "optuna", "report")}
    print(table(trials, {"trials": ("trials; of each", 1), **seconds, **sizes, "peak_bytes": ("peak, MiB", 2**-20)}))
    print()
    about = {"epochs": args.epochs, "seed": args.seed, "encoder": str(encoder_path())}
    print(json.dumps({"chips": chips, "trials": trials} | about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
