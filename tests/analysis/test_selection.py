import numpy as np
import pandas as pd
import pytest

from analysis.selection import best_of_arms, judge, ranked
from trainables.result import Metric

LOSS, ACCURACY = Metric("val_loss", "min"), Metric("val_accuracy", "max")


def trials(**columns):
    return pd.DataFrame({"trial": range(4), "arm": ["a", "b", "a", "b"], **columns})


def test_ranking_follows_the_metrics_goal():
    """Lowest loss or highest accuracy first; the earlier trial wins a tie; each arm's best comes from that order."""
    frame = trials(val_loss=[0.4, 0.2, 0.2, 0.9], val_accuracy=[0.7, 0.6, 0.9, 0.9])
    assert ranked(frame, LOSS)["trial"].tolist() == [1, 2, 0, 3]
    assert ranked(frame, ACCURACY)["trial"].tolist() == [2, 3, 0, 1]
    assert best_of_arms(frame, LOSS)["trial"].tolist() == [1, 2]


def test_a_clear_gain_is_adopted_and_a_loss_is_not():
    """Consistent gains are adopted with an interval above zero; consistent losses, and no runs at all, are not."""
    better = judge(LOSS, [(0.30, 0.45), (0.20, 0.36), (0.25, 0.39)])
    assert better.adopted
    assert 0 < better.low < better.gain < better.high
    assert better.gain == pytest.approx(0.15)
    assert not judge(LOSS, [(0.45, 0.30), (0.36, 0.20)]).adopted
    assert judge(ACCURACY, [(0.9, 0.8), (0.91, 0.8)]).adopted
    assert not judge(LOSS, []).adopted


def test_runs_that_died_decide():
    """A candidate that died under one seed is not adopted whatever the others say; one that beat a dying start is.

    Not if it is worse wherever both lived.
    """
    lost = judge(LOSS, [(0.2, 0.4), (None, 0.4), (0.2, 0.4)])
    assert not lost.adopted
    assert "did not finish under 1 of 3" in lost.why
    won = judge(LOSS, [(0.2, None), (0.2, None)])
    assert won.adopted
    assert "starting config did not finish under 2 of 2" in won.why
    assert not judge(LOSS, [(None, None)]).adopted
    assert judge(LOSS, [(0.2, 0.4), (0.2, None)]).adopted
    worse = judge(LOSS, [(0.9, 0.3), (0.8, 0.3), (0.9, None)])
    assert not worse.adopted
    assert "did not finish under 1 of 3 new seeds, but is better under the others" in worse.why


def test_one_run_each_says_that_the_spread_is_unknown():
    """With a single seed the reason says what is missing."""
    verdict = judge(LOSS, [(0.2, 0.4)])
    assert verdict.adopted
    assert "spread between seeds is unknown" in verdict.why


@pytest.mark.slow
def test_without_a_true_gain_adoption_is_rare():
    """Between equal configs, with seeds that move both alike, at most 3.5 % of 4,000 comparisons adopt (2.5 % wanted)."""
    rng = np.random.default_rng(0)
    adopted = 0
    for _ in range(4000):
        seed_effect = rng.normal(0.4, 0.1, 3)
        adopted += judge(
            LOSS, list(zip(seed_effect + rng.normal(0, 0.02, 3), seed_effect + rng.normal(0, 0.02, 3), strict=True))
        ).adopted
    assert adopted / 4000 <= 0.035


@pytest.mark.slow
def test_a_true_gain_below_the_spread_of_seeds_is_found():
    """A gain of 0.1 under a seed spread of 0.1 common to both is adopted in over 80 % of 1,000 comparisons of 3 seeds."""
    rng = np.random.default_rng(1)
    adopted = 0
    for _ in range(1000):
        seed_effect = rng.normal(0.4, 0.1, 3)
        candidate = seed_effect - 0.1 + rng.normal(0, 0.015, 3)
        adopted += judge(LOSS, list(zip(candidate, seed_effect + rng.normal(0, 0.015, 3), strict=True))).adopted
    assert adopted / 1000 > 0.8
