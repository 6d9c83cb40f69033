"""Studies for the tests of what reads them: a clean one in memory, and changes to what it says of itself."""

from dataclasses import replace

import numpy as np
import pandas as pd

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from storage.folder import StudyRecord
from storage.study_json import DataDescription, Grouping, Manifest, PairCount, SplitSizes
from storage.tables import EPOCH_COLUMNS, TRIAL_COLUMNS
from trainables.config import TrialConfig
from trainables.result import Metric

LOSS = Metric("val_loss", "min")
PATHS = ["schedule.kind", "optimiser.lr", "schedule.gamma", "schedule.floor", "optimiser.weight_decay"]
ARMS = ["constant", "exponential", "cosine"]

DATA = DataDescription(
    source="made up",
    digest="0",
    counts={"a": 100, "b": 100},
    groups=200,
    notes=(),
    split=SplitSizes("grouped", 60, 120, 20),
    pairs={"train": PairCount(300, 0.5), "validation": PairCount(600, 0.5)},
    options=("--data", "my chips"),
    grouping=Grouping(),
)
MANIFEST = Manifest(
    stage="lr",
    name="s",
    question="Which?",
    metric=LOSS,
    parameters=stage_named("lr").parameters,
    arms=tuple(ARMS),
    arm_values={arm: {"schedule.kind": arm} for arm in ARMS},
    judged="start",
    budget=Budget(24, 20, 20),
    seed=0,
    sampler="qmc",
    scheduler="none",
    start=TrialConfig(),
    start_from="the baseline's config",
    reference=TrialConfig(),
    data=DATA,
    versions={"python": "3"},
    hardware={"CPUs": 2},
    argv=("python",),
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:00:00+00:00",
)


def study(count=27, epochs=20, curve=None, notes=(), repeats=(), **changes):
    """A clean lr study: ranges searched evenly, the best in the middle, curves that settle at 60 % of the epochs."""
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
    data = replace(DATA, notes=tuple(notes))
    manifest = replace(MANIFEST, data=data)
    runs = pd.DataFrame(repeats, columns=["arm", "status", "val_loss"]).reindex(columns=list(TRIAL_COLUMNS))
    runs = right_or_guessing(runs.assign(seed=range(len(repeats))))
    return StudyRecord(None, manifest, trials, pd.DataFrame(curves, columns=list(EPOCH_COLUMNS)), runs, pd.DataFrame())


def right_or_guessing(runs):
    """Runs that are right as often as their losses say: at the loss of guessing, as often as guessing."""
    learned = runs["val_loss"].astype(float) < 0.99 * np.log(2)
    return runs.assign(val_accuracy=np.where(learned, 0.9, 0.5), val_jaccard=np.where(learned, 0.8, 0.0))


def saying(record, data=None, **changes):
    """The same study, with other values in its study.json; `data` are values of its images."""
    described = replace(record.manifest.data, **(data or {}))
    return replace(record, manifest=replace(record.manifest, data=described, **changes))
