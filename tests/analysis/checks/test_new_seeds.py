"""The checks on new-seed runs: density, separation, retraining."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.checks.density import lost_by_half
from analysis.checks.evidence import LN2, evidence_of
from analysis.checks.separation import separation
from storage.finding import MoreTrials, WarmUp
from tests.analysis.checks.build import SEEDS, found, severities
from tests.build import LOSS, right_or_guessing, study


def test_a_best_trial_that_stands_alone_asks_for_more_trials():
    """A trial that is far better, under new seeds too, warns; if these do not confirm it, it does not.

    Nor does a dense front; and without new seeds it is not judged.
    """
    losses = [0.05 if number == 13 else ... for number in range(27)]
    assert severities(study(val_loss=losses, repeats=SEEDS))["density"] == "ok"
    confirmed = [("selected", "finished", value) for value in (0.045, 0.05, 0.055)]
    finding = found(study(val_loss=losses, repeats=confirmed), "density")
    assert (finding.severity, finding.remedy) == ("warn", MoreTrials(2))
    assert severities(study(repeats=SEEDS))["density"] == "ok"
    assert severities(study())["density"] == "note"


def test_what_half_the_trials_lose_is_the_mean_over_all_halves():
    """The closed formula equals the mean over every subset of five of ten."""
    losses = np.random.default_rng(0).normal(size=10)
    halves = [min(half) for half in itertools.combinations(losses, 5)]
    assert lost_by_half(losses) == pytest.approx(np.mean(halves) - losses.min())


def test_an_arm_with_one_result_cannot_be_compared():
    """All cosine trials but one diverged: that arm wants trials."""
    status = ["infeasible" if number % 3 == 2 and number > 2 else "finished" for number in range(27)]
    assert found(study(status=status, repeats=SEEDS), "density").remedy == MoreTrials(2, "cosine")


def test_trials_stopped_by_a_scheduler_count_as_looks():
    """Under ASHA most trials are stopped; an arm with one finished and five stopped ones is no thin arm."""
    status = ["stopped" if number % 3 == 2 and number > 2 else "finished" for number in range(27)]
    assert found(study(status=status, repeats=SEEDS), "density").severity == "ok"


def compared(gap, spread):
    """A study of which a candidate of each arm was trained under six new seeds."""
    noise = np.random.default_rng(0).normal(0, spread, (3, 6))
    level = {"trial 12": 0.2, "trial 14": 0.2 + gap, "trial 13": 0.5}
    rows = [
        (role, seed, "finished", level[role] + noise[place, seed])
        for place, role in enumerate(level)
        for seed in range(6)
    ]
    return dataclasses.replace(
        study(), repeats=right_or_guessing(pd.DataFrame(rows, columns=["arm", "seed", "status", "val_loss"]))
    )


def test_arms_are_compared_by_their_new_seeds():
    """Candidates 0.1 apart at a spread of 0.01 are told apart; at a spread of 0.2 they are not; one arm alone is not judged."""
    (sure,) = separation(read(compared(0.1, 0.01)))
    assert sure.severity == "ok"
    assert sure.evidence.startswith("constant and cosine differ")
    (unsure,) = separation(read(compared(0.1, 0.2)))
    assert (unsure.severity, "not told apart" in unsure.advice) == ("note", True)
    assert found(study(repeats=SEEDS), "separation").evidence.startswith("not judged")


def read(record):
    """What the checks read of a study whose runs have their roles already."""
    empty = dataclasses.replace(record, repeats=record.repeats.head(0))
    runs = record.repeats.assign(dead=False)
    return dataclasses.replace(evidence_of(empty, LOSS), runs=runs)


def test_deaths_under_new_seeds_are_counted_and_a_fall_is_said():
    """A death warns, with its interval; a value above the trial's is said and is no alarm; a lost machine says nothing."""
    near = [("selected", "finished", value) for value in (0.21, 0.22, 0.2)]
    assert severities(study(repeats=near))["retraining"] == "ok"
    for died in (("selected", "finished", LN2), ("selected", "infeasible", None)):
        finding = found(study(repeats=[*near[:2], died]), "retraining")
        assert (finding.severity, finding.remedy) == ("warn", WarmUp())
        assert "died under 1 of 3 (95 % 1% to 91%)" in finding.evidence
    assert severities(study(repeats=[*near[:2], ("selected", "failed", None)]))["retraining"] == "ok"


def test_a_lucky_winner_is_found_out():
    """New seeds that are all worse than the median trial warn; one seed below it does not."""
    lucky = [("selected", "finished", value) for value in (0.45, 0.46, 0.47)]
    assert severities(study(repeats=lucky))["retraining"] == "warn"
    once = [("selected", "finished", value) for value in (0.21, 0.5, 0.2)]
    assert severities(study(repeats=once))["retraining"] == "ok"
