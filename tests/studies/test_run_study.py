"""Guards when a study that is resumed has nothing left to do."""

import dataclasses

import pytest

from storage.report_json import Measured, Report, Selected
from studies.run_study import is_reported
from tests.analysis.test_report import record, score
from tests.build import saying
from trainables.config import TrialConfig


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
