"""Runs under new seeds, after the search: the race of its candidates and the decision, or a fixed number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.candidates import arm_of, contest
from analysis.procedure import START, Settled
from analysis.race import Run
from search_spaces.stage import COMPARED, SELECTED
from search_spaces.study import Study
from storage.event_record import Record
from storage.folder import StudyRecord
from trainables.base_config import Config
from trainables.result import History, Trial


@dataclass(frozen=True)
class Repeats:
    """Says which runs come next, from the record of a searched study alone, as long as there are any.

    A stage that varies nothing has no candidates: its config and its rivals are each trained under the same number of
    seeds. `at_once` runs are trained together.
    """

    study: Study
    searched: StudyRecord
    at_once: int = 1

    def missing(self, record: Record) -> list[Trial]:
        """Return the runs that are needed now, those that were begun among them; none once all is settled."""
        if not self.study.stage.varied:
            runs = self.study.repeats(self.study.finalists(self.study.start_trial().config))
            return [run for run in runs if run.number in record.missing(len(runs))]
        found = contest(self.searched.with_runs(record.histories))
        asked = found.next(self.at_once)
        if isinstance(asked, Settled):
            return []
        begun = {(history.trial.arm, history.trial.config.seed): number for number, history in record.open.items()}
        trials, fresh, ranking = [], len(record.histories), found.ranking()
        for run in asked:
            arm, seed = arm_of(run), found.seeds[run.seed]
            number = begun.get((arm, seed), fresh)
            fresh += number == fresh
            config = self._config(run, ranking).override({"seed": seed})
            trials.append(Trial(number, arm, {}, config))
        return trials

    def finalists(self, runs: Mapping[int, History]) -> dict[str, Config]:
        """Return the configs that the answer is about, by role, once no run is missing.

        They are the one to use, and the start beside it where that is another.
        """
        finalists = self.study.finalists(self.study.start_trial().config)
        if not self.study.stage.varied:
            return finalists
        found = contest(self.searched.with_runs(runs))
        answer = found.next()
        assert isinstance(answer, Settled)
        start = self._config(Run(START, 0), found.ranking())
        if answer.use == START:
            return {SELECTED: start}
        return {SELECTED: self._trained(answer.use), COMPARED: start}

    def _trained(self, trial: int) -> Config:
        return self.searched.search[trial].trial.config

    def _config(self, run: Run, ranking: Sequence[int]) -> Config:
        """The config of a run: a trial's own, or the start, with the winner's values where the stage matches them."""
        if run.trial != START:
            return self._trained(run.trial)
        start = self.study.start_trial().config
        if not ranking:
            return start
        winner = self._trained(ranking[0])
        return self.study.finalists(winner).get(COMPARED, winner)  # left out where it is the same config
