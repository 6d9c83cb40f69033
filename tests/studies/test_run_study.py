"""Guards that a study that is resumed is the one that was started, and when it has nothing left to do."""

import dataclasses

import pytest

from search_spaces.stage import Budget
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import Study
from storage.report_json import Measured, Report, Selected
from studies.describe import study_of
from studies.run_study import is_reported
from tests.analysis.test_report import record, score
from tests.build import saying, study
from trainables.config import TrialConfig
from trainables.errors import InputError


@pytest.mark.parametrize(
    ("tested", "epochs", "reported"),
    [(None, 7, False), (False, 7, False), (True, 6, False), (True, 7, True)],
)
def test_a_report_of_another_selection_is_not_this_study_s(tested, epochs, reported):
    """A study killed between its last retraining and its report goes on to test what it retrained, not what it had before."""
    made = saying(record(), finalists={"selected": TrialConfig().override({"epochs": 7})})
    if tested is not None:
        config = TrialConfig().override({"epochs": epochs})
        selected = Selected(adopted=False, why="", trial=3, arm="cosine", config=config, val=None)
        report = Report("", "", selected, measured=Measured(selected=score(0.9) if tested else None))
        made = dataclasses.replace(made, report=report)
    assert is_reported(made) == reported


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
