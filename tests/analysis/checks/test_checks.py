"""All checks together: a clean study is clean, what cannot be judged says so, the worst comes first."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import analysis.checks
from analysis.checks import CHECKS, diagnose
from tests.analysis.checks.build import SEEDS, evidence, severities
from tests.build import LOSS, study
from trainables.result import Metric


def test_a_clean_study_raises_no_alarm():
    """A study with nothing wrong passes every check that can be made; arms without new seeds cannot be compared."""
    found = severities(study(repeats=SEEDS))
    assert found.pop("separation") == "note"
    assert set(found.values()) == {"ok"}


def test_what_cannot_be_judged_is_a_note_never_ok():
    """Two epochs, four trials, no new seeds: nothing is said of trends, ends, density or new seeds, and each says why."""
    notes = {f.id: f for f in diagnose(study(count=3, epochs=2), LOSS) if f.severity == "note"}
    expected = {"boundary", "density", "overfitting", "training loss", "training length", "late variance"}
    assert expected | {"early best epochs", "separation", "retraining"} <= set(notes)
    assert all(finding.evidence.startswith("not judged: ") for finding in notes.values())


@pytest.mark.parametrize(
    ("name", "goal", "values"),
    [("val_rmse", "min", [0.5, 0.1, 0.3]), ("nll", "min", [2.0, -1.0, 0.0]), ("val_accuracy", "max", [0.6, 0.9, 0.8])],
)
def test_less_is_better_whatever_a_metric_is_called(name, goal, values):
    """On the scale of the checks the best of three is the least, whether its name ends in loss, and where it is negative."""
    trials = pd.DataFrame({name: values})
    one = replace(evidence(), metric=Metric(name, goal), trials=trials, runs=trials[:0])
    assert one.losses(trials).argsort().tolist() == [1, 2, 0]


def test_a_study_of_which_no_trial_has_ended_has_nothing_wrong():
    """Cut off before its first trial ended a study is no failure: one note says that nothing is known."""
    none = study(status=["interrupted"] * 27)
    assert [(f.severity, f.evidence) for f in diagnose(none, LOSS)] == [("note", "not judged: no trial has ended yet")]


def test_a_study_without_a_finished_trial_fails_feasibility():
    """All trials diverged: one finding, a failure, and no error."""
    assert severities(study(status=["infeasible"] * 27)) == {"feasibility": "fail"}


def test_a_study_in_which_every_trial_died_is_judged_without_error():
    """All at chance: feasibility and chance fail, and the checks on the leading trials say that there are none."""
    found = severities(study(val_loss=[0.6931] * 27, val_accuracy=[0.5] * 27))
    assert found["feasibility"] == found["chance"] == "fail"
    assert {found[name] for name in ("overfitting", "training length", "boundary")} == {"note"}


def test_the_worst_comes_first():
    """Findings are ordered fail, warn, note, ok."""
    record = study(count=21, val_accuracy=[0.5] * 21, notes=["a note"])
    order = [finding.severity for finding in diagnose(record, LOSS)]
    assert order == sorted(order, key=["fail", "warn", "note", "ok"].index)
    assert order[0] == "fail"


def test_notes_on_the_data_are_findings():
    """What was noted when the data was read stands among the findings."""
    assert "small set: 35 chips" in [f.evidence for f in diagnose(study(notes=["small set: 35 chips"]), LOSS)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_check_is_one_file_of_its_name(check):
    """Each entry of the list is defined in the file of the same name."""
    assert check.__module__ == f"analysis.checks.{check.__name__}"
    assert (Path(analysis.checks.__file__).parent / f"{check.__name__}.py").exists()


def test_the_record_is_left_as_it_was():
    """Checks read: the frames of the study are the same afterwards."""
    record = study(repeats=SEEDS)
    trials, epochs = record.trials.copy(), record.epochs.copy()
    diagnose(record, LOSS)
    pd.testing.assert_frame_equal(record.trials, trials)
    pd.testing.assert_frame_equal(record.epochs, epochs)
