"""What a study's records say is left to do."""

import dataclasses

import pytest

from analysis.conduct import _given_up, _is_reported, _reopen_if_all_failed
from analysis.record import Files, Record
from tests.analysis.test_record import LOSS, write
from tests.analysis.test_report import record


def test_a_start_without_hope_says_its_reason_and_may_be_tried_again(tmp_path, capsys):
    """Search or retraining: where all trials failed the last reason is said, and the next run begins each of them anew."""
    failed = Record(Files.of_repeats(tmp_path), LOSS)
    for number in range(3):
        write(failed, number, 1, "failed", f"no room on the device ({number})")
    assert _given_up(failed, "hopeless") == 1
    assert "the first 3 trials all failed, the last with: no room on the device (2)" in capsys.readouterr().err
    _reopen_if_all_failed(failed)
    assert not failed.done


def test_one_trial_that_ended_is_hope_enough(tmp_path):
    """Where one of three was trained to its end the two that failed stay failed."""
    mixed = Record(Files.of_repeats(tmp_path), LOSS)
    write(mixed, 0, 3, "finished")
    for number in (1, 2):
        write(mixed, number, 1, "failed", "killed")
    _reopen_if_all_failed(mixed)
    assert list(mixed.done) == [0, 1, 2]


@pytest.mark.parametrize(
    ("report", "reported"),
    [
        ({}, False),
        ({"test": None, "selected": {"config": {"epochs": 7}}}, False),
        ({"test": {"accuracy": 0.9}, "selected": {"config": {"epochs": 6}}}, False),
        ({"test": {"accuracy": 0.9}, "selected": {"config": {"epochs": 7}}}, True),
    ],
)
def test_a_report_of_another_selection_is_not_this_study_s(report, reported):
    """A study killed between its last retraining and its report goes on to test what it retrained, not what it had before."""
    made = record()
    made.manifest["finalists"] = {"selected": {"epochs": 7}}
    assert _is_reported(dataclasses.replace(made, report=report)) == reported
