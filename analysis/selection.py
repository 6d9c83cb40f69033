"""Finished trials in the order of their metric on validation; the test split is never asked."""

from __future__ import annotations

import pandas as pd

from trainables.result import Metric


def ranked(finished: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return finished trials, best first by their best epoch; the earlier trial wins a tie."""
    return finished.sort_values([metric.name, "trial"], ascending=[metric.goal == "min", True])


def best_of_arms(finished: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return each arm's best trial, best arm first (playbook: compare the best trial of each study)."""
    return ranked(finished, metric).drop_duplicates("arm")
