"""The best value so far, against trials and against the time they took."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure, number
from analysis.shown import Shown
from storage.folder import StudyRecord
from trainables.result import Metric


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


def draw_best_so_far(progress: pd.DataFrame, ylabel: str, path: Path) -> None:
    """Draw the best value so far against finished trials and against training time (`best_so_far`)."""
    theme()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
    blue, orange = sns.color_palette("colorblind")[:2]
    for axis, along, label in zip(
        axes, ("count", "minutes"), ("finished trials", "training time of all trials, minutes"), strict=True
    ):
        axis.scatter(progress[along], progress["metric"], s=26, color=blue, alpha=0.6, label="a trial")
        axis.step(progress[along], progress["best"], where="post", color=orange, lw=2.4, label="best so far")
        axis.set(xlabel=label, ylabel=ylabel)
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(frameon=False)
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    if shown.domains:
        draw_best_so_far(best_so_far(shown.study, shown.metric), shown.metric.name, path)


def _seen(shown: Shown) -> str:
    if not shown.domains:
        return ""
    progress, name = best_so_far(shown.study, shown.metric), shown.metric.name
    first, last = progress.iloc[0], progress.iloc[-1]
    reached = progress[progress["best"] == last["best"]].iloc[0]
    return (
        f"The best {name} goes from {number(first['best'])} after the first trial to {number(last['best'])}, "
        f"reached with trial {int(reached['trial'])}, number {int(reached['count'])} of {int(last['count'])}."
    )


BEST_SO_FAR = Figure(
    "best_so_far.png",
    "The best validation value so far, against trials and against the training time they took. It is a single trial's, "
    "luck included: what it is worth under new seeds is another figure's.",
    _draw,
    _seen,
)
