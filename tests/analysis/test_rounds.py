"""Guards what a next round of a search does otherwise: only what was found, within stated limits, and until it is so."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.rounds import next_round
from search_spaces.domain import LogUniform
from search_spaces.stage import Budget
from search_spaces.study import Change, Round
from storage.study_json import Manifest
from tests.build import ARMS, MANIFEST, saying, study

LR = "optimiser.lr"


def falling(number, count, epochs=20, upwards=True):
    """A curve that ends the lower the higher (or lower) the trial's rate, and settles at 60 % of the epochs."""
    share = (number // 3 + 0.5) / (count / 3)
    floor = 0.4 - 0.25 * (share if upwards else 1 - share)
    curve = floor + 0.4 * np.exp(-np.arange(epochs) / 3)
    curve[int(0.6 * epochs)] = floor - 0.001
    return curve


def improving(upwards=True, count=24, **changes):
    """A study whose loss falls right up to an end of the rate's range."""
    made = study(count, curve=lambda number: falling(number, count, upwards=upwards))
    return saying(made, budget=Budget(count, 20, rounds=4), **changes)


def test_a_clean_study_asks_for_no_round():
    """The best lies in the middle, every arm has its trials: nothing is changed."""
    assert next_round(study(24)) is None


def test_a_best_value_at_the_end_widens_the_range():
    """The new range goes to the limit, its trials begin within the old one, and each arm gets half of its first share."""
    own = next_round(improving())
    assert own.ranges == {LR: LogUniform(2e-4, 0.1)}
    assert own.drawn[LR].high == 0.1
    assert 2e-4 < own.drawn[LR].low < 2e-2
    assert (own.first, own.trials, own.arms) == (24, 3 * 4, tuple(ARMS))
    (change,) = own.changes
    assert change.check == "boundary"
    assert "upper end" in change.why
    assert "0.1" in change.what


def test_the_lower_end_is_widened_too():
    """Downwards the range goes on by 30 % of its logarithm, since its limit is further away."""
    own = next_round(improving(upwards=False))
    assert own.ranges[LR].high == 2e-2
    assert own.ranges[LR].low == pytest.approx(2e-4 * 100**-0.3, rel=0.01)
    assert own.drawn[LR].low == own.ranges[LR].low


def test_what_has_no_limit_is_not_widened():
    """A parameter that states none has its range changed by a person alone."""
    free = tuple(dataclasses.replace(p, limits=()) for p in MANIFEST.parameters)
    assert next_round(improving(parameters=free)) is None


def test_a_range_that_is_at_its_limit_is_let_be():
    """After a round that went to the limit nothing is widened again, though the loss falls right up to it."""
    own = next_round(improving())
    assert next_round(improving(rounds=(own,))) is None


def test_a_thin_arm_gets_trials_of_its_own():
    """An arm with one result gets as many trials as it had in the first round; the others get none."""
    made = study(24)
    cosine = (made.trials["arm"] == "cosine") & (made.trials["trial"] > 2)
    trials = made.trials.assign(status=np.where(cosine, "failed", "finished"), reason=np.where(cosine, "lost", None))
    own = next_round(dataclasses.replace(made, trials=trials))
    assert own.arms == ("cosine",)
    assert own.trials == 8
    assert "density" in [change.check for change in own.changes]


@pytest.mark.parametrize(("edge", "path"), [(0.75, LR), (0.5, "schedule.warmup")])
def test_an_unstable_edge_lowers_the_range_or_warms_up(edge, path):
    """Above the edge trials diverge: the range ends there, unless the best rate lies at it; then training is warmed up."""
    made = study(24)
    places = np.log(made.trials[LR] / 2e-4) / np.log(100)
    bad = places > edge
    trials = made.trials.assign(status=np.where(bad, "infeasible", "finished"), reason=np.where(bad, "diverged", None))
    own = next_round(dataclasses.replace(made, trials=trials))
    (change,) = own.changes
    assert change.check in ("feasibility", "unstable edge")
    if path == LR:
        assert 2e-4 * 100**0.6 < own.ranges[LR].high < 2e-4 * 100**0.85
        assert not own.drawn
    else:
        assert own.values == {path: 1.0}  # 5 % of 20 epochs
    again = next_round(saying(dataclasses.replace(made, trials=trials), rounds=(own,)))
    assert again is None


@settings(deadline=None, max_examples=20)
@given(upwards=st.lists(st.booleans(), min_size=1, max_size=4))
def test_no_round_goes_beyond_a_limit(upwards):
    """Whichever ends ask for more, round after round: the range holds the one before, and stays within its limits."""
    rounds = ()
    for place in upwards:
        made = improving(place, rounds=rounds)
        own, before = next_round(made), made.manifest.domains[LR]
        if own is None:
            continue
        rounds = (*rounds, own)
        now = saying(made, rounds=rounds).manifest.domains[LR]
        assert 1e-6 <= now.low <= before.low < before.high <= now.high <= 0.1
        assert (now.low, now.high) != (before.low, before.high)


def test_a_round_stands_in_study_json():
    """What was changed and why is read back as it was written."""
    own = Round(
        24,
        6,
        ("cosine",),
        (Change("optimiser.lr widened", "boundary", "val_loss improves"),),
        {LR: LogUniform(2e-4, 0.1)},
        {LR: LogUniform(5e-3, 0.1)},
        {"schedule.warmup": 1.0},
    )
    described = dataclasses.replace(MANIFEST, rounds=(own,))
    assert Manifest.read(described.to_dict()) == described
    assert described.domains[LR] == LogUniform(2e-4, 0.1)
