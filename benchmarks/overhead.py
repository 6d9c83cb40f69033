"""What a study costs beside training: the cores it holds, against the bare training of its trials.

    python -m benchmarks.overhead [--chips 600 --trials 64 --epochs 20] [--data PATH] [--repeats 5]

The study is the `lr` stage by the command that a user types. Its trials are then trained once more, the same configs by
the product's own loop, in as many processes at once as the study ran trials, which do nothing else: no Ray, no record,
no checkpoints. All figures are core-seconds.

The last line is a JSON object. `study_s`: wall seconds from the command to the end of its last search trial, times
`cores`, the number of trials at once; `bare_s`: seconds that the bare processes spent in the loop, summed over trials;
`ratio` = study_s / bare_s: 1 would be a study that starts, suggests, records and ends for nothing. `epochs_s`: seconds
that the study's own trials spent in their epochs. What study_s is above it went by between epochs and trials, at the
start and at the end; what bare_s differs from it is the machine's pace, then and now. `whole_study_s`, `whole_bare_s`
and `whole_ratio` are the same of the whole command and of all its runs, the finalists' new seeds too.
`bare_cpu_s`: CPU time of bare_s; clearly less than bare_s means that others used the machine.
`same_losses`: whether every epoch's validation loss came out as in the study, to the bit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

import studies.cluster  # noqa: F401  # how workers allocate memory is set there, in the environment that they inherit
from benchmarks.study import chips_of, parser, positive, run_study
from trainables.config import TrialConfig
from trainables.errors import Diverged, InputError
from trainables.images.readers import read_chips
from trainables.preparation import prepare
from trainables.result import History
from trainables.training import DeviceData, train

READY = 600  # seconds within which all processes have loaded their data

_data: DeviceData  # of a bare process


@dataclass(frozen=True)
class Bare:
    """One trial trained bare: seconds by the clock and of CPU, and each epoch's validation loss."""

    seconds: float
    cpu_seconds: float
    losses: list[float]


def _load(chips: Path, all_ready: Barrier) -> None:
    """Load the data as a trial does, and wait for the other processes."""
    global _data
    torch.set_num_threads(1)
    _data = DeviceData.of(prepare(read_chips(chips), "grouped").for_trials())
    all_ready.wait(READY)


def _train(config: TrialConfig) -> Bare:
    began, cpu, losses = time.perf_counter(), time.process_time(), []
    try:
        for epoch in train(config, _data):
            losses.append(epoch.val_loss)
    except Diverged:
        pass
    return Bare(time.perf_counter() - began, time.process_time() - cpu, losses)


def train_bare(chips: Path, runs: Collection[History], processes: int) -> list[Bare]:
    """Train each run's config again, in its order, in `processes` processes at once that start before the clock."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _load, (chips, context.Barrier(processes))) as pool:
        return list(pool.map(_train, [run.trial.config for run in runs]))


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the study, then its trials bare."""
    chips = chips_of(args, folder)
    study = run_study(args, chips, folder / "results", "--repeats", str(args.repeats))
    cores = study.at_once(args.at_once)
    search, repeats = study.search.values(), study.repeats.values()
    bare = train_bare(chips, [*search, *repeats], cores)
    bare_s, whole_bare_s = (sum(run.seconds for run in runs) for runs in (bare[: len(search)], bare))
    pairs = zip([*search, *repeats], bare, strict=True)
    return {
        "study_s": study.search_s * cores,
        "bare_s": bare_s,
        "ratio": study.search_s * cores / bare_s,
        "epochs_s": sum(epoch.seconds for run in search for epoch in run.epochs),
        "whole_study_s": study.whole_s * cores,
        "whole_bare_s": whole_bare_s,
        "whole_ratio": study.whole_s * cores / whole_bare_s,
        "bare_cpu_s": sum(run.cpu_seconds for run in bare[: len(search)]),
        "same_losses": all([epoch.val_loss for epoch in run.epochs] == again.losses for run, again in pairs),
        "cores": cores,
        "chips": sum(study.manifest.data.counts.values()),
        "trials": args.trials,
        "epochs": args.epochs,
        "repeats": len(repeats),
        "seed": args.seed,
        "hardware": study.manifest.hardware,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the result; return the exit status."""
    p = parser(__doc__, chips=600, trials=64, epochs=20)
    p.add_argument("--repeats", type=positive, default=5, metavar="N", help="new seeds of the finalists (default: 5)")
    args = p.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(args, Path(folder))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{result['trials']} trials of {result['epochs']} epochs, {result['chips']} chips, {result['cores']} cores\n")
    print("| core-seconds | study | bare | ratio |\n| --- | --- | --- | --- |")
    for name, of in (("search", ""), ("with retraining, tests and report", "whole_")):
        study, bare, ratio = (result[f"{of}{key}"] for key in ("study_s", "bare_s", "ratio"))
        print(f"| {name} | {study:.0f} | {bare:.0f} | {ratio:.3f} |")
    print()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
