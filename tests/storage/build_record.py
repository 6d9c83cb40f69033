"""Trials as a record hears them, for the tests of what reads it."""

from trainables.config import TrialConfig
from trainables.result import EpochMetrics, Metric, Trial, trial_result

LOSS = Metric("val_loss", "min")


def trial(number):
    config = TrialConfig().override({"seed": 7 + number, "optimiser.lr": 0.1 / 3})
    return Trial(number, "cosine", {"optimiser.lr": 0.1 / 3, "schedule.kind": "cosine"}, config)


def epoch(number, loss=0.5):
    return EpochMetrics(number, loss / 3, loss / number, 0.9, 0.8, 0.7, 0.01, 1.25, grad_norm=0.1 * number)


def write(record, number, epochs, status=None, reason=""):
    """Let a record hear a trial of so many epochs, and its end if it has one."""
    record.started(trial(number), f"ray_{number}")
    curve = [epoch(e) for e in range(1, epochs + 1)]
    for metrics in curve:
        record.epoch(trial(number), metrics)
    if status:
        record.ended(trial_result(trial(number), status, curve, LOSS, reason), curve)
