"""Worlds of which the truth is known, for judging the checks: from a few numbers to what a check reads of a study.

Sizes are those of real runs of the `lr` stage on the embedded chips: seeds change a config's loss by 15 % (SD), epochs
by 3 to 8 %; a clear effect of a parameter is six seed SDs over its range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.checks.evidence import LN2, Evidence, Pairs, with_the_dead
from search_spaces.domain import LogUniform
from trainables.pairs import draw_pairs
from trainables.result import Metric

LOSS = Metric("val_loss", "min")
RATE, DECAY = "optimiser.lr", "optimiser.weight_decay"
RANGES = {RATE: LogUniform(2e-4, 2e-2), DECAY: LogUniform(1e-5, 3e-2)}
ARMS: dict[str, dict[str, str]] = {name: {"schedule.kind": name} for name in ("constant", "exponential", "cosine")}
BUDGETS = {"12x5": (12, 5), "15x10": (15, 10), "24x20": (24, 20)}
LEVEL, SEED_SD = 0.20, 0.15
PAIRS = Pairs(600, 0.5)
CHIPS = 120  # of which as many pairs are drawn

Places = NDArray[np.float64]


def indifferent(places: Places) -> NDArray[np.float64]:
    """Return no effect of the rate (column 0) or the decay (column 1) on the log loss."""
    return np.zeros(len(places))


def best_at(optimum: float, sds: float = 6.0, column: int = 0) -> Callable[[Places], NDArray[np.float64]]:
    """Return a parabola of a parameter, lowest at `optimum`, that spans `sds` seed SDs over the range."""

    def effect(places: Places) -> NDArray[np.float64]:
        far = max(optimum, 1 - optimum) ** 2
        near = max(0.0, -optimum, optimum - 1) ** 2
        squared = (places[:, column] - optimum) ** 2
        return np.asarray(sds * SEED_SD * (squared - near) / (far - near))

    return effect


def never(places: Places) -> NDArray[np.float64]:
    """Return that no trial dies."""
    return np.zeros(len(places))


def everywhere(share: float) -> Callable[[Places], NDArray[np.float64]]:
    """Return that trials die with this probability, whatever their values."""
    return lambda places: np.full(len(places), share)


def above(edge: float, share: float) -> Callable[[Places], NDArray[np.float64]]:
    """Return that trials die with this probability above a place of the rate."""
    return lambda places: np.where(places[:, 0] > edge, share, 0.0)


@dataclass(frozen=True)
class World:
    """One kind of study; `fault`: whether it has what its check looks for (`clear`, or `weak`), or not (`none`).

    `effect` and `death` go by the places of rate and decay (trials, 2) in their ranges. Curves settle at the share
    `settled` of the epochs; from the share `late_from` on they change by `late` in all, the training loss by
    `late_train`, in the arms `late_arms`. `noise` is the relative SD of an epoch. An `annealed` study's rate follows a
    cosine: losses fall by another 15 % in the last third, and noise shrinks with the rate. `gap` (seed SDs) sets the
    best trial, or with `arm_gap` the best arm's candidate, apart; `lucky` is how far (seed SDs) the chosen config is
    truly worse than the median trial, and `fragile` the share of its runs that die; `seeds` how many new ones it has.
    `apart`: how far a network sees the two classes apart (SDs of its chips); None: 90 % of pairs are right.
    """

    fault: Literal["clear", "weak", "none"]
    name: str
    effect: Callable[[Places], NDArray[np.float64]] = indifferent
    death: Callable[[Places], NDArray[np.float64]] = never
    noise: float = 0.05
    settled: float = 0.4
    late: float = 0.0
    late_from: float = 0.5
    late_train: float = 0.0
    late_arms: tuple[str, ...] = tuple(ARMS)
    annealed: bool = False
    gap: float = 0.0
    arm_gap: float = 0.0
    lucky: float | None = None
    fragile: float = 0.0
    seeds: int = 5
    apart: float | None = None
    budgets: tuple[str, ...] = tuple(BUDGETS)

    def study(self, rng: np.random.Generator, trials: int, epochs: int) -> Evidence:
        """Return what the checks read of one study of this world."""
        places = np.column_stack([(rng.permutation(trials) + rng.random(trials)) / trials for _ in range(2)])
        arm = np.array(list(ARMS))[np.arange(trials) % len(ARMS)]
        true = self.effect(places)
        if self.gap:
            true[rng.integers(trials)] = true.min() - self.gap * SEED_SD
        levels = true + SEED_SD * rng.normal(size=trials)
        dead = rng.random(trials) < self.death(places)
        curves = self._curves(rng, levels, dead, arm, epochs, self.late)
        train = self._curves(rng, levels, dead, arm, epochs, self.late_train)
        rows, pairs = _trials(curves, arm), PAIRS
        if self.apart is not None:
            right, pairs = _right(rng, trials, self.apart)
            rows["val_accuracy"] = right[np.argsort(np.argsort(rows["val_loss"].to_numpy()))]
        for column, (path, domain) in enumerate(RANGES.items()):
            rows[path] = domain.low * (domain.high / domain.low) ** places[:, column]
        shape = self._rates(epochs)
        history = _epochs(curves, train, shape * 0.005)
        best = int(np.argmin(np.where(dead, np.inf, rows["val_loss"])))
        runs, run_epochs = self._new_seeds(rng, true, best, arm, epochs)
        return Evidence(
            LOSS,
            with_the_dead(rows, history, pairs, lambda run: LN2),
            history,
            with_the_dead(runs, run_epochs, pairs, lambda run: LN2),
            run_epochs,
            RANGES,
            ARMS,
            pairs,
            used=best,
        )

    def _rates(self, epochs: int) -> NDArray[np.float64]:
        time = np.arange(epochs) / max(epochs - 1, 1)
        return 0.5 + 0.5 * np.cos(np.pi * time) if self.annealed else np.ones(epochs)

    def _curves(
        self,
        rng: np.random.Generator,
        levels: NDArray[np.float64],
        dead: NDArray[np.bool_],
        arm: NDArray[np.str_],
        epochs: int,
        late: float,
    ) -> NDArray[np.float64]:
        """Loss curves (trials, epochs) round floors LEVEL exp(levels)."""
        time = np.arange(1, epochs + 1) / epochs
        shape = np.log1p(1.3 * np.exp(-5 * time / self.settled))
        after = np.clip((time - self.late_from) / (1 - self.late_from), 0, 1)
        change = np.where(np.isin(arm, self.late_arms), np.log1p(late), 0.0)
        noise = self.noise * rng.normal(size=(len(levels), epochs)) * np.sqrt(self._rates(epochs))
        if self.annealed:
            shape = shape - 0.15 * np.clip((time - 2 / 3) * 3, 0, 1)
        alive = np.log(LEVEL) + levels[:, None] + shape + change[:, None] * after + noise
        died = LN2 + rng.normal(0, 3e-4, alive.shape)
        return np.asarray(np.where(dead[:, None], died, np.minimum(np.exp(alive), 0.68)))

    def _new_seeds(
        self, rng: np.random.Generator, true: NDArray[np.float64], best: int, arm: NDArray[np.str_], epochs: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The chosen config under new seeds, and a candidate of another arm under the same."""
        chosen = float(true[best]) if self.lucky is None else float(np.median(true)) + self.lucky * SEED_SD
        other = int(np.flatnonzero(arm != arm[best])[0])
        levels = np.concatenate([np.full(self.seeds, chosen), np.full(self.seeds, chosen + self.arm_gap * SEED_SD)])
        levels = levels + SEED_SD * rng.normal(size=2 * self.seeds)
        dead = (rng.random(2 * self.seeds) < self.fragile) & (np.arange(2 * self.seeds) < self.seeds)
        arms = np.repeat([arm[best], arm[other]], self.seeds)
        curves = self._curves(rng, levels, dead, arms, epochs, self.late)
        runs = _trials(curves, np.repeat(["selected", f"trial {other}"], self.seeds))
        runs["seed"] = np.tile(np.arange(self.seeds), 2)
        return runs, _epochs(curves, curves, self._rates(epochs))


def _right(rng: np.random.Generator, trials: int, apart: float) -> tuple[NDArray[np.float64], Pairs]:
    """The shares of pairs that `trials` networks call right, the most first, and how many pairs there are.

    A network sees each chip as a number; a pair is called similar if these are closer than those of half of the pairs.
    """
    labels = np.arange(CHIPS) % 2
    pairs = draw_pairs(labels, rng)
    seen = rng.normal(size=(trials, CHIPS)) + apart * labels
    distance = np.abs(seen[:, pairs.first] - seen[:, pairs.second])
    similar = distance < np.median(distance, axis=1, keepdims=True)
    right = (similar == (pairs.target == 0)).mean(1)
    return -np.sort(-right), Pairs(len(pairs), pairs.similar_share)


def _trials(curves: NDArray[np.float64], arm: Sequence[str] | NDArray[np.str_]) -> pd.DataFrame:
    count, epochs = curves.shape
    return pd.DataFrame(
        {
            "trial": np.arange(count),
            "arm": arm,
            "status": "finished",
            "epochs": epochs,
            "best_epoch": curves.argmin(1) + 1,
            "val_loss": curves.min(1),
            "val_accuracy": 0.9,
            "val_jaccard": 0.8,
            "reason": None,
        }
    )


def _epochs(curves: NDArray[np.float64], train: NDArray[np.float64], rates: NDArray[np.float64]) -> pd.DataFrame:
    count, epochs = curves.shape
    return pd.DataFrame(
        {
            "trial": np.repeat(np.arange(count), epochs),
            "epoch": np.tile(np.arange(1, epochs + 1), count),
            "train_loss": train.ravel(),
            "val_loss": curves.ravel(),
            "lr": np.tile(rates, count),
        }
    )


LONG = ("15x10", "24x20")
CONVERGED = (
    World("none", "converged, noise 3 %", noise=0.03),
    World("none", "converged, noise 5 %"),
    World("none", "converged, noise 8 %", noise=0.08),
    World("none", "converged, rate matters", effect=best_at(0.5)),
    World("none", "cosine, noise 5 %", annealed=True),
)
RANDOM_DEATHS = (World("none", "5 % die anywhere", death=everywhere(0.05)), World("none", "none dies"))

WORLDS: dict[str, tuple[World, ...]] = {
    "chance": (
        World("clear", "no network sees the classes apart", apart=0.0),
        World("none", "they are 1.5 SDs apart, 61 % of pairs right", apart=1.5),
        World("none", "they are 2 SDs apart, 68 % right", apart=2.0),
    ),
    "feasibility": (
        World("clear", "half die above 0 of the rate's range", death=above(0.0, 0.5)),
        World("weak", "all die above 0.7", death=above(0.7, 1.0)),
        *RANDOM_DEATHS,
    ),
    "unstable edge": (
        World("clear", "all die above 0.75", death=above(0.75, 1.0)),
        World("weak", "60 % die above 0.7", death=above(0.7, 0.6)),
        World("none", "20 % die anywhere", death=everywhere(0.2)),
        *RANDOM_DEATHS,
    ),
    "boundary": (
        World("clear", "best rate 0.3 beyond the end, 8 seed SDs", effect=best_at(1.3, 8)),
        World("weak", "the same, 6 SDs", effect=best_at(1.3)),
        World("weak", "best rate at the end", effect=best_at(1.0)),
        World("none", "nothing matters"),
        World("none", "best rate in the middle", effect=best_at(0.5)),
        World("none", "best rate at 0.6", effect=best_at(0.6)),
        World("none", "best rate at 0.7", effect=best_at(0.7)),
        World("none", "best rate at 0.7, 3 SDs", effect=best_at(0.7, 3)),
        World("none", "best rate at 0.7, 9 SDs", effect=best_at(0.7, 9)),
        World("none", "best rate in the middle, 10 % die", effect=best_at(0.5), death=everywhere(0.1)),
    ),
    "density": (
        World("clear", "the best stands alone by 6 seed SDs", gap=6),
        World("weak", "by 5 seed SDs", gap=5),
        World("none", "nothing matters"),
        World("none", "best rate in the middle", effect=best_at(0.5)),
        World("none", "best rate in the middle, 5 % die", effect=best_at(0.5), death=everywhere(0.05)),
    ),
    "training loss": (
        World("clear", "rises by 30 %", late_train=0.3),
        World("weak", "rises by 20 %", late_train=0.2),
        *CONVERGED,
    ),
    "overfitting": (
        World("clear", "rises by 30 %", late=0.3),
        World("weak", "rises by 30 % in one arm", late=0.3, late_arms=("cosine",)),
        World("weak", "rises by 15 %", late=0.15),
        *CONVERGED,
    ),
    "training length": (
        World("clear", "falls by 30 % in the second half", late=-0.3),
        World("weak", "falls by 20 % in the second half", late=-0.2),
        *CONVERGED,
    ),
    "saturation": (
        World("clear", "converged, noise 3 %", noise=0.03, budgets=LONG),
        World("weak", "converged, noise 5 %", budgets=LONG),
        World("none", "falls by 7 % in the second half, noise 3 %", late=-0.07, noise=0.03),
        World("none", "falls by 10 % in the second half", late=-0.10),
        World("none", "cosine, noise 5 %", annealed=True),
    ),
    "early best epochs": (
        World(
            "clear", "doubles from the first epoch on", late=1.0, late_from=0.0, settled=0.05, noise=0.03, budgets=LONG
        ),
        *CONVERGED,
    ),
    "late variance": (
        World("clear", "noise 30 %", noise=0.30),
        World("weak", "noise 25 %", noise=0.25),
        World("none", "noise 12 %", noise=0.12),
        *CONVERGED,
    ),
    "separation": (
        World("clear", "arms 4 seed SDs apart", arm_gap=4),
        World("weak", "arms 2 seed SDs apart", arm_gap=2),
        World("weak", "arms 2 seed SDs apart, 10 seeds", arm_gap=2, seeds=10),
        World("none", "equal arms"),
        World("none", "equal arms, 10 seeds", seeds=10),
    ),
    "retraining": (
        World("clear", "dies in half of its runs", fragile=0.5),
        World("weak", "dies in 35 % of its runs", fragile=0.35),
        World("weak", "dies in 35 %, 10 seeds", fragile=0.35, seeds=10),
        World("weak", "truly 2 seed SDs worse than the median trial", lucky=2.0),
        World("none", "as good as the median trial", lucky=0.0),
        World("none", "1 seed SD better than it", lucky=-1.0),
        World("none", "as good as the median trial, 10 seeds", lucky=0.0, seeds=10),
    ),
}
