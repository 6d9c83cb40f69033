"""Parallel coordinates: a line a trial across the axes of all parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.figures.axes import leading_ranges
from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure
from analysis.selection import ranked
from analysis.shown import Shown
from search_spaces.domain import Choice, Domain
from storage.folder import StudyRecord
from trainables.result import Metric


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


def draw_parallel(points: pd.DataFrame, domains: Mapping[str, Domain], ylabel: str, best: int, path: Path) -> None:
    """Draw a line a trial across all parameters' axes, the better the darker; a gap where it lacks one.

    `points` as `curves.parallel_points` gives them, best first. Each axis is scaled as it was sampled, its ends named.
    """
    theme()
    axes = list(domains)
    figure, axis = plt.subplots(figsize=(10, 4.4), layout="constrained")
    low_is_best = points["metric"].iloc[0] <= points["metric"].iloc[-1]
    norm = plt.Normalize(points["metric"].min(), points["metric"].max())
    scale = plt.cm.ScalarMappable(norm, "viridis" if low_is_best else "viridis_r")
    for _, trial in points.iloc[::-1].iterrows():  # the best on top
        chosen = trial["trial"] == best
        colour = "black" if chosen else scale.to_rgba(trial["metric"])
        style = "o-" if chosen else ".-"
        axis.plot(axes, [trial[name] for name in axes], style, color=colour, lw=2.6 if chosen else 1.2, alpha=0.85)
    for place, domain in enumerate(domains.values()):
        axis.axvline(place, color="grey", lw=0.8, zorder=0)
        marks = (
            {domain.position(option): str(option) for option in domain.options}
            if isinstance(domain, Choice)
            else {0.0: f"{domain.low:.3g}", 1.0: f"{domain.high:.3g}"}
        )
        for height, text in marks.items():
            below = not isinstance(domain, Choice) and height == 0
            axis.annotate(
                text,
                (place, height),
                xytext=(4, -12 if below else 5),
                textcoords="offset points",
                fontsize=9,
                color="dimgrey",
            )
    axis.set(ylim=(-0.12, 1.12), yticks=[])
    axis.set_xticks(range(len(axes)), [name.replace(".", "\n") for name in axes], fontsize=10)
    sns.despine(figure, left=True)
    figure.colorbar(scale, ax=axis, label=ylabel, pad=0.02)
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    if shown.domains and shown.trial is not None:
        points = parallel_points(shown.study, shown.metric, shown.domains)
        draw_parallel(points, shown.domains, f"best {shown.metric.name}", shown.trial, path)


def _seen(shown: Shown) -> str:
    if not shown.domains:
        return ""
    points = parallel_points(shown.study, shown.metric, shown.domains)
    gaps = int(points[list(shown.domains)].isna().any(axis=1).sum())
    return f"{len(points)} lines, {gaps} with a gap. {leading_ranges(shown, 'run through')}"


PARALLEL = Figure(
    "parallel.png",
    "Parallel coordinates: a line is a finished trial, the darker the better, black the selected one; "
    "it has a gap where its arm lacks a parameter, or its value lies outside the range.",
    _draw,
    _seen,
)
