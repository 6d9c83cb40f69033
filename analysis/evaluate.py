"""The only reader of the test split. Every look is a line in the results folder's test_ledger.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from analysis.intervals import difference_interval, ratio_interval
from analysis.store import append_line, now
from trainables.config import TrialConfig
from trainables.data import Part, PreparedData, Tensors, load
from trainables.ensemble import mean_score, unpack
from trainables.losses import make_loss
from trainables.metrics import confusion
from trainables.training import validate

THRESHOLD = 0.5
LEDGER = "test_ledger.jsonl"


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
class TestScore:
    """One model on the test pairs, with 95 % intervals; `runs_accuracy` has the same config's other seeds as well."""

    accuracy: float
    accuracy_interval: tuple[float, float]
    jaccard: float
    jaccard_interval: tuple[float, float]
    tp: int
    tn: int
    fp: int
    fn: int
    threshold: float
    pairs: int
    seed: int
    runs_accuracy: tuple[float, ...]
    runs_jaccard: tuple[float, ...]

    __test__ = False  # a score, not a test case


def evaluate(
    data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str
) -> tuple[dict[str, TestScore], dict[str, Any] | None]:
    """Measure each finalist on the test pairs; return scores by role, and the paired accuracy gain of selected.

    The gain is over all runs of both (value, low, high); None unless both roles `selected` and `baseline` are there.
    """
    part = data.part("test", data.split.test)
    group = data.groups[data.split.test]
    first, second = group[part.pairs.first], group[part.pairs.second]
    append_line(
        results / LEDGER,
        {
            "time": now(),
            "study": study,
            "purpose": f"test pairs: {', '.join(f'{role} ({len(f.weights)} runs)' for role, f in finalists.items())}",
            "pairs": len(part.pairs),
            "data": data.chips.digest(),
        },
    )
    tensors = load(part, data.for_trials())
    scores, right = {}, {}
    for role, finalist in finalists.items():
        probabilities = [_probabilities(finalist.config, weights, tensors) for weights in finalist.weights]
        scores[role] = _score(probabilities, part, first, second, finalist)
        right[role] = np.mean([_right(probability, part) for probability in probabilities], axis=0)
    if not {"selected", "baseline"} <= set(right):
        return scores, None
    difference = right["selected"] - right["baseline"]
    low, high = difference_interval(difference, first, second)
    return scores, {"value": float(difference.mean()), "low": low, "high": high}


def _probabilities(config: TrialConfig, weights: Path, tensors: Tensors) -> torch.Tensor:
    loss = make_loss(config.loss)
    return mean_score([validate(network, tensors, loss)[1] for network in unpack(config, load_file(weights))])


def _right(probability: torch.Tensor, part: Part) -> NDArray[np.bool_]:
    return np.asarray((probability.numpy() < THRESHOLD) == (part.pairs.target == 0))


def _score(
    probabilities: Sequence[torch.Tensor],
    part: Part,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    finalist: Finalist,
) -> TestScore:
    target = torch.from_numpy(part.pairs.target)
    runs = [confusion(probability, target, THRESHOLD) for probability in probabilities]
    median = finalist.median()
    similar = part.pairs.target == 0
    called = probabilities[median].numpy() < THRESHOLD
    everything = np.ones(len(similar), dtype=bool)
    return TestScore(
        accuracy=runs[median].accuracy,
        accuracy_interval=ratio_interval(called == similar, everything, first, second),
        jaccard=runs[median].jaccard,
        jaccard_interval=ratio_interval(called & similar, called | similar, first, second),
        **asdict(runs[median]),
        threshold=THRESHOLD,
        pairs=len(target),
        seed=finalist.seeds[median],
        runs_accuracy=tuple(run.accuracy for run in runs),
        runs_jaccard=tuple(run.jaccard for run in runs),
    )
