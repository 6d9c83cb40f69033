"""This project's `lr` search against the same search written as in a tutorial, in turn.

    python -m benchmarks.tutorial [--chips 600 --trials 16 --epochs 12] [--data PATH] [--theta 0] [--seeds 5]

Ours is the command that a user types; the other side is benchmarks/tutorial_script.py: a Dataset of pairs, DataLoader,
per-sample transforms, a plain network, `tune.report`, OptunaSearch. Both have the same chips, split and pairs, ranges,
trials, epochs and augmentation, as many trials at once, one thread a trial, and Ray's workers at the same priority.

The last line is a JSON object. `ours_s` and `tutorial_s`: seconds from the command to the end of the last search trial;
`ratio` = tutorial_s / ours_s; `ours_whole_s`: to the report, finalists retrained and tested. `val_loss`: the last
validation loss of one config, the study's start, trained on both sides under several seeds (mean, SD, n), and the
difference tutorial - ours with its 95 % interval (Welch): 0 inside means equal within seed noise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.study import StudyRun, chips_of, parser, positive, run_study, timed
from search_spaces.stage import COMPARED, SELECTED
from storage.whole_files import write_json
from trainables.config import TrialConfig, of_verifier
from trainables.errors import InputError


def tutorial(args: argparse.Namespace, data: Path, at_once: int, storage: Path, *options: str) -> dict[str, Any]:
    """Run the tutorial's script; return what it printed, and seconds from its command to the end of its last trial."""
    command = [sys.executable, "-m", "benchmarks.tutorial_script", "--data", str(data), "--storage", str(storage)]
    command += ["--trials", str(args.trials), "--epochs", str(args.epochs), "--theta", str(args.theta)]
    command += ["--seed", str(args.seed), "--at-once", str(at_once), *options]
    # ours train at the priority of the command too; beside other work Ray's own (nice 15) would be no equal share
    status, printed, began, _ = timed(command, os.environ | {"RAY_worker_niceness": "0"})
    if status:
        raise InputError(f"{' '.join(command[1:])}: exit status {status}")
    said: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return said | {"seconds": said["ended"] - began}


def same_config(run: StudyRun) -> tuple[TrialConfig, list[int], list[float]]:
    """Return the study's starting config, the seeds under which it was trained anew, and the last validation losses."""
    finalists = run.manifest.finalists
    config = finalists.get(COMPARED, finalists[SELECTED])  # one config where the start is the one to use
    runs = [history for history in run.repeats.values() if history.trial.arm == COMPARED and history.epochs]
    losses = [history.epochs[-1].val_loss for history in runs]
    return of_verifier(config), [history.trial.config.seed for history in runs], losses


def spread(losses: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation (None for one value) and number."""
    sd = float(np.std(losses, ddof=1)) if len(losses) > 1 else None
    return {"mean": float(np.mean(losses)), "sd": sd, "n": len(losses)}


def difference(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the difference of means, theirs - ours, and its 95 % interval by Welch's t (None for single values)."""
    gap = float(np.mean(theirs) - np.mean(ours))
    if min(len(ours), len(theirs)) < 2:
        return {"difference": gap, "interval": None}
    interval = stats.ttest_ind(theirs, ours, equal_var=False).confidence_interval(0.95)
    return {"difference": gap, "interval": [float(interval.low), float(interval.high)]}


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run both sides; the tutorial's also trains the study's start under the seeds that ours retrained it with."""
    data = chips_of(args, folder)
    start = folder / "start.json"
    write_json(start, {"config": TrialConfig().override({"augmentation.theta": args.theta}).to_dict()})
    ours = run_study(args, data, folder / "results", "--start", str(start), "--repeats", str(args.seeds))
    at_once = ours.at_once(args.at_once)
    config, seeds, losses = same_config(ours)
    values = {path: value for path, value in config.by_path().items() if path.startswith(("optimiser.", "schedule."))}
    again = ("--config", json.dumps(values), "--seeds", *map(str, seeds))
    theirs = tutorial(args, data, at_once, folder / "tutorial", *again)
    other = theirs["same_config"]
    counts = {"chips": sum(ours.manifest.data.counts.values()), "trials": args.trials, "epochs": args.epochs}
    return {
        "ours_s": ours.search_s,
        "ours_whole_s": ours.whole_s,
        "tutorial_s": theirs["seconds"],
        "ratio": theirs["seconds"] / ours.search_s,
        **counts,
        "at_once": at_once,
        "theta": args.theta,
        "seed": args.seed,
        "val_loss": {"ours": spread(losses), "tutorial": spread(other), **difference(losses, other)},
        "hardware": ours.manifest.hardware,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the result; return the exit status."""
    p = parser(__doc__, chips=600, trials=16, epochs=12)
    p.add_argument("--theta", type=float, default=0.0, metavar="X", help="augmentation of both sides (default: 0)")
    p.add_argument("--seeds", type=positive, default=5, metavar="N", help="seeds of the same config (default: 5)")
    args = p.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(args, Path(folder))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    ours, theirs = result["val_loss"]["ours"], result["val_loss"]["tutorial"]
    print(f"{result['trials']} trials of {result['epochs']} epochs, {result['chips']} chips\n")
    print("| side | to the end of the search, s | validation loss of the start, mean (SD, n) |\n| --- | --- | --- |")
    for name, seconds, at in (("ours", result["ours_s"], ours), ("tutorial", result["tutorial_s"], theirs)):
        print(f"| {name} | {seconds:.1f} | {at['mean']:.4f} ({at['sd'] or 0:.4f}, {at['n']}) |")
    print(f"\nratio {result['ratio']:.2f}; ours to the report {result['ours_whole_s']:.1f} s\n")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
