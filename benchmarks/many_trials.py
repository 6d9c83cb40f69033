"""What a study of many trials costs besides training: record, tables, Optuna's storage, report.

    python -m benchmarks.many_trials [--trials 10000] [--epochs 20]

Invented metrics go through the same record and report as real ones; nothing is trained and no Ray is started. Prints a
Markdown table of seconds, bytes, the process's peak memory and its open files.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.manifest import manifest
from analysis.record import Files, Record
from analysis.report import write_report
from analysis.store import write_json
from search_spaces.resources import Cluster, Node
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from search_spaces.suggest import Suggester
from trainables.compiled import encoder_path
from trainables.config import TrialConfig
from trainables.data import prepare
from trainables.result import EpochMetrics, trial_result
from trainables.synthetic import simulate


def invented(rng: np.random.Generator, epochs: int) -> list[EpochMetrics]:
    """Return a curve that falls to a random level."""
    losses = rng.uniform(0.2, 0.6) + 0.4 * np.exp(-np.arange(epochs) / 3) + rng.normal(0, 0.01, epochs)
    return [EpochMetrics(e + 1, v, v, 0.9, 0.8, 0.9, 0.01, 1.0) for e, v in enumerate(losses.tolist())]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)
    study = Study(stage_named("lr"), "many", TrialConfig(), Budget(args.trials, args.epochs, 1))
    paths = [parameter.path for parameter in study.stage.varied]
    print(f"{args.trials} trials of {args.epochs} epochs\n\n| step | seconds | size or count |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = prepare(simulate(60), "grouped")
        described = manifest(study, data, data.for_trials(), [], "", Cluster((Node(1),)), encoder_path())
        write_json(folder / "study.json", described)
        rng, record = np.random.default_rng(0), Record(Files.of_search(folder), study.stage.metric, paths)
        suggester = Suggester(study, folder / "optuna.journal")
        asked, heard = 0.0, 0.0
        for number in range(args.trials):
            began = time.perf_counter()
            trial = suggester.ask(number)
            asked += time.perf_counter() - began
            curve = invented(rng, args.epochs)
            began = time.perf_counter()
            record.started(trial, "ray")
            for epoch in curve:
                record.epoch(trial, epoch)
            result = trial_result(trial, "finished", curve, study.stage.metric)
            record.ended(result, curve)
            heard += time.perf_counter() - began
            began = time.perf_counter()
            suggester.ended(result, curve)
            asked += time.perf_counter() - began
        sizes = {name: (folder / name).stat().st_size / 2**20 for name in ("search.jsonl", "optuna.journal")}
        print(f"| record and tables | {heard:.1f} | search.jsonl {sizes['search.jsonl']:.0f} MiB |")
        print(f"| Optuna, ask and tell | {asked:.1f} | optuna.journal {sizes['optuna.journal']:.0f} MiB |", flush=True)
        began = time.perf_counter()
        again = Record(Files.of_search(folder), study.stage.metric, paths)
        print(
            f"| opening the record again | {time.perf_counter() - began:.1f} | {len(again.done)} trials |", flush=True
        )
        began = time.perf_counter()
        page = write_report(folder)
        size = page.stat().st_size / 2**20
        print(f"| the report | {time.perf_counter() - began:.1f} | report.html {size:.0f} MiB |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"| the whole process | | peak {peak:.0f} MiB, {sum(1 for _ in Path('/proc/self/fd').iterdir())} open files |"
    )


if __name__ == "__main__":
    main()
