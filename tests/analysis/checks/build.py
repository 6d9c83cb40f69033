"""A clean study of the `lr` stage, in memory, to be spoiled in one respect by each test."""

import numpy as np
import pandas as pd

from analysis.checks import diagnose
from analysis.checks.evidence import evidence_of
from search_spaces.stages import stage_named
from storage.folder import StudyRecord
from storage.tables import EPOCH_COLUMNS, TRIAL_COLUMNS
from trainables.result import Metric

LOSS = Metric("val_loss", "min")
PATHS = ["schedule.kind", "optimiser.lr", "schedule.gamma", "schedule.floor", "optimiser.weight_decay"]
ARMS = ["constant", "exponential", "cosine"]
SEEDS = [("selected", "finished", 0.22 + 0.02 * k) for k in (-1, 0, 1)]  # new-seed runs that reach what was found


def study(count=27, epochs=20, curve=None, notes=(), repeats=(), **changes):
    """A clean lr study: ranges searched evenly, the best in the middle, curves that settle at 60 % of the epochs.

    `curve(number)` makes a trial's validation losses; `repeats` are (role, status, val_loss); `changes` replace columns
    of the trials (`...` keeps a value).
    """
    rng = np.random.default_rng(0)
    rows, curves = [], []
    for number in range(count):
        arm = ARMS[number % 3]
        share = (number // 3 + 0.5) / (count / 3)
        lr = 2e-4 * 100**share
        floor = 0.2 + 0.3 * abs(share - 0.5) + 0.02 * ARMS.index(arm)
        values = curve(number) if curve else floor + 0.5 * np.exp(-np.arange(epochs) / 3) + rng.normal(0, 1e-4, epochs)
        if not curve:
            values[int(0.6 * epochs)] = floor - 0.001
        best = int(np.argmin(values))
        rows.append(
            {
                "trial": number,
                "arm": arm,
                "status": "finished",
                "seed": number,
                "epochs": epochs,
                "best_epoch": best + 1,
            }
            | {"val_loss": values[best], "val_accuracy": 0.9, "val_jaccard": 0.8, "val_cosine": 0.9, "seconds": 1.0}
            | {"reason": None, "schedule.kind": arm, "optimiser.lr": lr, "optimiser.weight_decay": 1e-3}
            | {
                "schedule.gamma": 0.9 if arm == "exponential" else None,
                "schedule.floor": 0.1 if arm == "cosine" else None,
            }
        )
        curves += [{"trial": number, "epoch": e + 1, "train_loss": v, "val_loss": v} for e, v in enumerate(values)]
    trials = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *PATHS])
    for name, values in changes.items():
        column = name.replace("__", ".")
        before = trials.get(column, [None] * count)
        trials[column] = [value if value is not ... else old for value, old in zip(values, before, strict=True)]
    manifest = {
        "stage": "lr",
        "parameters": stage_named("lr").describe(),
        "arms": ARMS,
        "arm_values": {arm: {"schedule.kind": arm} for arm in ARMS},
        "examined": False,
        "data": {
            "pairs": {"validation": {"count": 600, "similar": 0.5}},
            "split": {"validation": 120},
            "notes": list(notes),
        },
    }
    runs = pd.DataFrame(repeats, columns=["arm", "status", "val_loss"])
    return StudyRecord(
        None, manifest, trials, pd.DataFrame(curves, columns=list(EPOCH_COLUMNS)), runs, pd.DataFrame(), {}
    )


def found(record, check):
    """The one finding of a check in a study."""
    (finding,) = [finding for finding in diagnose(record, LOSS) if finding.id == check]
    return finding


def severities(record):
    """The severity of each finding of a study, by its id."""
    return {finding.id: finding.severity for finding in diagnose(record, LOSS)}


def evidence(**changes):
    """What the checks read of a clean study with `changes`."""
    return evidence_of(study(**changes), LOSS)
