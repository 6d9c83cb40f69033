"""The only reader of the test split. Every look is a line in the results folder's test_ledger.jsonl."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from analysis.intervals import difference_interval, ratio_interval
from analysis.store import append_line, now
from analysis.thresholds import Floats, area_under_roc, best_f1, best_roc
from trainables.config import TrialConfig
from trainables.data import Part, PreparedData, TrialData
from trainables.ensemble import mean_score, unpack
from trainables.losses import make_loss
from trainables.metrics import confusion
from trainables.pairs import Pairs
from trainables.stored import Tensors, load
from trainables.training import validate

THRESHOLD = 0.5
LEDGER = "test_ledger.jsonl"
SHIP_PARTNERS = 15

Gain = dict[str, float]  # value, low, high: shares of pairs; seeds: how many both configs finished with

# how a run's threshold follows from its own validation scores and targets
CRITERIA: dict[str, Callable[[Floats, Floats], float]] = {
    "0.5": lambda score, target: THRESHOLD,
    "best F1": best_f1,
    "ROC": best_roc,
}


@dataclass(frozen=True)
class Finalist:
    """A config retrained with several seeds: each run's best weights, and its validation metric."""

    config: TrialConfig
    weights: Sequence[Path]
    seeds: Sequence[int]
    validation: Sequence[float]

    def median(self) -> int:
        """Return the run whose validation metric is the (lower) median: typical, neither lucky nor unlucky."""
        return int(np.argsort(self.validation, kind="stable")[(len(self.validation) - 1) // 2])


@dataclass(frozen=True)
class Task:
    """Pairs of test chips to be judged; `first` and `second` (P,) number the pictures that the chips show."""

    name: str
    part: Part
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @property
    def similar(self) -> NDArray[np.bool_]:
        """Which pairs are of one class, (P,)."""
        return np.asarray(self.part.pairs.target == 0)


@dataclass(frozen=True)
class TestScore:
    """The median run on a task, with 95 % intervals; `runs_` have the same config's other seeds as well.

    `threshold` is that run's; each run has its own where it comes from validation.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    jaccard: float
    jaccard_interval: tuple[float, float]
    tp: int
    tn: int
    fp: int
    fn: int
    threshold: float
    auc: float | None
    pairs: int
    seed: int
    runs_accuracy: tuple[float, ...]
    runs_jaccard: tuple[float, ...]

    __test__ = False  # a score, not a test case


def evaluate(
    data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str
) -> tuple[dict[str, TestScore], Gain | None]:
    """Measure each finalist on the test pairs; return scores by role, and the paired accuracy gain of selected.

    The gain (value, low, high, seeds) is over the seeds with which both `selected` and `baseline` finished, if any.
    """
    task = test_pairs(data)
    runs = _look(data, data.for_trials(), task, finalists, results, study)
    halves = {role: [THRESHOLD] * len(own) for role, own in runs.items()}
    scores = {role: _score(task, finalists[role], own, halves[role]) for role, own in runs.items()}
    return scores, _gain(task, finalists, runs, halves)


def examine(
    data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str, ship_class: str | None = None
) -> list[dict[str, Any]]:
    """Measure each finalist on test pairs and ship task, at each threshold of `CRITERIA`; return a row for each.

    A row has `task`, `criterion`, `role`, the fields of `TestScore`, and in selected's rows `gain` over baseline.
    """
    seen = data.for_trials()
    validation = load(seen.validation, seen)
    on_validation = {
        role: [_scores(finalist.config, weights, validation) for weights in finalist.weights]
        for role, finalist in finalists.items()
    }
    target = validation.target.numpy()
    rows = []
    for task in (test_pairs(data), ship_task(data, ship_class)):
        runs = _look(data, seen, task, finalists, results, study)
        for criterion, choose in CRITERIA.items():
            thresholds = {role: [choose(run, target) for run in own] for role, own in on_validation.items()}
            gain = _gain(task, finalists, runs, thresholds)
            for role, own in runs.items():
                score = _score(task, finalists[role], own, thresholds[role])
                head = {"task": task.name, "criterion": criterion, "role": role}
                rows.append({**head, **asdict(score), "gain": gain if role == "selected" else None})
    return rows


def test_pairs(data: PreparedData) -> Task:
    """Return the report's test: each test chip against five others."""
    part = data.part("test", data.split.test)
    return Task("test pairs", part, *_pictures(data, part))


test_pairs.__test__ = False  # type: ignore[attr-defined]  # a task, not a test case


def ship_task(data: PreparedData, ship_class: str | None = None) -> Task:
    """Return the report's classification task (section 2): each test chip of one class against 15 other test chips.

    The class is `ship_class`, else the one called "ship", else the first.
    """
    names = [name.lower() for name in data.chips.classes]
    label = data.chips.classes.index(ship_class) if ship_class else names.index("ship") if "ship" in names else 0
    part = data.part("ship task", data.split.test, SHIP_PARTNERS)
    own = part.labels[part.pairs.first] == label
    part = Part(part.images, part.labels, Pairs(part.pairs.first[own], part.pairs.second[own], part.pairs.target[own]))
    return Task(f"{data.chips.classes[label]} task", part, *_pictures(data, part))


def _pictures(data: PreparedData, part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    group = data.groups[data.split.test]
    return group[part.pairs.first], group[part.pairs.second]


def _look(
    data: PreparedData,
    seen: TrialData,
    task: Task,
    finalists: Mapping[str, Finalist],
    results: Path,
    study: str,
) -> dict[str, list[Floats]]:
    """Score the task's pairs, normalised as what trials have `seen`, with every run of every finalist; note it."""
    who = ", ".join(f"{role} ({len(finalist.weights)} runs)" for role, finalist in finalists.items())
    line = {"time": now(), "study": study, "purpose": f"{task.name}: {who}", "pairs": len(task.part.pairs)}
    append_line(results / LEDGER, line | {"data": data.chips.digest()})
    tensors = load(task.part, seen)
    return {
        role: [_scores(finalist.config, weights, tensors) for weights in finalist.weights]
        for role, finalist in finalists.items()
    }


def _scores(config: TrialConfig, weights: Path, tensors: Tensors) -> Floats:
    loss = make_loss(config.loss)
    networks = unpack(config, load_file(weights))
    return mean_score([validate(network, tensors, loss)[1] for network in networks]).numpy().astype(np.float64)


def _score(task: Task, finalist: Finalist, runs: Sequence[Floats], thresholds: Sequence[float]) -> TestScore:
    target = torch.from_numpy(task.part.pairs.target)
    counts = [
        confusion(torch.from_numpy(run), target, threshold) for run, threshold in zip(runs, thresholds, strict=True)
    ]
    median = finalist.median()
    similar, called = task.similar, runs[median] < thresholds[median]
    everything = np.ones(len(similar), dtype=bool)
    return TestScore(
        accuracy=counts[median].accuracy,
        accuracy_interval=ratio_interval(called == similar, everything, task.first, task.second),
        jaccard=counts[median].jaccard,
        jaccard_interval=ratio_interval(called & similar, called | similar, task.first, task.second),
        **asdict(counts[median]),
        threshold=thresholds[median],
        auc=area_under_roc(runs[median], task.part.pairs.target.astype(np.float64)),
        pairs=len(target),
        seed=finalist.seeds[median],
        runs_accuracy=tuple(run.accuracy for run in counts),
        runs_jaccard=tuple(run.jaccard for run in counts),
    )


def _gain(
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
    return {"value": float(difference.mean()), "low": low, "high": high, "seeds": len(seeds)}
