"""Every run under a new seed: what the race chose by, and what decides."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure
from analysis.shown import Shown
from analysis.verdict import candidate_runs


def draw_candidates(runs: pd.DataFrame, xlabel: str, path: Path) -> None:
    """Draw every run under a new seed, a row for each config (`verdict.candidate_runs`); a bar marks each mean.

    Runs of the race, which chose, are hollow; those under fresh seeds, which decide, are filled; a cross died.
    """
    theme()
    labels = list(dict.fromkeys(runs["label"]))
    figure, axis = plt.subplots(figsize=(10, 1.1 + 0.42 * len(labels)), layout="constrained")
    blue, orange = sns.color_palette("colorblind")[:2]
    place = runs["label"].map(labels.index)
    for shown, options in (
        (runs["fresh"] & ~runs["died"], {"color": blue, "label": "fresh seed: decides"}),
        (~runs["fresh"] & ~runs["died"], {"facecolors": "none", "edgecolors": blue, "label": "race: chose"}),
        (runs["died"], {"color": orange, "marker": "x", "label": "died"}),
    ):
        if shown.any():
            axis.scatter(runs.loc[shown, "value"], place[shown], s=30, **options)
    means = runs.groupby("label")["value"].mean()
    for row, label in enumerate(labels):
        axis.vlines(means[label], row - 0.32, row + 0.32, color="black", lw=2, label=None if row else "mean")
    axis.set(xlabel=xlabel, ylabel="", yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.5, -0.5))
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    runs = candidate_runs(shown.study)
    if len(runs):
        draw_candidates(runs, f"best {shown.metric.name} of a run", path)


CANDIDATES = Figure(
    "candidates.png",
    "Every run under a new seed of the start and of the candidates that were raced, best first. "
    "The race's runs chose; those under fresh seeds decide.",
    _draw,
)
