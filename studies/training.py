"""A study's trials, phase by phase: its search, then the runs under new seeds, as far as its records lack them."""

from __future__ import annotations

import contextlib
import importlib
import math
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from search_spaces.stage import SELECTED
from search_spaces.study import Study
from storage.event_record import Files, Record
from storage.folder import StudyRecord, with_manifest
from storage.study_json import Manifest, Pace
from studies.phase import Phase
from studies.plan import note_on_budget
from studies.progress import Progress
from studies.repair import remove_retraining, repair_retraining, repair_search
from studies.session import Session, say
from studies.suggest import Suggester
from studies.tuner import TrialRun, run_trials
from trainables.result import Trial

if TYPE_CHECKING:
    from studies.repeats import Repeats

Trained = Literal["whole", "nothing finished", "given up", "interrupted"]


class Training:
    """Trains what the records of a study lack; `record` is the study as far as it has come."""

    def __init__(self, study: Study, session: Session, record: StudyRecord) -> None:
        self._study, self._session, self._record = study, session, record
        self._folder, self._metric = record.path, record.manifest.metric
        self._own_scores = record.manifest.own_scores
        self._search: Record | None = None
        self._retraining: Record | None = None

    @property
    def record(self) -> StudyRecord:
        """Return the study with all that was heard of its trials."""
        before = self._record
        search = self._search.histories if self._search else before.search
        retraining = self._retraining.histories if self._retraining else before.retraining
        return StudyRecord.of(self._folder, before.manifest, search, retraining, before.report)

    def run(self) -> Trained:
        """Search, then race the best and decide under new seeds; return what became of it."""
        import studies.repeats  # noqa: F401  # SciPy, whole, before a thread loads what needs it too
        from trainables.trial import TaskTrial

        threading.Thread(target=_load_what_reports, daemon=True).start()
        session, scratch = self._session, self._folder / "ray"
        with contextlib.closing(self._phases()) as phases:
            own = not session.cluster.joined
            run = TrialRun(
                TaskTrial, session.shared, self._metric, session.resources, scratch, phases, own, session.task
            )
            outcome = run_trials(run)
        if outcome == "hopeless":
            self._give_up()
            return "given up"
        if outcome == "whole" and self._retraining is None:
            return "nothing finished"
        if outcome == "whole":
            shutil.rmtree(self._folder / "states", ignore_errors=True)
        return outcome

    def _noted(self, manifest: Manifest) -> None:
        """Write down in study.json what was planned or has come of it."""
        self._record = with_manifest(self._record, manifest)

    def _phases(self) -> Generator[Phase, None, None]:
        """What the records lack of the search, then of the runs under new seeds."""
        yield from self._search_phases()
        record = self.record
        if record.finished.empty:
            return
        from analysis.candidates import planned
        from studies.repeats import Repeats

        if self._study.stage.varied:
            self._shorten(record)
            record = self.record
            assert self._search is not None
            pace = record.manifest.pace or self._pace(self._search)
            self._noted(replace(record.manifest, plan=planned(record.manifest), pace=pace))
            record = self.record
            if few := note_on_budget(self._study):
                say(f"note: {few}")
        self._retraining = self._open_retraining()
        if self._is_to_plan:
            yield from self._retraining_phases(Repeats(self._few_repeats(), record), self._retraining)
            self._fill(self._retraining)
        asked = Repeats(self._study, record, self._at_once)
        yield from self._retraining_phases(asked, self._retraining)
        finalists = asked.finalists(self._retraining.histories)
        self._noted(replace(self._record.manifest, finalists=finalists))

    def _search_phases(self) -> Iterator[Phase]:
        """The trials that the record lacks, round by round as the checks on each say what the next does otherwise.

        Where minutes are given, the first are those that tell how many are to follow.
        """
        study, folder = self._study, self._folder
        paths = [parameter.path for parameter in study.stage.varied]
        record = self._search = Record(Files.of_search(folder), self._metric, paths, self._own_scores)
        repair_search(record, study, folder, self._record.manifest.given_up.get("search", ()), self._session.task)
        suggester = Suggester(study, folder / "optuna.journal", record.histories)
        if self._is_to_plan and study.stage.varied:
            yield from self._trials(record, suggester, max(len(study.arms()), self._at_once))
            self._plan(record)
        yield from self._trials(record, suggester, self._study.budget.trials)
        while self._add_round():
            suggester.follow(self._study)
            yield from self._trials(record, suggester, self._study.budget.trials)

    def _add_round(self) -> bool:
        """Plan the round that the checks ask for, write it down and say why; return whether there is one.

        Once its candidates are trained under new seeds a search is over, whatever the checks of a later version say.
        """
        study, record = self._study, self.record
        taken = record.manifest.rounds_taken
        if taken >= study.budget.rounds or record.retraining or record.finished.empty:
            return False
        from analysis.rounds import next_round  # SciPy

        place = f"round {taken + 1} of {study.budget.rounds}"
        own = next_round(record)
        if own is None:
            say(f"{place}: left out, the checks ask for nothing that more trials of this study could settle")
            return False
        say(f"{place}: {own.trials} more trials in {', '.join(own.arms)}: {own.told}")
        budget, rounds = replace(study.budget, trials=own.first + own.trials), (*study.rounds, own)
        self._study = replace(study, budget=budget, rounds=rounds)
        self._noted(replace(self._record.manifest, budget=budget, rounds=rounds))
        return True

    def _trials(self, record: Record, suggester: Suggester, count: int) -> Iterator[Phase]:
        numbers, epochs = record.missing(count), self._study.budget.epochs
        if not numbers:
            return
        with Progress(
            "search", [epochs] * max(count, len(record.histories)), self._metric, before=record.histories
        ) as progress:
            yield Phase(
                suggester,
                numbers,
                (record, suggester, progress),
                self._folder / "states" / "search",
                begun=record.open,
                scheduler=self._study.scheduler,
                max_epochs=epochs,
            )

    @property
    def _at_once(self) -> int:
        return self._session.resources.max_concurrent or 1

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._session.opened

    @property
    def _is_to_plan(self) -> bool:
        return self._study.budget.minutes is not None and self._record.manifest.pace is None

    def _few_repeats(self) -> Study:
        """The study with the fewest repeats, or with as many as let its first runs take all CPUs."""
        from studies.minutes import FEWEST  # SciPy

        study = self._study
        finalists = len(study.finalists(study.start_trial().config))
        return replace(study, budget=replace(study.budget, repeats=max(FEWEST, math.ceil(self._at_once / finalists))))

    def _plan(self, record: Record) -> None:
        """Plan trials and repeats by what the first trials took; write it down, and how to repeat it by number."""
        from analysis.decision import FIRST_LOOK  # SciPy
        from studies.minutes import fitted, takes

        minutes, done = self._study.budget.minutes, len(record.histories)
        assert minutes is not None
        if not (pace := self._pace(record)):
            return
        study = fitted(self._study, done, self._elapsed, pace)
        self._planned(study, pace, f"{study.budget.trials} trials, and at most {study.budget.repeats} seeds to decide")
        _tell_if_long(takes(study, done, self._elapsed, pace, FIRST_LOOK), minutes)

    def _fill(self, record: Record) -> None:
        """Plan repeats by what the first ones took, where nothing is searched."""
        from studies.minutes import filled

        took: dict[str, list[float]] = {}
        begun: dict[str, int] = {}
        for history in record.histories.values():
            role = history.trial.arm
            begun[role] = begun.get(role, 0) + 1
            if history.result and history.epochs:
                took.setdefault(role, []).append(sum(epoch.seconds for epoch in history.epochs))
        if not (pace := self._pace(record)):
            return
        study = filled(self._study, max(begun.values()), self._elapsed, self._at_once, took)
        self._planned(study, pace, f"{study.budget.repeats} seeds")

    def _pace(self, record: Record) -> Pace | None:
        """How long a run takes here, by its epochs so far; None before there is one."""
        epochs = [epoch.seconds for history in record.histories.values() for epoch in history.epochs]
        return Pace(self._study.budget.epochs * fmean(epochs), self._at_once) if epochs else None

    def _planned(self, study: Study, pace: Pace, runs: str) -> None:
        """Go on with the study as it was planned; write it down, and say so."""
        budget, self._study = study.budget, study
        self._noted(replace(self._record.manifest, budget=budget, pace=pace))
        say(
            f"planned for {budget.minutes:g} minutes, a run taking {pace.run:.1f} s: {runs}; "
            f"the same without a clock: --trials {budget.trials} --repeats {budget.repeats}"
        )

    def _shorten(self, record: StudyRecord) -> None:
        """Where minutes are given and the best trials are slow ones, plan fewer repeats, before the race begins."""
        minutes = self._study.budget.minutes
        if minutes is None or record.manifest.plan:
            return
        from analysis.candidates import contest  # SciPy
        from analysis.procedure import START
        from studies.minutes import shortened, takes_from_here

        took = {number: sum(epoch.seconds for epoch in own.epochs) for number, own in record.search.items()}
        candidates = [took[trial] for trial in contest(record).ranking()]
        known = self._elapsed, self._at_once, took[START], candidates
        study = shortened(self._study, *known)
        if study.budget.repeats < self._study.budget.repeats:
            say(
                f"runs take longer than planned: {minutes:g} minutes have room for at most {study.budget.repeats} "
                f"seeds to decide; the same without a clock: --repeats {study.budget.repeats}"
            )
            self._study = study
            self._noted(replace(self._record.manifest, budget=study.budget))
        _tell_if_long(takes_from_here(study, *known), minutes)

    def _open_retraining(self) -> Record:
        """The record of the runs under new seeds, as far as they still hold."""
        own = self._own_scores
        record = Record(Files.of_repeats(self._folder), self._metric, own=own)
        if self._study.stage.varied and any(run.trial.arm == SELECTED for run in record.histories.values()):
            remove_retraining(self._folder)  # begun before candidates were raced
            self._noted(replace(self._record.manifest, finalists={}))
            record = Record(Files.of_repeats(self._folder), self._metric, own=own)
        repair_retraining(
            record, self._folder, self._record.manifest.given_up.get("retraining", ()), self._session.task
        )
        return record

    def _retraining_phases(self, asked: Repeats, record: Record) -> Iterator[Phase]:
        """The runs under new seeds, round by round as each says what the next needs, under one progress bar."""
        states, weights = self._folder / "states" / "retrain", self._folder / "checkpoints"
        trials = asked.missing(record)
        if not trials:
            return
        lengths = [history.trial.config.epochs for _, history in sorted(record.histories.items())]
        with Progress("retrain", lengths, self._metric, before=record.histories) as progress:
            while trials:
                progress.extend([trial.config.epochs for trial in trials if trial.number not in record.histories])
                numbers = [trial.number for trial in trials]
                yield Phase(_Listed(trials), numbers, (record, progress), states, weights, record.open)
                trials = asked.missing(record)

    def _give_up(self) -> None:
        """Say why a phase was given up, and write down which trials that cost."""
        name, record = ("retraining", self._retraining) if self._retraining else ("search", self._search)
        assert record is not None
        given_up = {name: given_up_trials(record, name)}
        self._noted(replace(self._record.manifest, given_up=given_up))


def _tell_if_long(seconds: float, minutes: float) -> None:
    """Say so where even the least that can decide does not fit into the minutes."""
    from studies.minutes import LATEST  # SciPy

    if seconds > LATEST * 60 * minutes:
        say(f"note: this is the least that can decide; it takes up to {seconds / 60:.1f} minutes")


def _load_what_reports() -> None:
    """Load what writes a study up, which takes seconds, while its trials train."""
    with contextlib.suppress(Exception):  # whoever needs it loads it again, and is told what is wrong
        importlib.import_module("studies.write_up")


def given_up_trials(record: Record, name: str) -> tuple[int, ...]:
    """Say why a run was given up; return the trials that this cost."""
    say(
        f"given up: the first {len(record.failed)} trials of this {name} all failed, the last with: "
        f"{record.failed[-1].reason}"
    )
    return tuple(result.trial.number for result in record.failed)


@dataclass(frozen=True)
class _Listed:
    """A source of trials that are known beforehand."""

    trials: Sequence[Trial]

    def ask(self, number: int) -> Trial:
        """Return trial `number`."""
        return next(trial for trial in self.trials if trial.number == number)
