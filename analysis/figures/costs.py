"""Accuracy against what it costs: seconds of training, and milliseconds a pair at use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.canvas import MARKERS, plt, save, sns, theme
from analysis.figures.figure import Figure, number
from analysis.shown import Shown
from storage.report_json import Cost


def cost_points(trials: pd.DataFrame, costs: Sequence[Cost]) -> pd.DataFrame:
    """Return a row for each finished trial of an arm in `costs`: arm, seconds, val_accuracy, milliseconds.

    `milliseconds` are those of the arm's best trial, which alone is timed, and missing elsewhere.
    """
    timed = pd.DataFrame([(cost.trial, cost.milliseconds) for cost in costs], columns=["trial", "milliseconds"])
    own = trials[trials["arm"].isin([cost.arm for cost in costs])]
    return own[["trial", "arm", "seconds", "val_accuracy"]].merge(timed, on="trial", how="left")


def draw_costs(points: pd.DataFrame, path: Path) -> None:
    """Draw accuracy against training seconds, a point a trial, and against milliseconds a pair, a point an arm."""
    theme()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    best = points[points["milliseconds"].notna()]
    for place, arm in enumerate(dict.fromkeys(points["arm"])):
        look = {"marker": MARKERS[place % len(MARKERS)], "color": sns.color_palette("colorblind")[place % 10]}
        for axis, cost in zip(axes, ("seconds", "milliseconds"), strict=True):
            own, chosen = (frame[frame["arm"] == arm] for frame in (points, best))
            axis.scatter(own[cost], 100 * own["val_accuracy"], s=26, alpha=0.5, **look)
            axis.scatter(chosen[cost], 100 * chosen["val_accuracy"], s=90, edgecolor="black", label=arm, **look)
    for axis, label in zip(axes, ("training, seconds", "at use, milliseconds a pair"), strict=True):
        axis.set(xscale="log", xlabel=label)
    axes[0].set(ylabel="best validation accuracy, %")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False)
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    if costs := shown.report.measured.costs:
        draw_costs(cost_points(shown.study.finished, costs), path)


def _seen(shown: Shown) -> str:
    said = [
        f"{cost.arm} {cost.val_accuracy:.1%} in {number(cost.seconds)} s, {number(cost.milliseconds)} ms a pair"
        for cost in shown.report.measured.costs or ()
    ]
    return "; ".join(said) + "." if said else ""


COSTS = Figure(
    "costs.png",
    "What each network reaches at which cost: a point is a finished trial at its best epoch, outlined the best of each "
    "arm. Seconds are those of the whole trial, beside the others that ran at once; milliseconds those of one pair on "
    "one thread, images read.",
    _draw,
    _seen,
)
