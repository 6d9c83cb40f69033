"""What each network of a stage that compares them costs, in training and at use."""

from __future__ import annotations

from analysis.selection import ranked
from storage.folder import StudyRecord
from storage.report_json import Cost
from trainables.data import TrialData
from trainables.latency import pair_milliseconds, parameters

NETWORK = "network.encoder"


def costs(record: StudyRecord, data: TrialData) -> tuple[Cost, ...] | None:
    """Return what the best trial of each arm costs, by arm; None for a stage whose arms are no networks."""
    if NETWORK not in record.manifest.domains:
        return None
    return tuple(_cost(record, str(arm), data) for arm in dict.fromkeys(record.finished["arm"]))


def _cost(record: StudyRecord, arm: str, data: TrialData) -> Cost:
    own = record.finished[record.finished["arm"] == arm]
    best = ranked(own, record.manifest.metric).iloc[0]
    config = record.search[int(best["trial"])].trial.config
    return Cost(
        arm=arm,
        trial=int(best["trial"]),
        val_accuracy=float(best["val_accuracy"]),
        seconds=float(best["seconds"]),
        milliseconds=pair_milliseconds(config, data),
        parameters=parameters(config),
    )
