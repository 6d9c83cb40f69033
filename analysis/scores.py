"""What a verifier is worth on pairs it never saw: scores with their intervals, and the gain of one over another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.intervals import difference_interval, ratio_interval
from analysis.thresholds import Floats, area_under_roc, best_f1, best_roc, equal_error_rate
from storage.report_json import Gain, TestScore
from trainables.base_config import Config
from trainables.data import Part
from trainables.metrics import THRESHOLD, confusion

Judged = Literal["answer", "cosine"]  # a run's answer p, or 1 less the cosine between the embeddings of a pair


def _half(score: Floats, target: Floats) -> float:
    return THRESHOLD


@dataclass(frozen=True)
class Criterion:
    """What decides whether a pair is called similar: a score `of` it that lies below a threshold.

    `choose` says how a run's threshold follows from its own validation scores and targets.
    """

    choose: Callable[[Floats, Floats], float]
    of: Judged = "answer"


# The paper decides by cosine similarity at 0.5 (sections 1.8 and 3) without saying of what. Read as that of a pair's
# one output and its target it would be 0 or 1 whatever the network says; of the two embeddings it is a decision.
CRITERIA: Mapping[str, Criterion] = {
    "0.5": Criterion(_half),
    "cosine": Criterion(_half, "cosine"),
    "best F1": Criterion(best_f1),
    "ROC": Criterion(best_roc),
}


@dataclass(frozen=True)
class Finalist:
    """A config retrained with several seeds: each run's best weights, and its validation metric."""

    config: Config
    weights: Sequence[Path]
    seeds: Sequence[int]
    validation: Sequence[float]

    def median(self) -> int:
        """Return the run whose validation metric is the (lower) median: typical, neither lucky nor unlucky."""
        return int(np.argsort(self.validation, kind="stable")[(len(self.validation) - 1) // 2])


@dataclass(frozen=True)
class Task:
    """Pairs of test chips to be judged; `first` and `second` (P,) number what the chips are one look of."""

    name: str
    part: Part
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @property
    def similar(self) -> NDArray[np.bool_]:
        """Which pairs are of one class, (P,)."""
        return np.asarray(self.part.pairs.target == 0)


def scored(task: Task, finalist: Finalist, runs: Sequence[Floats], thresholds: Sequence[float]) -> TestScore:
    """Return the score of a finalist's `runs` on a task, each run's pairs (P,) judged at its own threshold."""
    target = torch.from_numpy(task.part.pairs.target)
    counts = [
        confusion(torch.from_numpy(run), target, threshold) for run, threshold in zip(runs, thresholds, strict=True)
    ]
    median, different = finalist.median(), task.part.pairs.target.astype(np.float64)
    similar, called = task.similar, runs[median] < thresholds[median]
    everything = np.ones(len(similar), dtype=bool)
    return TestScore(
        accuracy=counts[median].accuracy,
        accuracy_interval=ratio_interval(called == similar, everything, task.first, task.second),
        jaccard=counts[median].jaccard,
        jaccard_interval=ratio_interval(called & similar, called | similar, task.first, task.second),
        **asdict(counts[median]),
        threshold=thresholds[median],
        auc=area_under_roc(runs[median], different),
        eer=equal_error_rate(runs[median], different),
        pairs=len(target),
        seed=finalist.seeds[median],
        runs_accuracy=tuple(run.accuracy for run in counts),
        runs_jaccard=tuple(run.jaccard for run in counts),
    )


def accuracy_gain(
    task: Task,
    finalists: Mapping[str, Finalist],
    runs: Mapping[str, Sequence[Floats]],
    thresholds: Mapping[str, Sequence[float]],
) -> Gain | None:
    """The accuracy that selected gains over baseline on the same pairs with the same seeds, with its interval."""
    if not {"selected", "baseline"} <= set(runs):
        return None
    right = {
        role: {
            seed: ((run < cut) == task.similar).astype(np.float64)
            for seed, run, cut in zip(finalists[role].seeds, own, thresholds[role], strict=True)
        }
        for role, own in runs.items()
    }
    seeds = [seed for seed in right["selected"] if seed in right["baseline"]]
    if not seeds:
        return None
    difference = np.array([right["selected"][seed] - right["baseline"][seed] for seed in seeds])
    low, high = difference_interval(difference, task.first, task.second)
    return Gain(float(difference.mean()), low, high, len(seeds))
