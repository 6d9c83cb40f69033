"""The procedure on a study's record: which runs under new seeds it still needs, and what those it has come to.

Nothing but the record decides, so a report that is written again, a study that is resumed and the search itself agree.
In the record of these runs an arm is the trial whose config was trained ("trial 7"), or `baseline` for the start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.decision import Rule
from analysis.procedure import ERRORS, START, Procedure, Settled, counted, next_runs, plan
from analysis.race import Known, Outcome, RacePlan, Ranking, Run, entrants, next_in_race
from analysis.selection import ranked
from search_spaces.stage import COMPARED, SELECTED
from search_spaces.study import repeat_seed
from storage.folder import StudyRecord
from storage.study_json import Looks, Manifest, Plan
from trainables.config import Loss, TrialConfig
from trainables.result import Metric

UNTESTED = 5  # seeds of a start that nothing is left to compare with
LOST = 5  # seeds of which a run failed, replaced by others; what fails beyond counts as having died


@dataclass(frozen=True)
class Contest:
    """What is known of a study's candidates. `seeds` are the training seeds by their numbers in a `Run`.

    `start_arm` is the arm that the start stands for where it takes a candidate's values; its own trials are none.
    Once it is settled, `known` are the runs that the answer rests on.
    """

    procedure: Procedure
    search: Mapping[int, Outcome]
    arms: Mapping[int, str]
    known: Known
    seeds: tuple[int, ...]
    start_arm: str | None = None

    def next(self, at_once: int = 1) -> tuple[Run, ...] | Settled:
        """Return the runs that are needed next, as many as fill what is trained `at_once`, or the answer."""
        answer = next_runs(self.procedure, self.search, self.arms, self.known, at_once)
        if isinstance(answer, Settled) and not answer.decisions:  # no candidate is left: the start is measured alone
            first = self.procedure.race.seeds
            most = max((rule.most for rule in self.procedure.decisions), default=0)
            alone = [Run(START, first + seed) for seed in range(min(most, UNTESTED))]
            return tuple(run for run in alone if run not in self.known) or answer
        return answer

    def ranking(self) -> tuple[int, ...]:
        """Return the candidates, best first, as far as the race has come."""
        procedure = self.procedure
        keep = procedure.race.entrants
        entered = entrants(self.search, self.arms, START, keep, procedure.metric, procedure.chance)
        raced = next_in_race(procedure.race, self.search, entered, self.known, procedure.metric, procedure.chance)
        return raced.order if isinstance(raced, Ranking) else entered


def arm_of(run: Run) -> str:
    """Return how the record calls the config of a run."""
    return COMPARED if run.trial == START else f"trial {run.trial}"


def planned(manifest: Manifest) -> Plan:
    """Return what follows a study's search: as it has recorded, else as this version plans it."""
    if manifest.plan:
        return manifest.plan
    budget = manifest.budget
    procedure = plan(budget.trials, len(manifest.arms), manifest.metric, 0.0, budget.repeats)
    decisions = tuple(Looks(rule.looks, rule.error) for rule in procedure.decisions)
    if manifest.matching:  # each candidate has a start of its own to meet: the winner alone does
        decisions = (replace(decisions[0], error=sum(ERRORS)),)
    return Plan(procedure.race.left, decisions)


def contest(study: StudyRecord) -> Contest:
    """Return what a study's record says of its candidates. Trials that failed or were stopped are none."""
    manifest, metric = study.manifest, study.manifest.metric
    ended = study.trials[study.trials["status"].isin(["finished", "infeasible"])]
    arms = dict(zip(ended["trial"], ended["arm"], strict=True))
    itself = [trial for trial in arms if _matches_start(study, trial)]
    searched = {
        int(row["trial"]): outcome_of(row, manifest) for _, row in ended.iterrows() if row["trial"] not in itself
    }
    values = [outcome.value for outcome in searched.values() if outcome.value is not None]
    guessing = guessed(manifest, metric)
    worst = min(
        values if guessing is None else [guessing, *values], key=lambda value: metric.gain(value, 0.0), default=0.0
    )
    asked = planned(manifest)
    rules = tuple(Rule(looks.seeds, looks.error) for looks in asked.decisions)
    procedure = Procedure(RacePlan(asked.race), rules, metric, worst)
    seeds = _seeds(study, procedure)
    trained = zip(_runs(study.repeats, seeds), study.repeats.iterrows(), strict=True)
    known: Known = {run: outcome_of(row, manifest) for run, (_, row) in trained if run is not None}
    answer = next_runs(procedure, searched, arms, known)
    if isinstance(answer, Settled):
        known = counted(procedure, answer, known)
    return Contest(procedure, searched, arms, known, seeds, next((arms[trial] for trial in itself), None))


def _matches_start(study: StudyRecord, trial: int) -> bool:
    """Whether a trial is the start, or what it becomes where it takes a candidate's values: it would meet itself."""
    manifest = study.manifest
    if trial == START or trial not in study.search:
        return False
    config = study.search[trial].trial.config
    taken = {path: config.value(path) for path in (*manifest.matching, "epochs", "seed")}
    return config == manifest.start.override(taken)


def _seeds(study: StudyRecord, procedure: Procedure) -> tuple[int, ...]:
    """Return the training seeds by number, those of failed runs passed over."""
    manifest, runs = study.manifest, study.repeats
    lost = list(dict.fromkeys(int(seed) for seed in runs.loc[runs["status"] == "failed", "seed"]))[:LOST]
    count = procedure.race.seeds + max((rule.most for rule in procedure.decisions), default=0) + UNTESTED
    asked = (repeat_seed(manifest.seed, manifest.stage, manifest.start, place) for place in range(count + LOST))
    return tuple(seed for seed in asked if seed not in lost)


def _runs(repeats: pd.DataFrame, seeds: Sequence[int]) -> list[Run | None]:
    """Return for each row of runs under new seeds which `Run` it is; None for one under a seed that was passed over."""
    number = {seed: place for place, seed in enumerate(seeds)}
    trials = [START if arm == COMPARED else int(str(arm).removeprefix("trial ")) for arm in repeats["arm"]]
    return [
        Run(trial, number[int(seed)]) if int(seed) in number else None
        for trial, seed in zip(trials, repeats["seed"], strict=True)
    ]


def outcome_of(row: pd.Series[Any], manifest: Manifest) -> Outcome:
    """Return how a run of a table ended: a network that is right no more often than guessing has learned nothing."""
    if row["status"] != "finished":
        return Outcome(None, learned=False)
    pairs = manifest.data.validation_pairs
    learned = pairs is None or (
        float(row["val_accuracy"]) > max(pairs.similar, 1 - pairs.similar) and float(row["val_jaccard"]) > 0
    )
    return Outcome(float(row[manifest.metric.name]), learned)


def guessed(manifest: Manifest, metric: Metric) -> float | None:
    """Return the metric of a network that tells nothing apart; None for a task of which that is not known."""
    pairs = manifest.data.validation_pairs
    if pairs is None or not isinstance(manifest.start, TrialConfig):
        return None
    return chance_value(metric, manifest.start.loss, pairs.similar)


def chance_value(metric: Metric, loss: Loss, similar: float) -> float:
    """Return the metric of a network that tells nothing apart, where `similar` is the share of similar pairs.

    Cross entropy of p = 0.5 is ln 2; the contrastive loss of one distance for all is least at (1 - similar) margins.
    """
    if metric.name == "val_accuracy":
        return max(similar, 1 - similar)
    if metric.name != "val_loss":
        return 0.0
    return similar * (1 - similar) * loss.margin**2 / 2 if loss.kind == "contrastive" else math.log(2)


def is_raced(study: StudyRecord) -> bool:
    """Return whether its runs under new seeds are a race's: something was searched, and by this version or a later."""
    return bool(study.manifest.domains) and not (study.repeats["arm"] == SELECTED).any()


def settled(study: StudyRecord) -> Settled | None:
    """Return the answer of a raced study; None as long as runs are missing, or where nothing was raced."""
    if not is_raced(study) or study.finished.empty:
        return None
    answer = contest(study).next()
    return answer if isinstance(answer, Settled) else None


def leading(study: StudyRecord) -> int | None:
    """Return the trial to use; until that is settled the one that leads, by the race or else by its single value.

    None where no trial finished.
    """
    if study.finished.empty:
        return None
    answer = settled(study)
    if answer is not None:
        return answer.use
    raced = contest(study).ranking() if is_raced(study) and not study.repeats.empty else ()
    return raced[0] if raced else int(ranked(study.finished, study.manifest.metric).iloc[0]["trial"])


def by_role(study: StudyRecord) -> StudyRecord:
    """Return the study with its runs under fresh seeds called by role: those of the config to use are `selected`.

    Where that is the start, its runs are, and no `baseline` is left. Other candidates, and the race's runs, keep the
    names of their trials. Runs ahead of a look that was not needed are left out. Without an answer yet there are no
    roles, and no runs.
    """
    if not is_raced(study):
        return study
    answer = settled(study)
    if answer is None:
        return replace(study, repeats=study.repeats.head(0), repeat_epochs=study.repeat_epochs.head(0))
    found = contest(study)
    runs = study.repeats[[run is None or run in found.known for run in _runs(study.repeats, found.seeds)]]
    fresh = runs["seed"].isin(found.seeds[found.procedure.race.seeds :])
    own = arm_of(Run(answer.use, 0))
    return replace(study, repeats=runs.assign(arm=np.where((runs["arm"] == own) & fresh, SELECTED, runs["arm"])))
