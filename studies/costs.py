"""What each network of a stage that compares them costs, in training and at use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.selection import best_of_arms
from storage.folder import StudyRecord
from storage.report_json import Cost
from trainables.config import of_verifier
from trainables.data import TrialData
from trainables.latency import pair_milliseconds, parameters

NETWORK = "network.encoder"


def costs(record: StudyRecord, data: TrialData) -> tuple[Cost, ...] | None:
    """Return what the best trial of each arm costs, best arm first; None for a stage whose arms are no networks."""
    if NETWORK not in record.manifest.domains:
        return None
    best = best_of_arms(record.finished, record.manifest.metric)
    return tuple(_cost(record, row, data) for _, row in best.iterrows())


def _cost(record: StudyRecord, best: pd.Series[Any], data: TrialData) -> Cost:
    config = of_verifier(record.search[int(best["trial"])].trial.config)
    return Cost(
        arm=str(best["arm"]),
        trial=int(best["trial"]),
        val_accuracy=float(best["val_accuracy"]),
        seconds=float(best["seconds"]),
        milliseconds=pair_milliseconds(config, data),
        parameters=parameters(config),
    )
