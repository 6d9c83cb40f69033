"""Guards that a study that is resumed is the one that was started, and when it has nothing left to do."""

import dataclasses

import pytest

from analysis.report import judge
from search_spaces.stage import Budget
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import Study
from storage.report_json import Cost, Measured
from studies.describe import study_of
from studies.run_study import is_reported
from tests.build import saying, study
from tests.raced import run, score, searched
from trainables.config import TrialConfig
from trainables.errors import InputError


@pytest.mark.parametrize("stage", ["baseline", "lr", "ensemble"])
def test_a_report_of_another_selection_is_not_this_study_s(stage, tmp_path):
    """A study killed between its last retraining and its report goes on to test what it retrained; one that was
    reported, whichever of its trials is the one to use, does not.
    """
    asked, runs = searched(tmp_path, stage, [0.5, 0.4, 0.3, 0.35, 0.45, 0.42])
    run(asked, runs, lambda trial: 0.4)
    made = asked.searched.with_runs(runs.histories)
    made = saying(made, finalists=asked.finalists(runs.histories))
    report = judge(made, Measured(selected=score(0.9)))
    one_less = {number: history for number, history in runs.histories.items() if number < len(runs.histories) - 1}
    assert report.selected and report.selected.runs
    assert is_reported(dataclasses.replace(made, report=report))
    assert not is_reported(made)
    assert not is_reported(dataclasses.replace(made, report=dataclasses.replace(report, measured=Measured())))
    assert not is_reported(dataclasses.replace(made.with_runs(one_less), report=report))
    other = dataclasses.replace(report.selected, config=TrialConfig().override({"epochs": 7}))
    assert not is_reported(dataclasses.replace(made, report=dataclasses.replace(report, selected=other)))


def test_a_comparison_of_networks_is_reported_with_what_they_cost(tmp_path):
    """A step of a chain has no test figures; one that was cut off before its report lacks the costs alone, and makes them."""
    asked, runs = searched(tmp_path, "network", [0.8, 0.7, 0.9, 0.85])
    run(asked, runs, lambda trial: 0.4)
    made = saying(asked.searched.with_runs(runs.histories), finalists=asked.finalists(runs.histories), test_unseen=True)
    costs = (Cost("small 16", 1, 0.9, 1.0, 1.0, 1000),)
    cut, whole = judge(made, Measured()), judge(made, Measured(costs=costs))
    assert not is_reported(dataclasses.replace(made, report=cut))
    assert is_reported(dataclasses.replace(made, report=whole))


@pytest.mark.parametrize("stage", [stage for own in STAGES for stage in (own, own.for_demo())])
def test_a_study_json_is_read_as_the_study_that_it_was_written_of(stage):
    """Also where the embedded chips' stage differs from a user's by nothing but the arms that it leaves out."""
    begun = Study(stage, "s", TrialConfig(), Budget(8, 5, 4))
    arms = {arm.name: dict(arm.values) for arm in begun.arms()}
    described = {
        "stage": stage.name,
        "parameters": begun.stage.parameters,
        "budget": begun.budget,
        "start": begun.start,
    }
    manifest = saying(study(), arms=tuple(arms), arm_values=arms, **described).manifest
    read = study_of(manifest)
    assert read.arms() == begun.arms()
    assert [read.arm_of(number) for number in range(8)] == [begun.arm_of(number) for number in range(8)]


def test_a_stage_that_has_other_arms_now_is_refused():
    """A study of three arms is none of a stage that asks five: its trials would be others."""
    lr = stage_named("lr")
    manifest = saying(study(), stage="lr", parameters=lr.parameters, arms=("constant", "cosine")).manifest
    with pytest.raises(InputError, match="the stage lr has changed since this study was started"):
        study_of(manifest)


def test_a_reason_that_is_told_better_by_now_refuses_no_older_study():
    """What is searched, in which role, is as it was; only the words of why are others."""
    lr = stage_named("lr")
    before = tuple(dataclasses.replace(parameter, because="said otherwise then") for parameter in lr.parameters)
    assert study_of(saying(study(), stage="lr", parameters=before).manifest).stage == lr
