import dataclasses

import numpy as np
import pytest

from analysis.diagnose import CHANCE_ERRORS, density, diagnose
from search_spaces.domain import IntRange
from search_spaces.stage import Parameter
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import Study
from storage.manifest import Grouping, PairCount
from tests.build import LOSS, saying, study
from trainables.config import TrialConfig


def severities(record):
    return {finding.id: finding.severity for finding in diagnose(record, LOSS)}


def test_a_clean_study_raises_no_alarm():
    """A study with nothing wrong passes every check."""
    assert set(severities(study()).values()) == {"ok"}


@pytest.mark.parametrize(("bad", "severity"), [(5, "ok"), (6, "warn"), (14, "fail")])
def test_diverged_trials_are_counted(bad, severity):
    """From 20 % infeasible or failed trials on it warns, from 50 % on it fails, with the commonest reason."""
    status = ["infeasible"] * bad + ["finished"] * (27 - bad)
    record = study(status=status, reason=["loss not finite"] * bad + [None] * (27 - bad))
    found = next(finding for finding in diagnose(record, LOSS) if finding.id == "feasibility")
    assert found.severity == severity
    assert severity == "ok" or "loss not finite" in found.evidence


def test_trials_cut_off_by_ctrl_c_are_no_failures():
    """Eight of 27 trials that an interrupt ended do not count as failed."""
    status, reason = ["failed"] * 8 + ["finished"] * 19, ["interrupted"] * 8 + [None] * 19
    found = {finding.id: finding for finding in diagnose(study(status=status, reason=reason), LOSS)}
    assert found["feasibility"].severity == "ok"
    assert found["feasibility"].evidence == "0 of 19 trials diverged or failed"


def test_a_study_of_which_no_trial_has_ended_has_nothing_wrong():
    """Cut off before its first trial ended a study is no failure: one note says that nothing is known."""
    none = study(status=["failed"] * 27, reason=["interrupted"] * 27)
    assert [(f.severity, f.evidence) for f in diagnose(none, LOSS)] == [("note", "no trial has ended yet")]


def test_a_study_without_a_finished_trial_fails_feasibility():
    """All trials diverged: one finding, a failure, and no error."""
    assert severities(study(status=["infeasible"] * 27)) == {"feasibility": "fail"}


def test_five_ensembles_of_two_to_five_are_enough():
    """An arm that can have four different trials is searched whole by four; with three it is not."""
    record = study(count=12, arm=["average"] * 12)
    record = saying(record, arms=("average",), arm_values={"average": {}})
    members = IntRange(2, 5)
    record = saying(record, parameters=(Parameter("ensemble.members", "nuisance", members, "made up"),))
    few = dataclasses.replace(record, trials=record.trials.head(3))
    enough = dataclasses.replace(record, trials=record.trials.head(4))
    assert [density(some, LOSS).severity for some in (few, enough)] == ["warn", "ok"]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_s_own_budget_is_dense_enough(stage):
    """No stage's default budget is called a first look by the check on its density."""
    made = Study(stage, "s", TrialConfig(), stage.budget)
    arms = [made.arm_of(number).name for number in range(stage.budget.trials)]
    record = study(count=len(arms), arm=arms)
    values = {arm.name: dict(arm.values) for arm in made.arms()}
    record = saying(record, arms=tuple(values), arm_values=values, parameters=stage.parameters)
    assert density(record, LOSS).severity == "ok"


def test_a_best_value_at_an_end_of_its_range_is_suspicious():
    """A best learning rate within 10 % of an end of the log scale warns; the closed end 0 of a floor does not."""
    losses = [0.01 if n == 26 else ... for n in range(27)]
    assert severities(study(val_loss=losses))["boundary"] == "warn"
    floors = [0.001 if n == 14 else ... for n in range(27)]
    losses = [0.01 if n == 14 else ... for n in range(27)]
    assert severities(study(val_loss=losses, schedule__floor=floors))["boundary"] == "ok"


def test_an_incumbent_outside_its_range_is_no_boundary():
    """The baseline's weight decay of 0 is not in the range at all, so it cannot lie at its end."""
    decay = [0.0 if n == 12 else ... for n in range(27)]
    losses = [0.01 if n == 12 else ... for n in range(27)]
    assert severities(study(val_loss=losses, optimiser__weight_decay=decay))["boundary"] == "ok"


@pytest.mark.parametrize("members", [2, 4, 5])
def test_a_limit_is_no_end_to_search_beyond(members):
    """The smallest and the largest ensemble there may be are no reason to ask for a wider range; without limits they are."""
    losses = [0.01 if n == 14 else ... for n in range(27)]
    record = study(val_loss=losses, ensemble__members=[members] * 27)
    (asked,) = [p for p in stage_named("ensemble").parameters if p.path == "ensemble.members"]
    assert severities(saying(record, parameters=(asked,)))["boundary"] == "ok"
    free = dataclasses.replace(asked, limits=())
    assert severities(saying(record, parameters=(free,)))["boundary"] == ("ok" if members == 4 else "warn")


def test_the_smallest_sets_cannot_tell_learning_from_luck():
    """Fifteen pairs, 80 % of them different: not even all of them right is three standard errors above guessing."""
    record = study(val_accuracy=[1.0] * 27)
    record = saying(record, data={"pairs": {"validation": PairCount(15, 0.2)}})
    assert severities(record)["chance"] == "note"


def test_chance_is_the_commoner_answer():
    """52 % of 600 balanced pairs is no better than guessing; 90 % is not when nine pairs in ten differ."""
    assert severities(study(val_accuracy=[0.52] * 27))["chance"] == "fail"
    record = study()
    record = saying(record, data={"pairs": {"validation": PairCount(600, 0.1)}})
    assert severities(record)["chance"] == "fail"


@pytest.mark.parametrize(
    ("count", "similar", "accuracy"), [(12, 1 / 3, 1 / 3), (12, 1 / 3, 2 / 3), (15, 0.2, 0.8), (600, 0.5, 0.5)]
)
def test_at_chance_or_below_is_a_failure_however_few_the_pairs(count, similar, accuracy):
    """No set is so small that 33 % right, where guessing gives 67 %, is left open."""
    record = study(val_accuracy=[accuracy] * 27)
    record = saying(record, data={"pairs": {"validation": PairCount(count, similar)}})
    assert severities(record)["chance"] == "fail"


def test_a_network_that_calls_nothing_similar_has_learned_nothing():
    """With Jaccard 0 the check fails, whatever share of the pairs is different."""
    assert severities(study(val_jaccard=[0.0] * 27))["chance"] == "fail"


@pytest.mark.parametrize(("groups", "severity"), [(4, "note"), (9, "note"), (10, "ok"), (40, "ok")])
def test_groups_are_the_looks_that_tell_learning_from_luck(groups, severity):
    """Of 600 pairs 98 % right say nothing where they are of nine groups, and something where they are of ten."""
    record = study(val_accuracy=[0.98] * 27)
    record = saying(record, data={"grouping": Grouping("folder", 60, {"validation": groups})})
    assert severities(record)["chance"] == severity


def test_groups_that_are_alike_by_chance_pass_the_check_at_most_once_in_a_hundred():
    """Of 20,000 recognisers of groups whose classes say nothing, at most 1 % are called better than chance; 10 to 40 groups.

    The worst case: groups fall into two kinds that have nothing to do with the class, and every pair is judged by them.
    """
    rng = np.random.default_rng(0)
    for groups in (10, 12, 20, 40):
        label, kind = np.arange(groups) % 2, rng.integers(0, 2, (20_000, groups))
        one, other = np.triu_indices(groups, 1)
        right = (kind[:, one] == kind[:, other]) == (label[one] == label[other])
        similar = label[one] == label[other]
        accuracy = (right[:, similar].mean(1) + right[:, ~similar].mean(1)) / 2  # half of the pairs drawn are similar
        assert (accuracy > 0.5 + CHANCE_ERRORS * 0.5 / np.sqrt(groups)).mean() <= 0.01


def test_few_trials_an_arm_are_a_first_look():
    """Seven trials an arm warn, nine do not."""
    assert severities(study(count=21))["density"] == "warn"
    assert severities(study(count=27))["density"] == "ok"


def test_rising_validation_loss_is_overfitting():
    """A curve that ends well above its early minimum warns; one that wobbles by 2 % does not."""

    def rising(number):
        epoch = np.arange(20)
        return 0.3 + 0.3 * np.exp(-epoch) + 0.02 * epoch

    assert severities(study(curve=rising))["overfitting"] == "warn"
    assert (
        severities(study(curve=lambda n: 0.3 + 0.3 * np.exp(-np.arange(20.0)) + 0.006 * (np.arange(20) % 2)))[
            "overfitting"
        ]
        == "ok"
    )


@pytest.mark.parametrize(
    ("best", "severity"), [(1, "warn"), (2, "warn"), (3, "ok"), (15, "ok"), (16, "warn"), (20, "warn")]
)
def test_best_epochs_early_or_late_are_said(best, severity):
    """Leading trials best in the last quarter, or the first tenth, of 20 epochs warn, each under its own name."""
    found = severities(study(best_epoch=[best] * 27))
    assert found["early best epochs" if best <= 2 else "training length"] == severity


def test_a_gap_below_the_spread_of_seeds_is_not_settled():
    """Arms that differ by 0.02 are settled if seeds spread by 0.001, and not if they spread by 0.05."""
    for spread, severity in ((0.001, "ok"), (0.05, "note")):
        runs = [("selected", "finished", 0.2 + spread * k) for k in (-1, 0, 1)]
        assert severities(study(repeats=runs))["separation"] == severity


def test_a_lucky_winner_is_found_out():
    """New seeds that fall below the median trial warn; new seeds near the winner do not."""
    near = [("selected", "finished", value) for value in (0.21, 0.22, 0.2)]
    far = [("selected", "finished", value) for value in (0.21, 0.69, 0.2)]
    assert severities(study(repeats=near))["retraining"] == "ok"
    assert severities(study(repeats=far))["retraining"] == "warn"
    dead = [*near[:2], ("selected", "infeasible", None)]
    assert severities(study(repeats=dead))["retraining"] == "warn"
    lost = [*near[:2], ("selected", "failed", None)]  # its machine was, which says nothing of the config
    assert severities(study(repeats=lost))["retraining"] == "ok"


def test_trials_stopped_by_a_scheduler_count_as_looks():
    """Under ASHA most trials are stopped; an arm of nine, six of them stopped, is still dense."""
    stopped = ["stopped" if n % 3 == 0 and n > 8 else "finished" for n in range(27)]
    assert severities(study(status=stopped))["density"] == "ok"


def test_notes_on_the_data_are_findings():
    """What was noted when the data was read stands among the findings."""
    assert "small set: 35 chips" in [f.evidence for f in diagnose(study(notes=["small set: 35 chips"]), LOSS)]


def test_the_worst_comes_first():
    """Findings are ordered fail, warn, note, ok."""
    record = study(count=21, val_accuracy=[0.5] * 21, notes=["a note"])
    order = [finding.severity for finding in diagnose(record, LOSS)]
    assert order == sorted(order, key=["fail", "warn", "note", "ok"].index)
    assert order[0] == "fail"
