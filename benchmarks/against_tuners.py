"""This project against other tuners: the `lr` stage on the embedded chips, the same number of training runs for each.

    python -m benchmarks.against_tuners [--runs 66] [--repetitions 8] [--epochs 5] [--tuners ours,optuna-tpe,...]
        [--seeds 10] [--out FILE.csv]

Ours is the command that a user types, whose runs are the search's and those under new seeds; as its decision may end
early, they are counted and stand in the table. The others are called as their tutorials do (benchmarks/tuners.py):
Optuna's TPE and random search, Ray Tune's ASHA (with as many epochs in all), and SMAC3 where it is installed. Each
repetition has a seed of its own. What counts is the config that a tuner recommends, trained anew under `--seeds` seeds
that nobody saw: the mean of its best epochs' validation losses, and of the test accuracies there.

A row is added to --out after each repetition, and those that are there are not run again. The last line is a JSON
object: for each tuner `val_loss`, `test_accuracy` (mean, 95 % t interval over repetitions), `runs`, `repetitions`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.selection_table import curve
from benchmarks.study import StudyRun, positive, timed
from benchmarks.tuners import ON_ALL_CORES, OTHERS, Task, chips, loaded
from storage.best_json import BEST, read_best
from studies.evaluate import test_pairs
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig, of_verifier
from trainables.encoder_path import encoder_path
from trainables.errors import InputError
from trainables.stored_chips import load

OURS = "ours"
SEARCH = 24 / 66  # the share of our runs that search; the rest race and decide
FIRST_SEED = 50_000  # of the runs that judge
AT_ONCE = 2


@dataclass(frozen=True)
class Row:
    """What a tuner's recommendation was worth in one repetition, and in how many runs it was found."""

    tuner: str
    repetition: int
    runs: int
    val_loss: float
    test_accuracy: float
    config: str


def recommended(tuner: str, task: Task) -> tuple[TrialConfig, int]:
    """Return the config that a tuner recommends, and how many runs it took."""
    if tuner != OURS:
        return task.config(OTHERS[tuner](task), 0), task.runs
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "run_search.py", "--stage", "lr", "--results-dir", folder, "--seed", str(task.seed)]
        command += ["--trials", str(round(SEARCH * task.runs)), "--epochs", str(task.epochs)]
        status, printed, *_ = timed(command)
        if status:
            raise InputError(f"{' '.join(command[1:])}: exit status {status}")
        run = StudyRun(Path(printed.splitlines()[-1]).parent, 0.0, 0.0)
        return of_verifier(read_best(run.folder / BEST).config), len(run.search) + len(run.repeats)


def quality(config: TrialConfig, seeds: int) -> tuple[float, float]:
    """Return the mean validation loss of a config's best epochs under fresh seeds, and the mean test accuracy there."""
    share_threads(1, encoder_path(config.network))
    test = load(test_pairs(chips()).part, chips().for_trials())
    best = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        epochs = list(curve(config.override({"seed": seed}), loaded(), test))
        whole = [epoch for epoch in epochs if not math.isnan(epoch["val_loss"])]
        chosen = min(whole, key=lambda epoch: epoch["val_loss"]) if len(whole) == len(epochs) else None
        best.append((chosen["val_loss"], chosen["test_accuracy"]) if chosen else (math.log(2), 0.5))
    return float(np.mean([loss for loss, _ in best])), float(np.mean([accuracy for _, accuracy in best]))


def judged(tuner: str, task: Task, seeds: int) -> Row:
    """Run one repetition of one tuner, and judge what it recommends."""
    config, runs = recommended(tuner, task)
    return Row(tuner, task.seed, runs, *quality(config, seeds), json.dumps(config.to_dict(), sort_keys=True))


def measure(args: argparse.Namespace) -> list[Row]:
    """Run what is missing of all repetitions: those that use one core side by side, the others one after another."""
    rows = read(args.out) if args.out else []
    done = {(row.tuner, row.repetition) for row in rows}
    tasks = [(tuner, Task(args.runs, args.epochs, seed)) for seed in range(args.repetitions) for tuner in args.tuners]
    left = [(tuner, task) for tuner, task in tasks if (tuner, task.seed) not in done]
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        beside = [(tuner, task) for tuner, task in left if tuner != OURS and tuner not in ON_ALL_CORES]
        asked = [pool.submit(judged, tuner, task, args.seeds) for tuner, task in beside]
        rows += [added(args.out, future.result()) for future in asked]
        for tuner, task in left:
            if (tuner, task) not in beside:
                rows.append(added(args.out, pool.submit(judged, tuner, task, args.seeds).result()))
    return rows


def read(path: Path) -> list[Row]:
    """Return the rows of an earlier run."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(row["tuner"], int(row["repetition"]), int(row["runs"]), float(row["val_loss"]),
                float(row["test_accuracy"]), row["config"])
            for row in csv.DictReader(file)
        ]  # fmt: skip


def added(path: Path | None, row: Row) -> Row:
    """Say a row, and add it to the file, if there is one."""
    print(f"{row.tuner} {row.repetition}: {row.val_loss:.4f}, {row.test_accuracy:.2%}, {row.runs} runs", flush=True)
    if path:
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow([field.name for field in fields(Row)])
            writer.writerow([getattr(row, field.name) for field in fields(Row)])
    return row


def interval(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and its 95 % t interval; None for its ends where there is one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """Return the JSON object: a tuner's figures by its name."""
    by_tuner: dict[str, list[Row]] = {}
    for row in rows:
        by_tuner.setdefault(row.tuner, []).append(row)
    return {
        tuner: {
            "val_loss": interval([row.val_loss for row in own]),
            "test_accuracy": interval([row.test_accuracy for row in own]),
            "runs": float(np.mean([row.runs for row in own])),
            "repetitions": len(own),
        }
        for tuner, own in by_tuner.items()
    }


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everyone = [OURS, *OTHERS]
    p.add_argument("--runs", type=positive, default=66, metavar="N", help="training runs of each (default: 66)")
    p.add_argument("--repetitions", type=positive, default=8, metavar="N", help="seeds of each tuner (default: 8)")
    p.add_argument("--epochs", type=positive, default=5, metavar="N", help="of a run (default: 5)")
    p.add_argument("--seeds", type=positive, default=10, metavar="N", help="runs that judge a config (default: 10)")
    p.add_argument("--tuners", default=",".join(everyone), metavar="A,B", help=f"default: {','.join(everyone)}")
    p.add_argument(
        "--out", type=Path, metavar="FILE.csv", help="a row for each repetition; what it has is not run again"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table; return the exit status."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of all processes that follow
    args = parser().parse_args(argv)
    args.tuners = args.tuners.split(",")
    unknown = [name for name in args.tuners if name not in (OURS, *OTHERS)]
    if unknown:
        print(f"--tuners {','.join(unknown)}: there are {', '.join((OURS, *OTHERS))}", file=sys.stderr)
        return 2
    try:
        result = summary(measure(args))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
