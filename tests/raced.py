"""Studies whose runs under new seeds are carried out, in memory: all by a made-up world, or whatever `Repeats` asks for."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.candidates import arm_of, contest
from analysis.procedure import Settled
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from storage.folder import StudyRecord
from storage.report_json import TestScore
from studies.repeats import Repeats
from studies.suggest import Suggester
from tests.build import saying, study
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, trial_result

COLUMNS = ["trial", "arm", "status", "seed", "val_loss", "val_accuracy", "val_jaccard"]


def carried_out(made, world, most=400, at_once=1):
    """The study with every run that it asks for, `world` of (trial, seed) being a status and a loss."""
    rows = [list(row) for row in made.repeats.reindex(columns=COLUMNS).itertuples(index=False)]
    while len(rows) < most:
        found = contest(replace(made, repeats=pd.DataFrame(rows, columns=COLUMNS)))
        asked = found.next(at_once)
        if isinstance(asked, Settled):
            break
        for run in asked:
            status, loss = world(run.trial, run.seed)
            right = 0.5 if loss >= 0.69 else 0.9
            rows.append([len(rows), arm_of(run), status, found.seeds[run.seed], loss, right, 0.8])
    return replace(made, repeats=pd.DataFrame(rows, columns=COLUMNS))


def world(better=(), gain=0.2, spread=0.02, seed=0):
    """Configs that lose about 0.4, those of `better` less; every run has a spread of its own."""
    rng = np.random.default_rng(seed)
    return lambda trial, run: ("finished", 0.4 - gain * (trial in better) + spread * rng.standard_normal())


def lucky(best):
    """A search of 27 trials, the best single one `best`."""
    return study(val_loss=[0.1 if number == best else 0.3 + 0.001 * number for number in range(27)])


def searched(folder, stage, losses):
    """A study of so many trials whose search is done, and what is asked next, of a record of new seeds."""
    planned = Study(stage_named(stage), "s", TrialConfig(), Budget(len(losses), 1, 8))
    own = planned.stage
    matching = tuple(path for rival in own.rivals for path in rival.matching)
    described = saying(study(), stage=stage, metric=own.metric, parameters=own.parameters, budget=planned.budget)
    arms = {arm.name: dict(arm.values) for arm in planned.arms()}
    described = saying(described, arms=tuple(arms), arm_values=arms, matching=matching)
    record = Record(Files.of_search(folder), own.metric, [p.path for p in own.varied])
    suggester = Suggester(planned, folder / "journal")
    for number, loss in enumerate(losses):
        trial = suggester.ask(number)
        epoch = EpochMetrics(1, loss, loss, 0.9, 0.8, 0.9, 0.001, 1.0)
        record.started(trial, "")
        record.epoch(trial, epoch)
        record.ended(trial_result(trial, "finished", [epoch], own.metric), [epoch])
    made = StudyRecord.of(folder, described.manifest, record.histories, {})
    return Repeats(planned, made), Record(Files.of_repeats(folder), own.metric)


def run(asked, record, worth):
    """Carry out whatever is asked for, round by round; return all configs by arm."""
    seen = {}
    while trials := asked.missing(record):
        assert [trial.number for trial in trials] == list(
            range(len(record.histories), len(record.histories) + len(trials))
        )
        for trial in trials:
            epoch = EpochMetrics(1, 0.4, worth(trial), 0.9, 0.8, 0.9, 0.001, 1.0)
            record.started(trial, "")
            record.epoch(trial, epoch)
            record.ended(trial_result(trial, "finished", [epoch], asked.study.stage.metric), [epoch])
            seen.setdefault(trial.arm, []).append(trial.config)
    return seen


def score(accuracy, jaccard=0.5):
    return TestScore(accuracy, (0, 1), jaccard, (0, 1), 1, 1, 1, 1, 0.5, 0.9, 4, 0, (accuracy,), (jaccard,))
