"""A sweep on three Ray nodes of one machine, one of which is killed in the middle, beside one that nothing disturbs.

    python -m benchmarks.node_loss [--chips 800] [--trials 12] [--epochs 5]

Both sweeps are the lr stage on simulated chips; the head offers no CPU, each of the three nodes one. Prints a Markdown
table: seconds, trials and epochs that each node trained, epochs trained twice, and whether any figure differs.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray.cluster_utils import Cluster as RayCluster

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from studies.cluster import ray_cluster
from studies.phase import Phase
from studies.resources import Resources, fit_resources
from studies.suggest import Suggester
from studies.tuner import TrialRun, run_trials
from trainables.config import TrialConfig
from trainables.images.synthetic import simulate
from trainables.preparation import prepare
from trainables.siamese import Siamese
from trainables.task import Task
from trainables.trial import CheckpointStore, TaskTrial


class Located(TaskTrial):
    """The trainable, which also writes down on which node each epoch was trained."""

    def setup(
        self, config: dict[str, Any], task: Task, data: Any, store: CheckpointStore, *rest: Any, **more: Any
    ) -> None:
        """Take the log's path beside the chips."""
        self.log = Path(data["log"])
        super().setup(config, task, data["chips"], store, *rest, **more)

    def step(self) -> dict[str, Any]:
        """Train an epoch and write down where."""
        result = super().step()
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(f"{ray.get_runtime_context().get_node_id()},{self.number},{self.run.epoch}\n")
        return result


def sweep(folder: Path, study: Study, chips: Any, kill: bool) -> tuple[float, pd.DataFrame, pd.DataFrame, str]:
    """Run the study on three nodes; return seconds, where each epoch was trained, their figures, and the outcome."""
    folder.mkdir()
    nodes = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0})
    workers = [nodes.add_node(num_cpus=1) for _ in range(3)]
    log = folder / "log"

    def kill_in_the_middle() -> None:
        half = study.budget.trials * study.budget.epochs // 2
        while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < half:
            time.sleep(0.1)
        nodes.remove_node(workers[0], allow_graceful=False)

    if kill:
        threading.Thread(target=kill_in_the_middle, daemon=True).start()
    with ray_cluster(nodes.address) as cluster:
        record = Record(Files.of_search(folder), study.stage.metric, [p.path for p in study.stage.varied])
        suggester = Suggester(study, folder / "optuna.journal")
        began = time.perf_counter()
        run = TrialRun(
            trainable=Located,
            data={"chips": chips, "log": str(log)},
            metric=study.stage.metric,
            resources=fit_resources(Resources(), cluster),
            scratch=folder / "ray",
            phases=[Phase(suggester, range(study.budget.trials), (record, suggester), folder / "states")],
            task=Siamese(),
        )
        outcome = run_trials(run)
        seconds = time.perf_counter() - began
    nodes.shutdown()
    steps = pd.read_csv(log, names=["node", "trial", "epoch"])
    epochs = pd.read_csv(folder / "epochs.csv").drop(columns="seconds")
    return seconds, steps, epochs.sort_values(["trial", "epoch"], ignore_index=True), outcome


def main(argv: Sequence[str] | None = None) -> None:
    """Run both sweeps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=800)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args(argv)
    chips = prepare(simulate(args.chips), "grouped").for_trials()
    study = Study(stage_named("lr"), "s", TrialConfig(), Budget(args.trials, args.epochs))
    print(f"{args.trials} trials of {args.epochs} epochs, {args.chips} chips; ray {ray.__version__}\n")
    print("| sweep | seconds | trials begun on each node | epochs trained there | epochs trained twice |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kill in (("undisturbed", False), ("one node killed at half", True)):
            seconds, steps, epochs, outcome = sweep(Path(folder) / str(kill), study, chips, kill)
            figures.append(epochs)
            trials = steps.groupby("node", sort=False)["trial"].nunique().tolist()
            trained = steps.groupby("node", sort=False).size().tolist()
            twice = int(steps.duplicated(["trial", "epoch"]).sum())
            cells = [name, f"{seconds:.0f}", ", ".join(map(str, trials)), ", ".join(map(str, trained)), str(twice)]
            print(f"| {' | '.join(cells)} |", flush=True)
            assert outcome == "whole"
    same = figures[0].equals(figures[1])
    print(f"\nAll {len(figures[0])} epochs of both sweeps are {'equal to the bit' if same else 'NOT equal'}.")


if __name__ == "__main__":
    main()
