"""The numbers behind each figure: frames in, tidy frames out. Nothing here draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.importance import importances
from analysis.selection import ranked
from search_spaces.domain import Choice, Domain, IntRange
from storage.folder import StudyRecord
from trainables.result import Metric

ENOUGH = 10  # finished trials before importance is worth a look
WINDOW = 3  # epochs of the moving average


def loss_curves(study: StudyRecord, metric: Metric, top: int = 4) -> pd.DataFrame:
    """Return training and validation loss of the best trials and of trial 0, smoothed by a centred moving average.

    Columns: trial, label, split (training, validation), epoch, loss, smooth; best trial first.
    """
    best = ranked(study.finished, metric).head(top)
    if 0 in set(study.finished["trial"]) and 0 not in set(best["trial"]):
        best = pd.concat([best, study.finished[study.finished["trial"] == 0]])
    frames = []
    for _, trial in best.iterrows():
        curve = study.epochs[study.epochs["trial"] == trial["trial"]].sort_values("epoch")
        for split, column in (("training", "train_loss"), ("validation", "val_loss")):
            name = f"trial {trial['trial']}, {trial['arm']}" + (" (start)" if trial["trial"] == 0 else "")
            frames.append(
                pd.DataFrame(
                    {
                        "trial": trial["trial"],
                        "label": name,
                        "split": split,
                        "epoch": curve["epoch"],
                        "loss": curve[column],
                        "smooth": _smooth(curve[column]),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def run_curves(study: StudyRecord, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return training and validation loss of every retrained run, by role in the order of `labels` (role to title).

    Columns: role, seed, split, epoch, loss, smooth (centred moving average). Roles without a run are left out.
    """
    frames = []
    for role, label in labels.items():
        for _, run in study.repeats[study.repeats["arm"] == role].iterrows():
            own = study.repeat_epochs[study.repeat_epochs["trial"] == run["trial"]].sort_values("epoch")
            for split, column in (("training", "train_loss"), ("validation", "val_loss")):
                frame = pd.DataFrame({"epoch": own["epoch"], "loss": own[column], "smooth": _smooth(own[column])})
                frames.append(frame.assign(role=label, seed=run["seed"], split=split))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def best_epoch_counts(study: StudyRecord, metric: Metric, leading: int) -> pd.DataFrame:
    """Return for each epoch how many finished trials were best there, and how many of the `leading` ones.

    Columns: epoch (1 to the longest trial's), trials, leading.
    """
    best = ranked(study.finished, metric)
    epochs = np.arange(1, int(best["epochs"].max()) + 1)
    counts = [
        part["best_epoch"].astype(int).value_counts().reindex(epochs, fill_value=0).to_numpy()
        for part in (best, best.head(leading))
    ]
    return pd.DataFrame({"epoch": epochs, "trials": counts[0], "leading": counts[1]})


def _smooth(losses: pd.Series[float]) -> pd.Series[float]:
    return losses.rolling(WINDOW, center=True, min_periods=1).mean()


def axis_points(study: StudyRecord, metric: Metric, paths: Sequence[str]) -> pd.DataFrame:
    """Return each trial's best validation value against every varied parameter it has (playbook: axis plots).

    Columns: path, value, metric, arm, trial.
    """
    finished = study.finished
    frames = []
    for path in paths:
        own = finished[finished[path].notna()]
        frames.append(
            pd.DataFrame(
                {"path": path, "value": own[path], "metric": own[metric.name], "arm": own["arm"], "trial": own["trial"]}
            )
        )
    return (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=["path", "value", "metric", "arm", "trial"])
    )


def best_so_far(study: StudyRecord, metric: Metric) -> pd.DataFrame:
    """Return each finished trial's value and the best up to it, in the order of their numbers.

    Columns: trial, count (finished trials so far), minutes (their training time so far, summed: what was spent, however
    many ran at once), metric, best.
    """
    finished = study.finished.sort_values("trial", ignore_index=True)
    values = finished[metric.name]
    best = values.cummin() if metric.goal == "min" else values.cummax()
    minutes = finished["seconds"].cumsum() / 60
    return pd.DataFrame(
        {"trial": finished["trial"], "count": finished.index + 1, "minutes": minutes, "metric": values, "best": best}
    )


def parallel_points(study: StudyRecord, metric: Metric, domains: Mapping[str, Domain]) -> pd.DataFrame:
    """Return where each finished trial crosses each parameter's axis, from 0 (low end) to 1 (high end).

    Columns: trial, metric, and one for each path of `domains`; NaN where a trial does not have the parameter,
    or a value outside what is searched, as a start may.
    """
    finished = ranked(study.finished, metric)
    points = finished[["trial", metric.name]].rename(columns={metric.name: "metric"})
    for path, domain in domains.items():
        inside = [pd.notna(value) and domain.contains(value) for value in finished[path]]
        points[path] = [
            domain.position(value) if within else np.nan for value, within in zip(finished[path], inside, strict=True)
        ]
    return points


def importance_shares(study: StudyRecord, metric: Metric, domains: Mapping[str, Domain]) -> dict[str, float]:
    """Return each parameter's importance over all arms: the arm, and what every arm searches; largest first.

    Empty where fewer than `ENOUGH` trials say something, or less than two parameters are common to all arms.
    """
    finished = study.finished
    fixed = {path for values in study.manifest.arm_values.values() for path in values}
    common = [path for path in domains if path not in fixed and finished[path].notna().all()]
    searched = finished[[all(domains[path].contains(row[path]) for path in common) for _, row in finished.iterrows()]]
    arms = tuple(dict.fromkeys(searched["arm"]))
    asked: dict[str, Domain] = {"arm": Choice(arms)} if len(arms) > 1 else {}
    asked |= {path: domains[path] for path in common}
    if len(searched) < ENOUGH or len(asked) < 2:
        return {}
    whole = {path: searched[path].astype(int) for path in common if isinstance(domains[path], IntRange)}
    rows = searched.assign(**whole)[[*asked]].astype(object).to_dict("records")
    return importances(rows, list(searched[metric.name]), asked, metric.goal)
