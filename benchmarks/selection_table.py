"""Make a table of real training runs of one stage, for `benchmarks.selection` to simulate studies on.

    python -m benchmarks.selection_table --stage regularisation --trials 16 --seeds 10 --epochs 5 --out FILE.csv.gz
        [--data PATH] [--split grouped] [--chips N] [--seed S]

The configs are those that the stage asks for under `--seed` (quasi-random; trial 0 is its start), each trained by the
product's own loop, one after another in this process with one thread, under the same `--seeds` training seeds, so that
rows pair by seed. A row is an epoch: trial, arm, the varied parameters by path, seed, epoch, train_loss, val_loss,
val_accuracy, test_accuracy (test pairs at 0.5: to judge a procedure by, never for it to see). A run that diverged ends
with a row whose losses are empty. The file is written when all runs are done; the last line is a JSON object with its
path, the numbers of configs, seeds and epochs, `diverged` runs and `seconds`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.growth import first_chips
from benchmarks.study import positive
from search_spaces.stage import Budget, Stage
from search_spaces.stages import stage_named
from search_spaces.study import Study
from studies.evaluate import test_pairs
from studies.suggest import Suggester
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig, of_verifier
from trainables.data import PreparedData
from trainables.encoder_path import encoder_path
from trainables.ensemble import mean_score
from trainables.errors import Diverged
from trainables.images.readers import read_chips
from trainables.images.synthetic import simulate
from trainables.losses import make_loss
from trainables.metrics import confusion
from trainables.preparation import prepare
from trainables.result import Trial
from trainables.stored_chips import Tensors, load
from trainables.training import DeviceData, Run, train, validate

FIRST_SEED = 1000  # of training: a table's seed 0 stands for it
MEASURED = ("train_loss", "val_loss", "val_accuracy", "test_accuracy")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stage", default="lr", metavar="NAME", help="whose space (default: lr)")
    p.add_argument("--trials", type=positive, default=36, metavar="N", help="configs (default: 36)")
    p.add_argument("--seeds", type=positive, default=20, metavar="N", help="runs of each (default: 20)")
    p.add_argument("--epochs", type=positive, default=5, metavar="N", help="of each run (default: 5)")
    p.add_argument("--data", type=Path, metavar="PATH", help="images as run_search.py takes them (default: simulated)")
    p.add_argument("--chips", type=positive, metavar="N", help="only the first N, the classes in turn")
    p.add_argument("--split", choices=("grouped", "random"), default="grouped")
    p.add_argument("--seed", type=int, default=0, metavar="S", help="of the study that suggests (default: 0)")
    p.add_argument("--out", type=Path, required=True, metavar="FILE.csv.gz")
    return p


def read(args: argparse.Namespace) -> PreparedData:
    """Return the chips that the arguments name, split and paired."""
    chips = read_chips(args.data) if args.data else simulate()
    return prepare(first_chips(chips, min(args.chips or len(chips), len(chips))), args.split)


def configs(stage: Stage, trials: int, epochs: int, seed: int) -> list[Trial]:
    """Return what a study of the stage asks for first."""
    study = Study(stage, "table", TrialConfig(), Budget(trials, epochs), seed)
    with tempfile.TemporaryDirectory() as folder:
        suggester = Suggester(study, Path(folder) / "optuna.journal")
        return [suggester.ask(number) for number in range(trials)]


def curve(config: TrialConfig, data: DeviceData, test: Tensors) -> Iterator[dict[str, float]]:
    """Train one config; yield an epoch's row without what names the run."""
    run, loss, epoch = Run.fresh(config), make_loss(config.loss), 0
    try:
        for metrics in train(config, data, run):
            epoch = metrics.epoch
            score = mean_score([validate(network, test, loss)[1] for network in run.networks])
            yield {
                "epoch": epoch,
                "train_loss": metrics.train_loss,
                "val_loss": metrics.val_loss,
                "val_accuracy": math.nan if metrics.val_accuracy is None else metrics.val_accuracy,
                "test_accuracy": confusion(score, test.target).accuracy,
            }
    except Diverged:
        yield {"epoch": epoch + 1, **dict.fromkeys(MEASURED, math.nan)}


def rows(trial: Trial, stage: Stage, seeds: int, data: DeviceData, test: Tensors) -> Iterator[dict[str, Any]]:
    """Train one config under every seed; yield the table's rows."""
    config = of_verifier(trial.config)
    share_threads(1, encoder_path(config.network))
    named = {"trial": trial.number, "arm": trial.arm, **{p.path: trial.overrides.get(p.path) for p in stage.varied}}
    for seed in range(seeds):
        for row in curve(config.override({"seed": FIRST_SEED + seed}), data, test):
            yield {**named, "seed": seed, **row}


def main(argv: Sequence[str] | None = None) -> None:
    """Train all runs and write the table."""
    args = parser().parse_args(argv)
    stage, began = stage_named(args.stage), time.perf_counter()
    data = read(args)
    stage = stage if args.data else stage.for_demo()
    seen = data.for_trials()
    parts, test = DeviceData.of(seen), load(test_pairs(data).part, seen)
    made: list[dict[str, Any]] = []
    for trial in configs(stage, args.trials, args.epochs, args.seed):
        made += rows(trial, stage, args.seeds, parts, test)
        print(f"{trial.number + 1} of {args.trials} configs, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    table = pd.DataFrame(made).round(dict.fromkeys(MEASURED, 6))
    aside = args.out.with_name(f".{args.out.name}")
    table.to_csv(aside, index=False, compression="gzip")
    aside.replace(args.out)
    figures = {"table": str(args.out), "configs": args.trials, "seeds": args.seeds, "epochs": args.epochs}
    print(
        json.dumps({**figures, "diverged": int(table["val_loss"].isna().sum()), "seconds": time.perf_counter() - began})
    )


if __name__ == "__main__":
    main()
