"""Guards which configs are trained under new seeds, and under which numbers."""

from dataclasses import replace

import pytest

from analysis.arms import arm_answers
from analysis.procedure import START
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from storage.folder import StudyRecord
from studies.repeats import Repeats
from studies.suggest import Suggester
from tests.build import saying, study
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, trial_result


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


def test_an_ensemble_meets_the_start_with_as_many_networks(tmp_path):
    """What is itself the start with more networks is no candidate, however good: the best of the others meets it."""
    asked, record = searched(tmp_path, "ensemble", [0.5 - 0.01 * number for number in range(6)])
    start = asked.study.incumbent().config

    def is_the_start(config):
        return config.override({"ensemble.members": 1, "seed": 0}) == start.override({"ensemble.members": 1, "seed": 0})

    assert any(is_the_start(history.trial.config) for number, history in asked.searched.search.items() if number)
    seen = run(asked, record, lambda trial: 0.2 if is_the_start(trial.config) else 0.4)
    assert not any(is_the_start(config) for arm in seen if arm != "baseline" for config in seen[arm])
    fresh = {config.seed for config in seen["baseline"]}
    (winner,) = [arm for arm in seen if arm != "baseline" and fresh <= {config.seed for config in seen[arm]}]
    assert all(is_the_start(config) for config in seen["baseline"])
    assert {config.ensemble.members for config in seen["baseline"]} == {seen[winner][0].ensemble.members} != {1}
    answers = {answer.arm: answer for answer in arm_answers(asked.searched.with_runs(record.histories))}
    assert (answers["best"].candidate, answers["best"].mean) == (START, pytest.approx(0.2))
    assert next(iter(answers)) == "best"  # it leads


@pytest.mark.parametrize("stage", ["lr", "loss"])
def test_all_configs_of_a_round_share_their_seeds_and_the_start_is_the_study_s(tmp_path, stage):
    """The decision trains winner and start under the same seeds, the start's config as long as the trials."""
    asked, record = searched(tmp_path, stage, [0.5 - 0.01 * number for number in range(9)])
    seen = run(asked, record, lambda trial: 0.4)
    start = asked.study.incumbent().config
    assert {config.override({"seed": 0}) for config in seen["baseline"]} == {start.override({"seed": 0})}
    fresh = {config.seed for config in seen["baseline"]}
    assert any(fresh <= {config.seed for config in configs} for arm, configs in seen.items() if arm != "baseline")


def test_a_trial_of_the_start_s_own_config_is_no_candidate(tmp_path):
    """The luckiest trial has the start's config: it does not meet itself, others are raced."""
    asked, record = searched(tmp_path, "lr", [0.5, 0.4, 0.4, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4])
    search = dict(asked.searched.search)
    itself = replace(search[3], trial=replace(search[3].trial, config=search[0].trial.config))
    twice = Repeats(asked.study, replace(asked.searched, search={**search, 3: itself}))
    assert "trial 3" in run(asked, record, lambda trial: 0.4)
    (tmp_path / "twice").mkdir()
    seen = run(twice, Record(Files.of_repeats(tmp_path / "twice"), asked.study.stage.metric), lambda trial: 0.4)
    assert "trial 3" not in seen and len(seen) > 2
