"""How much of a test score can be leakage? Flipped copies of each chip, split at random and split by picture.

    python -m benchmarks.split_leakage [--chips 800] [--seeds 5] [--epochs 8]

The paper's set is probably each chip with two flipped copies (4,113 = 3 x 1,371), split chip by chip: then most test
chips have a copy of themselves in training. Here the simulated chips get the same two copies; each seed decides split,
pairs, weights and batches, and both kinds of split are trained and tested alike. Prints a Markdown table: test accuracy
over seeds, and the difference within a seed with its 95 % interval (paired t).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy import stats

from analysis.scores import Finalist
from studies.evaluate import evaluate
from trainables.config import TrialConfig
from trainables.data import ChipSet
from trainables.ensemble import pack
from trainables.images.synthetic import simulate
from trainables.preparation import prepare
from trainables.training import DeviceData, Run, train

TUNED = {"optimiser.lr": 0.005, "schedule.kind": "cosine"}
CONFIGS = {
    "without augmentation": TrialConfig().override(TUNED),
    "flips and grey, theta 0.4": TrialConfig().override(TUNED | {"augmentation.theta": 0.4}),
}


def with_flipped_copies(chips: ChipSet) -> ChipSet:
    """Return the chips (N, 75, 75, 3), their left-right and their up-down mirror images: 3 N chips."""
    images = np.concatenate([chips.images, chips.images[:, :, ::-1], chips.images[:, ::-1]])
    return ChipSet(images, np.tile(chips.labels, 3), chips.classes, f"{chips.source}, each with two flipped copies")


def accuracy_on_test(chips: ChipSet, split: str, config: TrialConfig, seed: int) -> tuple[float, float]:
    """Return the accuracy on test pairs of the epoch of lowest validation loss, and that loss."""
    data = prepare(chips, split, seed)
    run = Run.fresh(config.override({"seed": seed}))
    best, weights = np.inf, {}
    for epoch in train(run.members[0].config, DeviceData.of(data.for_trials()), run):
        if epoch.val_loss < best:
            best, weights = epoch.val_loss, pack(run.networks)
    with tempfile.TemporaryDirectory() as folder:
        save_file(weights, Path(folder) / "best.safetensors")
        finalist = Finalist(run.members[0].config, [Path(folder) / "best.safetensors"], [seed], [best])
        scores, _ = evaluate(data, {"selected": finalist}, Path(folder), "leakage")
    return scores["selected"].accuracy, best


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args(argv)
    chips = with_flipped_copies(simulate(args.chips))
    print(f"{len(chips)} chips, {args.epochs} epochs, {args.seeds} seeds; torch {torch.__version__}\n")
    print("| config | random split | grouped split | difference within a seed, points |")
    print("| --- | --- | --- | --- |", flush=True)
    for name, config in CONFIGS.items():
        long = config.override({"epochs": args.epochs})
        runs = {
            split: 100 * np.array([accuracy_on_test(chips, split, long, seed)[0] for seed in range(args.seeds)])
            for split in ("random", "grouped")
        }
        gap = runs["random"] - runs["grouped"]
        half = stats.t.ppf(0.975, len(gap) - 1) * stats.sem(gap) if len(gap) > 1 else float("nan")
        cells = [f"{run.mean():.1f} %, SD {run.std(ddof=1):.1f}" for run in runs.values()]
        row = [name, *cells, f"{gap.mean():+.1f} (95 % {gap.mean() - half:+.1f} to {gap.mean() + half:+.1f})"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
