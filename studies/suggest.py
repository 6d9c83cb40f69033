"""The only file that imports Optuna: one flat study for each arm, asked for values and told how trials ended."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search_spaces.stage import Arm
from search_spaces.study import Study
from storage.distributions import distribution
from trainables.errors import InputError
from trainables.result import EpochMetrics, History, Trial, TrialResult

optuna.logging.set_verbosity(optuna.logging.ERROR)

EXPLORED = 10  # trials of an arm that TPE draws at random where minutes are given, so its share is not known: Optuna's


class Suggester:
    """Asks each arm's Optuna study in turn and, as an observer, tells it the truth about every trial.

    The storage is a journal file that only this process writes, made anew from the record (`histories`) whenever a
    study is resumed: what it held besides is no evidence. Each Optuna trial carries our trial number and Ray's id.
    """

    def __init__(self, study: Study, journal: Path, histories: Mapping[int, History] | None = None) -> None:
        self._study = study
        for leftover in (journal, journal.with_name(journal.name + ".lock")):
            leftover.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        self._arms = {
            arm.name: optuna.create_study(
                storage=storage,
                sampler=_sampler(study, arm),
                study_name=f"{study.stage.name}/{study.name}/{arm.name}",
                direction="minimize" if study.stage.metric.goal == "min" else "maximize",
            )
            for arm in study.arms()
        }
        self._asked: dict[int, optuna.trial.Trial] = {}
        for number, history in sorted((histories or {}).items()):
            self._tell_again(number, history)

    def follow(self, study: Study) -> None:
        """Ask from here on for the trials of `study`, which is the one so far with a round more."""
        self._study = study

    def _tell_again(self, number: int, history: History) -> None:
        """Bring Optuna to where the record is: ask for a trial as it was asked then, and tell its end if it has one."""
        arm = self._study.arm_of(number)
        if self._study.sampler == "tpe" and number:  # what it would suggest now depends on what ended when
            self._arms[arm.name].enqueue_trial({p.path: history.trial.overrides[p.path] for p in arm.nuisance})
        if self.ask(number).config != history.trial.config:
            raise InputError(
                f"trial {number} would get another config today than the record has: a stage or Optuna's sampler has "
                "changed since; start a new study"
            )
        self.started(history.trial, history.ray)
        if history.result is not None:
            self.ended(history.result, history.epochs)

    def ask(self, number: int) -> Trial:
        """Return trial `number`: the start for 0, else its arm's next suggestion."""
        arm = self._study.arm_of(number)
        space = {path: distribution(domain) for path, domain in self._study.space(number).items()}
        sampler = self._arms[arm.name].sampler
        if isinstance(sampler, FlatQMC):
            sampler.space = space
        if number == 0:
            trial = self._study.start_trial()
            # a start outside the space (weight decay 0 on a log scale) is run, but has no place in the sampler
            values = {p.path: trial.overrides[p.path] for p in arm.nuisance}
            if all(p.domain is not None and p.domain.contains(values[p.path]) for p in arm.nuisance):
                self._arms[arm.name].enqueue_trial(values)
                asked = self._arms[arm.name].ask(space)
            else:
                asked = self._arms[arm.name].ask()
        else:
            asked = self._arms[arm.name].ask(space)
            trial = self._study.trial(number, asked.params)
        asked.set_user_attr("trial", number)
        asked.set_user_attr("config", trial.config.to_dict())
        self._asked[number] = asked
        return trial

    def started(self, trial: Trial, ray_id: str) -> None:
        """Link the trial to Ray's."""
        self._asked[trial.number].set_user_attr("ray", ray_id)

    def epoch(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Nothing to tell yet: intermediate values go in with the end."""

    def ended(self, result: TrialResult, epochs: Sequence[EpochMetrics]) -> None:
        """Close a trial in its study: best value if finished, PRUNED with its curve if stopped, FAIL otherwise."""
        # a trial that Ctrl-C cut off is FAIL here too, until the study is resumed: nothing is left RUNNING
        asked = self._asked.pop(result.trial.number)
        metric = self._study.stage.metric
        for epoch in epochs:
            asked.report(metric.value(epoch), epoch.epoch)
        asked.set_user_attr("status", result.status)
        study = self._arms[result.trial.arm]
        state = _state(result)
        value = metric.value(result.best) if state == TrialState.COMPLETE and result.best else None
        study.tell(asked, value, state=state)


class FlatQMC(optuna.samplers.QMCSampler):
    """Scrambled Halton points over a space that is known beforehand (playbook FAQ: quasi-random search).

    Optuna's own sampler learns the space from the first trial, which it therefore draws at random; an arm's space is
    data, so every point is quasi-random, and the k-th point is the same however many trials run at once. A round that
    changes `space` goes on in the same sequence, spread over the new ranges.

    Studies of one seed draw from the same sequence, so a start that one stage found at a point comes up again in the
    next: the arm that has it already (`taken`) passes it over.
    """

    space: dict[str, BaseDistribution]

    def __init__(self, seed: int, taken: Mapping[str, Any]) -> None:
        super().__init__(qmc_type="halton", scramble=True, seed=seed, warn_independent_sampling=False)
        self._taken = taken

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the space of the trial that is asked for."""
        return self.space

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next point that is not taken; among whole numbers and choices alone points come again anyway."""
        point = super().sample_relative(study, trial, search_space)
        continuous = any(isinstance(own, FloatDistribution) for own in search_space.values())
        return super().sample_relative(study, trial, search_space) if continuous and point == self._taken else point


def _sampler(study: Study, arm: Arm) -> optuna.samplers.BaseSampler:
    """The arm's sampler, seeded by study seed and arm; TPE explores a third of the arm's share, where that is known.

    Arms that search the same parameters share a seed, and so their points: they differ in what is asked alone, and the
    ensembles of one arm have as many networks as those of another.
    """
    alike = next(place for place, other in enumerate(study.arms()) if other.nuisance == arm.nuisance)
    seed = int(np.random.SeedSequence([study.seed, 2, alike]).generate_state(1, np.uint32)[0])
    share = study.first_trials // len(study.arms())
    explored = EXPLORED if study.budget.minutes else max(2, share // 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if study.sampler == "qmc":
            own = study.arm_of(0) == arm
            return FlatQMC(seed, {p.path: study.start.value(p.path) for p in arm.nuisance} if own else {})
        if study.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=explored)
        return optuna.samplers.RandomSampler(seed=seed)


def disagreements(journal: Path, histories: Mapping[int, History]) -> int:
    """Return how many trials the storage holds otherwise than the record, or only one of the two holds at all."""
    try:
        stored = [(trial["trial"], trial["state"]) for arm in journal_states(journal).values() for trial in arm]
    except Exception:  # a torn journal fails in many ways; it is made anew from the record
        stored = []
    expected = {number: _state(history.result).name for number, history in histories.items()}
    held = dict(stored)
    extra = len(stored) - len(set(held) & set(expected))
    return extra + sum(bool(held.get(number) != state) for number, state in expected.items())


def _state(result: TrialResult | None) -> TrialState:
    """What Optuna calls a trial that ended so: nothing else than a finished one has a value."""
    if result is None:
        return TrialState.RUNNING
    if result.status == "finished" and result.best is not None:
        return TrialState.COMPLETE
    return TrialState.PRUNED if result.status == "stopped" else TrialState.FAIL


def journal_states(journal: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what the storage holds, an arm's study name to its trials (number, state, value): for checks and tests."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return {
        summary.study_name: [
            {
                "trial": t.user_attrs.get("trial"),
                "ray": t.user_attrs.get("ray"),
                "state": t.state.name,
                "value": t.value,
                "params": t.params,
            }
            for t in optuna.load_study(study_name=summary.study_name, storage=storage).trials
        ]
        for summary in optuna.get_all_study_summaries(storage)
    }
