"""Every varied parameter against the metric (playbook: axis plots)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.canvas import MARKERS, plt, save, sns, theme
from analysis.figures.figure import Figure, span
from analysis.selection import ranked
from analysis.shown import Shown
from search_spaces.domain import Choice, Domain, LogUniform
from storage.folder import StudyRecord
from trainables.result import Metric

LEADING = 4  # trials of which it is said where they lie; a quarter of them where there are more


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


def draw_axes(points: pd.DataFrame, domains: Mapping[str, Domain], ylabel: str, best: int, path: Path) -> None:
    """Draw a panel for each varied parameter: trials at their best epoch, one marker an arm, the best ringed."""
    theme()
    paths = list(domains)
    columns = min(3, len(paths))
    rows = -(-len(paths) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.9 * columns, 3.3 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    arms = list(dict.fromkeys(points["arm"]))
    for axis, name in zip(grid.flat, paths, strict=False):
        own, domain = points[points["path"] == name], domains[name]
        if isinstance(domain, LogUniform):
            axis.set_xscale(
                "symlog" if (own["value"] <= 0).any() else "log",
                **({"linthresh": domain.low} if (own["value"] <= 0).any() else {}),
            )
        for number, arm in enumerate(arms):
            of_arm = own[own["arm"] == arm]
            values = of_arm["value"].astype(str if isinstance(domain, Choice) else float)
            axis.scatter(
                values,
                of_arm["metric"],
                label=arm,
                s=46,
                marker=MARKERS[number % 6],
                edgecolor="white",
                color=sns.color_palette("colorblind")[number % 10],
            )
        winner = own[own["trial"] == best]
        values = winner["value"].astype(str if isinstance(domain, Choice) else float)
        axis.scatter(values, winner["metric"], s=190, facecolor="none", edgecolor="black", lw=1.6)
        axis.set(xlabel=name, ylabel=ylabel)
    for axis in list(grid.flat)[len(paths) :]:
        axis.set_visible(False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False)
    save(figure, path)


def leading_ranges(shown: Shown, verb: str) -> str:
    """Return a sentence of how many best trials `verb` where on each axis."""
    best = ranked(shown.study.finished, shown.metric)
    leading = best.head(max(LEADING, len(best) // 4))
    known = [path for path in shown.domains if path in leading and leading[path].notna().any()]
    ranges = "; ".join(f"{path} {span(leading[path])}" for path in known)
    return f"The {len(leading)} best {verb} {ranges}."


def _draw(shown: Shown, path: Path) -> None:
    if shown.domains and shown.trial is not None:
        points = axis_points(shown.study, shown.metric, list(shown.domains))
        draw_axes(points, shown.domains, f"best {shown.metric.name}", shown.trial, path)


def _seen(shown: Shown) -> str:
    if not shown.domains:
        return ""
    return f"{len(shown.study.finished)} finished trials. {leading_ranges(shown, 'lie at')}"


AXES = Figure(
    "axes.png",
    "Every varied parameter: a point is a finished trial at its best epoch, the ring the selected one.",
    _draw,
    _seen,
)
