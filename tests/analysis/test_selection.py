"""Guards that the best trial is the best by the metric's own goal."""

import pandas as pd

from analysis.selection import best_of_arms, ranked
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
