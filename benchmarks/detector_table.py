"""Studies drawn from a table of real runs, and what the table knows to be true of a warning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.checks.density import SPREADS, lost_by_half
from analysis.checks.evidence import LN2, TOP, Evidence, Pairs, with_the_dead
from analysis.checks.late_variance import LATE, NOISY
from analysis.checks.training_length import LAST, STILL
from analysis.checks.trend import late, trend
from analysis.checks.unstable_edge import RATE
from search_spaces.domain import LogUniform, Range, Uniform
from storage.finding import Finding, MoreTrials, Widen
from trainables.result import Metric

LOSS = Metric("val_loss", "min")
RANGES: dict[str, LogUniform | Uniform] = {
    RATE: LogUniform(2e-4, 2e-2),
    "schedule.gamma": Uniform(0.7, 0.99),
    "schedule.floor": Uniform(0.0, 0.2),
    "optimiser.weight_decay": LogUniform(1e-5, 3e-2),
}
NEW_SEEDS = 5
PAIRS = Pairs(640, 0.4875)


@dataclass(frozen=True)
class Table:
    """Configs (C) under seeds (S) over epochs (E): `val`, `train`, `accuracy` (C, S, E); `varied`: a row a config."""

    varied: pd.DataFrame
    val: NDArray[np.float64]
    train: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @staticmethod
    def read(file: Path) -> Table:
        """Return the table of a CSV file with a row for each config, seed and epoch."""
        rows = pd.read_csv(file).sort_values(["trial", "seed", "epoch"])
        shape = tuple(rows[name].nunique() for name in ("trial", "seed", "epoch"))
        varied = rows.groupby("trial").first()
        columns = [rows[name].to_numpy(float).reshape(shape) for name in ("val_loss", "train_loss", "val_accuracy")]
        return Table(varied[["arm", *(path for path in RANGES if path in varied)]], *columns)

    @property
    def configs(self) -> int:
        """Return how many configs there are."""
        return int(self.val.shape[0])

    @property
    def seeds(self) -> int:
        """Return under how many seeds each was trained."""
        return int(self.val.shape[1])

    def study(self, rng: np.random.Generator, trials: int) -> Evidence:
        """Return a study of random configs, config 0 among them, a run each; new seeds of the best are its other runs.

        A trial's number is its config's, so that the truth can be looked up.
        """
        picked = np.concatenate([[0], 1 + rng.choice(self.configs - 1, trials - 1, replace=False)])
        seeds = rng.integers(self.seeds, size=trials)
        rows, epochs = self._runs(picked, seeds, picked, list(self.varied["arm"].iloc[picked]))
        for path in RANGES:
            if path in self.varied:
                rows[path] = self.varied[path].to_numpy()[picked]
        best = int(rows["val_loss"].argmin())
        new = rng.choice(np.setdiff1d(np.arange(self.seeds), seeds[best]), NEW_SEEDS, replace=False)
        config = np.full(NEW_SEEDS, picked[best])
        runs, run_epochs = self._runs(config, new, np.arange(NEW_SEEDS), ["selected"] * NEW_SEEDS)
        ranges: dict[str, Range] = {path: domain for path, domain in RANGES.items() if path in self.varied}
        return Evidence(
            LOSS,
            with_the_dead(rows, epochs, PAIRS, lambda run: LN2),
            epochs,
            with_the_dead(runs, run_epochs, PAIRS, lambda run: LN2),
            run_epochs,
            ranges,
            {arm: {"schedule.kind": arm} for arm in self.varied["arm"].unique()},
            PAIRS,
            {"schedule.floor": (0.0,)},
            used=int(picked[best]),
        )

    def _runs(
        self, configs: NDArray[np.int64], seeds: NDArray[np.int64], numbers: NDArray[np.int64], arms: Sequence[str]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        val, accuracy = self.val[configs, seeds], self.accuracy[configs, seeds]
        best, count = val.argmin(1), len(configs)
        length = val.shape[1]
        trials = pd.DataFrame(
            {
                "trial": numbers,
                "arm": arms,
                "status": "finished",
                "seed": seeds,
                "epochs": length,
                "best_epoch": best + 1,
                "val_loss": val.min(1),
                "val_accuracy": accuracy[np.arange(count), best],
                "val_jaccard": 0.5,
                "reason": None,
            }
        )
        epochs = {
            "trial": np.repeat(numbers, length),
            "epoch": np.tile(np.arange(1, length + 1), count),
            "train_loss": self.train[configs, seeds].ravel(),
            "val_loss": val.ravel(),
            "lr": self._rates(configs).ravel(),
        }
        return trials, pd.DataFrame(epochs)

    def _rates(self, configs: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (configs, epochs) that each schedule gives, as a share of the first."""
        time = np.arange(self.val.shape[2])
        shapes = []
        for _, row in self.varied.iloc[configs].iterrows():
            floor, gamma = float(row.get("schedule.floor", 0) or 0), float(row.get("schedule.gamma", 1) or 1)
            cosine = floor + (1 - floor) * (1 + np.cos(np.pi * time / len(time))) / 2
            shapes.append({"cosine": cosine, "exponential": gamma**time}.get(str(row["arm"]), np.ones(len(time))))
        return np.array(shapes, dtype=float)

    def truth(self, check: str, study: Evidence, findings: Sequence[Finding]) -> bool | None:
        """Return whether a warning is true of the configs' means over all seeds; None where the table cannot say.

        A range is too narrow if the means of all configs, runs that died included, fall over the outer half of it;
        training is too short if the mean curves of the study's leading trials fall by half of what asks for more; loss
        rises if theirs does; the best stands alone if its mean does; configs die more often at high rates, or not.
        Deaths, and counts of them, are facts.
        """
        leading = study.alive.head(TOP)["trial"].to_numpy(int)
        curves = np.exp(np.log(self._alive(leading)).mean(1))
        match check:
            case "boundary":
                widened = [finding.remedy for finding in findings if isinstance(finding.remedy, Widen)]
                return all(self._falls_to(remedy) for remedy in widened)
            case "training length":
                line = trend(curves, late(curves.shape[1], LAST))
                return line is not None and line.change < -STILL / 2
            case "overfitting" | "training loss":
                return bool(np.any(curves[:, -1] > 1.1 * curves.min(1)))
            case "late variance":
                logs = [trend(self._alive([trial])[0], late(curves.shape[1], LATE)) for trial in leading]
                return bool(np.mean([line.noise for line in logs if line]) > NOISY)
            case "unstable edge":
                died = (self.val.min(2) > 0.99 * LN2).mean(1)
                return bool(np.corrcoef(died, np.log(self.varied[RATE].to_numpy(float)))[0, 1] > 0.3)
            case "density" if any(isinstance(f.remedy, MoreTrials) and f.remedy.arm for f in findings):
                return True  # an arm with fewer than two trials has them, or not
            case "density":
                mine = np.log(self._alive(study.trials["trial"].to_numpy(int)).min(2))
                return lost_by_half(mine.mean(1)) > SPREADS * float(mine.std(1, ddof=1).mean())
            case "feasibility" | "retraining":
                return True
            case _:
                return None

    def _alive(self, configs: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """The curves (configs, seeds, epochs) with dead runs replaced by the mean of those that live."""
        curves: NDArray[np.float64] = self.val[np.asarray(configs)].copy()
        for own in curves:
            died = own.min(1) > 0.99 * LN2
            own[died] = np.exp(np.log(own[~died]).mean(0))
        return curves

    def _falls_to(self, remedy: Widen) -> bool:
        domain, values = RANGES[remedy.path], self.varied[remedy.path]
        known = values.notna().to_numpy()
        places = np.array([domain.position(value) for value in values[known]])
        inwards = places if remedy.high > domain.high else 1 - places
        outer = (inwards > 0.5) & (inwards <= 1)
        true = np.log(self.val[known].min(2)).mean(1)
        return bool(np.polyfit(inwards[outer], true[outer], 1)[0] < 0)
