"""What a reader who cannot see a figure should hear: what is seen in it, from the numbers that drew it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.curves import best_epoch_counts, best_so_far, importance_shares, loss_curves, parallel_points, run_curves
from analysis.selection import ranked
from search_spaces.domain import Domain
from storage.folder import StudyRecord
from trainables.result import Metric

LEADING = 4  # trials; a quarter of them where there are more


def seen_in_figures(
    study: StudyRecord, metric: Metric, domains: Mapping[str, Domain], roles: Mapping[str, str]
) -> dict[str, str]:
    """Return a sentence or two for each figure that a finished study draws of its trials, by file name."""
    if study.finished.empty:
        return {}
    best = ranked(study.finished, metric)
    said = {"losses.png": _losses(loss_curves(study, metric))}
    if domains:
        leading = best.head(max(LEADING, len(best) // 4))
        ranges = "; ".join(
            f"{path} {_range(leading[path])}" for path in domains if path in leading and leading[path].notna().any()
        )
        points = parallel_points(study, metric, domains)
        gaps = int(points[list(domains)].isna().any(axis=1).sum())
        said |= {
            "axes.png": f"{len(best)} finished trials. The {len(leading)} best lie at {ranges}.",
            "parallel.png": f"{len(points)} lines, {gaps} with a gap. The {len(leading)} best run through {ranges}.",
            "best_so_far.png": _so_far(best_so_far(study, metric), metric),
            "best_epochs.png": _epochs(best_epoch_counts(study, metric, LEADING)),
        }
        shares = importance_shares(study, metric, domains)
        if shares:
            said["importance.png"] = "; ".join(f"{name} {share:.0%}" for name, share in shares.items()) + "."
    runs = run_curves(study, roles)
    if len(runs):
        last = runs[(runs["split"] == "validation") & (runs["epoch"] == runs["epoch"].max())]
        means = last.groupby("role", sort=False)["loss"].mean()
        ends = "; ".join(f"{role} {_number(value)}" for role, value in means.items())
        said["runs.png"] = f"Mean validation loss in the last epoch: {ends}."
    return said


def _losses(curves: pd.DataFrame) -> str:
    """From where to where each trial's losses go."""
    sentences = []
    for label, own in curves.groupby("label", sort=False):
        parts = [
            f"{split} loss from {_number(part['loss'].iloc[0])} to {_number(part['loss'].iloc[-1])}"
            for split, part in own.groupby("split", sort=False)
        ]
        sentences.append(f"{label}: {' and '.join(parts)}.")
    return " ".join(sentences)


def _so_far(progress: pd.DataFrame, metric: Metric) -> str:
    first, last = progress.iloc[0], progress.iloc[-1]
    reached = progress[progress["best"] == last["best"]].iloc[0]
    return (
        f"The best {metric.name} goes from {_number(first['best'])} after the first trial to {_number(last['best'])}, "
        f"reached with trial {int(reached['trial'])}, number {int(reached['count'])} of {int(last['count'])}."
    )


def _epochs(counts: pd.DataFrame) -> str:
    some = counts[counts["trials"] > 0]
    common = int(counts["epoch"].iloc[int(counts["trials"].argmax())])
    return (
        f"Trials were best in epochs {int(some['epoch'].min())} to {int(some['epoch'].max())} of "
        f"{int(counts['epoch'].max())}, most often in epoch {common}."
    )


def _range(values: pd.Series[Any]) -> str:
    known = values.dropna()
    if known.dtype.kind in "if" and known.min() < known.max():
        return f"{_number(known.min())} to {_number(known.max())}"
    return ", ".join(dict.fromkeys(_number(value) for value in known))


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
