"""Learning is told from luck, and what learned nothing never passes."""

import numpy as np
import pytest

from analysis.checks.chance import least_accuracy
from storage.study_json import Grouping, PairCount
from tests.analysis.checks.build import severities
from tests.build import saying, study


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
        assert (accuracy > least_accuracy(0.5, groups)).mean() <= 0.01
