"""What `--wandb offline` costs: the same study with and without it, in turn.

    python -m benchmarks.wandb_cost [--chips 200] [--trials 200] [--epochs 2] [--pairs 3]

Each run is the command that a user types, timed as a whole. Prints a Markdown table: seconds, and each pair's ratio.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.images.synthetic import simulate

ROOT = Path(__file__).resolve().parents[1]


def seconds(data: Path, results: Path, mode: str, trials: int, epochs: int) -> float:
    """Run the study once; return how long it took, in seconds."""
    command = [sys.executable, str(ROOT / "run_search.py"), "--stage", "lr", "--data", str(data), "--wandb", mode]
    command += ["--trials", str(trials), "--epochs", str(epochs), "--repeats", "1", "--results-dir", str(results)]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    spent = time.perf_counter() - began
    runs = len(list(results.glob("lr/*/wandb/offline-run-*")))
    assert runs == (trials + 3 if mode == "offline" else 0), runs
    return spent


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=200)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    args = parser.parse_args(argv)
    chips = simulate(args.chips)
    print(f"{args.trials} trials of {args.epochs} epochs, {args.chips} chips\n")
    print("| pair | without, s | offline, s | ratio |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "input_data.npz"
        np.savez(data, X_train=chips.images, Y_train=chips.labels)
        ratios = []
        for pair in range(args.pairs):
            modes = ("disabled", "offline") if pair % 2 == 0 else ("offline", "disabled")
            spent = {m: seconds(data, Path(folder) / f"{pair}-{m}", m, args.trials, args.epochs) for m in modes}
            ratios.append(spent["offline"] / spent["disabled"])
            print(f"| {pair + 1} | {spent['disabled']:.1f} | {spent['offline']:.1f} | {ratios[-1]:.3f} |", flush=True)
    print(f"\nmedian ratio {np.median(ratios):.3f}")


if __name__ == "__main__":
    main()
