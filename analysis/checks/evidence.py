"""What the checks read of a study, as one frozen value of plain frames: a simulation makes it without a folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.candidates import by_role, chance_value, leading, outcome_of
from analysis.selection import ranked
from search_spaces.domain import Choice, Range
from storage.finding import Clip, WarmUp
from storage.folder import StudyRecord
from storage.study_json import Manifest
from trainables.config import TrialConfig, of_verifier
from trainables.result import Metric

LN2 = math.log(2)  # cross-entropy of always answering "one half"
NEAR = 0.99  # a loss at this share of chance's or above has learned nothing
_LOSS = Metric("val_loss", "min")
WARMUP = "schedule.warmup"
MARGIN = "loss.margin"  # of the contrastive loss: what it has at chance grows with its square
TOP = 5  # leading trials whose curves are looked at
Run = Mapping[Hashable, Any]  # a row of trials.csv or repeats.csv


def dead(
    best_loss: float, last_loss: float, accuracy: float, chance_accuracy: float, chance_loss: float | None = LN2
) -> bool:
    """Return whether a run died: it never left chance, or ended there.

    `best_loss` and `last_loss` are validation losses of its best and last epoch, `accuracy` is that of its best epoch,
    `chance_accuracy` the share of the commoner class of pairs. `chance_loss` is None for a loss whose value at chance
    is not known; then the accuracy alone decides.
    """
    at_chance = chance_loss is not None and max(best_loss, last_loss) >= NEAR * chance_loss
    return bool(at_chance or accuracy <= chance_accuracy)


@dataclass(frozen=True)
class Pairs:
    """Validation pairs: how many, the share of similar ones, and how many groups they are of (None: not grouped)."""

    count: int
    similar: float
    groups: int | None = None

    @property
    def chance(self) -> float:
        """Return the accuracy of always giving the commoner answer."""
        return max(self.similar, 1 - self.similar)


@dataclass(frozen=True)
class Evidence:
    """Trials and new-seed runs with their curves, what was searched, and what is known of the data.

    `trials` and `runs` have the columns of trials.csv and repeats.csv and a column `dead`, of runs that ended by
    themselves; `epochs` and `run_epochs` those of epochs.csv. `ranges` and `limits` go by path, `arms` holds the values
    that each arm fixes. `runs` go by role: `selected` is the config to use, trial number `used`; `baseline` the start;
    "trial 7" another candidate, or a run of the race. `steadier` is what makes training steadier at the same rate: a
    warm-up, and where there is one, clipping; None for a task of one's own, whose config need have neither.
    """

    metric: Metric
    trials: pd.DataFrame
    epochs: pd.DataFrame
    runs: pd.DataFrame
    run_epochs: pd.DataFrame
    ranges: Mapping[str, Range]
    arms: Mapping[str, Mapping[str, Any]]
    pairs: Pairs | None
    limits: Mapping[str, Sequence[float]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    used: int | None = None
    steadier: WarmUp | Clip | None = None

    @cached_property
    def ended(self) -> pd.DataFrame:
        """Return all trials, with `infeasible`: diverged, failed, or dead."""
        bad = self.trials["status"].isin(["infeasible", "failed"]) | self.trials["dead"]
        return self.trials.assign(infeasible=bad)

    @cached_property
    def alive(self) -> pd.DataFrame:
        """Return the finished trials that learned something, best first."""
        return ranked(self.trials[(self.trials["status"] == "finished") & ~self.trials["dead"]], self.metric)

    def losses(self, runs: pd.DataFrame) -> NDArray[np.float64]:
        """Return the metric of runs on a scale where less is better and seeds matter alike: a loss's logarithm.

        What may be negative, such as a log-likelihood, stays as it is.
        """
        values = runs[self.metric.name].to_numpy(float)
        if self.metric.goal == "max":
            return -values
        return values if self._is_signed else np.log(np.maximum(values, 1e-12))

    @cached_property
    def _is_signed(self) -> bool:
        known = [rows[self.metric.name] for rows in (self.trials, self.runs) if self.metric.name in rows]
        return any(bool((values.astype(float) < 0).any()) for values in known)

    def new_seeds(self, role: str) -> pd.DataFrame:
        """Return the new-seed runs of a finalist that say something of it: a lost machine does not."""
        return self.runs[(self.runs["arm"] == role) & (self.runs["status"] != "failed")]

    def learned(self, role: str) -> pd.DataFrame:
        """Return a finalist's new-seed runs that learned something."""
        runs = self.new_seeds(role)
        return runs[(runs["status"] == "finished") & ~runs["dead"]]

    def curves(self, trials: Iterable[int], column: str) -> NDArray[np.float64]:
        """Return the curves (trials, epochs) of trials by number; those of another length than most are left out."""
        values = self.epochs[column].to_numpy(float)
        return _of_usual_length([values[self._rows[trial]] for trial in trials if trial in self._rows])

    @cached_property
    def _rows(self) -> dict[int, NDArray[np.intp]]:
        return _rows_by_trial(self.epochs)

    def run_curves(self, role: str, column: str) -> NDArray[np.float64]:
        """Return the curves (runs, epochs) of a finalist's new-seed runs that learned something."""
        rows = _rows_by_trial(self.run_epochs)
        runs = [run for run in self.learned(role).get("trial", []) if run in rows]
        return _of_usual_length([self.run_epochs[column].to_numpy(float)[rows[run]] for run in runs])


def _rows_by_trial(epochs: pd.DataFrame) -> dict[int, NDArray[np.intp]]:
    """The places of each trial's rows, in the order of its epochs."""
    if epochs.empty:
        return {}
    trials = epochs["trial"].to_numpy()
    order = np.lexsort((epochs["epoch"].to_numpy(), trials))
    found, starts = np.unique(trials[order], return_index=True)
    return {int(trial): rows for trial, rows in zip(found, np.split(order, starts[1:]), strict=True)}


def _of_usual_length(curves: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    if not curves:
        return np.empty((0, 0))
    lengths = [len(curve) for curve in curves]
    usual = max(set(lengths), key=lengths.count)
    return np.array([curve for curve in curves if len(curve) == usual])


def evidence_of(study: StudyRecord, metric: Metric) -> Evidence:
    """Return what the checks read of a study's record."""
    manifest, called = study.manifest, by_role(study)
    parts = manifest.data.grouping.parts if manifest.data.grouping else None
    validation = manifest.data.validation_pairs
    groups = parts["validation"] if parts else None
    pairs = Pairs(validation.count, validation.similar, groups) if validation else None
    at_chance = _loss_at_chance(manifest, pairs) if pairs else (lambda run: None)
    domains = manifest.domains
    return Evidence(
        metric,
        with_the_dead(study.evidence, study.epochs, pairs, at_chance),
        study.epochs,
        _unlearned(called.repeats, manifest),
        called.repeat_epochs,
        {path: domain for path, domain in domains.items() if not isinstance(domain, Choice)},
        {arm: manifest.arm_values[arm] for arm in manifest.arms},
        pairs,
        {parameter.path: parameter.limits for parameter in manifest.parameters},
        manifest.data.warnings,
        manifest.data.notes,
        leading(study),
        _steadier(manifest),
    )


def _unlearned(runs: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Return runs under new seeds with the column `dead`, by what the decision counts as one."""
    finished = runs["status"] == "finished"
    died = [ended and outcome_of(row, manifest).died for ended, (_, row) in zip(finished, runs.iterrows(), strict=True)]
    return runs.assign(dead=np.array(died, dtype=bool))


def _steadier(manifest: Manifest) -> WarmUp | Clip | None:
    """What would make the verifier's training steadier at the same rate, by what is in force already."""
    start = manifest.start
    if not isinstance(start, TrialConfig):
        return None
    warmed = start.schedule.warmup > 0 or any(WARMUP in own.values for own in manifest.rounds)
    return Clip() if warmed else WarmUp()


def _loss_at_chance(manifest: Manifest, pairs: Pairs) -> Callable[[Run], float | None]:
    """Return the validation loss of telling nothing apart, asked of a run: by its arm's loss, and its own margin.

    Runs under new seeds are of no arm: for them it is known where it is the same for all.
    """
    loss = of_verifier(manifest.start).loss
    own = {arm: str(values.get("loss.kind", loss.kind)) for arm, values in manifest.arm_values.items()}
    usual = None if len(set(own.values())) > 1 or MARGIN in manifest.domains else loss.kind

    def at_chance(run: Run) -> float | None:
        kind, margin = own.get(str(run["arm"]), usual), run.get(MARGIN)
        margin = loss.margin if margin is None or math.isnan(margin) else float(margin)
        return chance_value(_LOSS, replace(loss, kind=kind, margin=margin), pairs.similar) if kind else None

    return at_chance


def with_the_dead(
    runs: pd.DataFrame, epochs: pd.DataFrame, pairs: Pairs | None, at_chance: Callable[[Run], float | None]
) -> pd.DataFrame:
    """Return `runs` with the column `dead`; a run without a finished epoch is not called so: it diverged or failed.

    `at_chance` says of a run, which is a row as a mapping, the validation loss of a network that tells nothing apart.
    Of a task without pairs what guessing gives is not known, and no run is called dead.
    """
    last = {trial: float(epochs["val_loss"].iloc[rows[-1]]) for trial, rows in _rows_by_trial(epochs).items()}
    died = []
    for run in runs.to_dict("records"):
        best, accuracy = float(run.get("val_loss", math.nan)), float(run.get("val_accuracy", math.nan))
        if pairs is None or run["status"] not in ("finished", "stopped") or math.isnan(best):
            died.append(False)
            continue
        ended = last.get(run.get("trial", -1), best)
        died.append(dead(best, ended, accuracy, pairs.chance, at_chance(run)))
    return runs.assign(dead=np.array(died, dtype=bool))
