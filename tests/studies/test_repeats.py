"""Guards which configs are trained under new seeds, and under which numbers."""

from dataclasses import replace

import pytest

from analysis.arms import arm_answers
from analysis.procedure import START
from storage.event_record import Files, Record
from studies.repeats import Repeats
from tests.raced import run, searched


def test_an_ensemble_meets_the_start_with_as_many_networks(tmp_path):
    """What is itself the start with more networks is no candidate, however good: the best of the others meets it."""
    asked, record = searched(tmp_path, "ensemble", [0.5 - 0.01 * number for number in range(6)])
    start = asked.study.start_trial().config

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
    start = asked.study.start_trial().config
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
