"""A training function of one's own: polynomials and cosines are fitted to a noisy curve, at rates that are searched.

python examples/fit_a_curve.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamese_search import (
    Budget,
    Choice,
    Config,
    EpochMetrics,
    LogUniform,
    Metric,
    Parameter,
    Session,
    Stage,
    Task,
    TaskData,
    number,
    one_of,
)

TERMS = 8


@dataclass(frozen=True)
class CurveConfig(Config, task="curve"):
    """On which basis the curve is fitted, and at which rate."""

    basis: str = one_of("powers", "cosines")
    lr: float = number(0.01, 0.0)
    epochs: int = number(40, 1)
    seed: int = number(0, 0)


class Fit(nn.Module):
    """A sum of `TERMS` powers or cosines; x (N,) to y (N,)."""

    def __init__(self, config: CurveConfig) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(config.seed)
        self.weights = nn.Parameter(0.1 * torch.randn(TERMS, generator=draw))
        self.basis = config.basis

    def forward(self, x: Tensor) -> Tensor:
        """Return the curve's values."""
        degree = torch.arange(TERMS)
        terms = x[:, None] ** degree if self.basis == "powers" else torch.cos(x[:, None] * degree)
        return terms @ self.weights


class Curve(Task):
    """Fits a cosine by full-batch gradient descent; an epoch is one step."""

    config = CurveConfig
    metrics = ("val_r2",)

    def load(self) -> TaskData:
        """Return 90 noisy points (2, N), split in three."""
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, 90)
        points = np.stack([x, np.cos(3 * x) + rng.normal(0, 0.1, 90)]).astype(np.float32)
        seen = {"train": points[:, :40], "validation": points[:, 40:60]}
        return TaskData(seen, points[:, 60:], "a noisy cosine", {"train": 40, "validation": 20, "test": 30})

    def start(self, config: CurveConfig, data: Any, device: str) -> Fit:
        """Return coefficients near 0."""
        return Fit(config)

    def train(self, config: CurveConfig, data: Any, run: Fit) -> Iterator[EpochMetrics]:
        """Take a step an epoch, and look at the validation points."""
        (x, y), validation = map(torch.from_numpy, data["train"]), data["validation"]
        for epoch in range(1, config.epochs + 1):
            loss = ((run(x) - y) ** 2).mean()
            (gradient,) = torch.autograd.grad(loss, [run.weights])
            with torch.no_grad():
                run.weights.sub_(config.lr * gradient)
            wrong, r2 = judged(run, validation)
            yield EpochMetrics(epoch, loss.item(), wrong, own={"val_r2": r2})

    def score(self, config: CurveConfig, weights: Mapping[str, Tensor], held_out: Any) -> Mapping[str, float]:
        """Return R squared on the points that were held out."""
        run = Fit(config)
        run.load_state_dict(weights)
        return {"test_r2": judged(run, held_out)[1]}


@torch.no_grad()
def judged(run: Fit, points: Any) -> tuple[float, float]:
    """Return the mean squared error on points (2, N), and R squared."""
    x, y = map(torch.from_numpy, points)
    wrong = ((run(x) - y) ** 2).mean()
    return wrong.item(), (1 - wrong / y.var(correction=0)).item()


RATE = Stage(
    name="rate",
    question="Which rate fits the curve, on which basis?",
    parameters=(
        Parameter("basis", "scientific", Choice(("powers", "cosines")), "the question"),
        Parameter("lr", "nuisance", LogUniform(1e-3, 1e3), "up to where it diverges"),
    ),
    metric=Metric("val_r2", "max"),
    budget=Budget(trials=8, epochs=40, repeats=4),
    config=CurveConfig,
)

if __name__ == "__main__":
    with Session(Curve()) as session:
        study = session.run(RATE)
    print(study.verdict, study.best, study.page, sep="\n")
