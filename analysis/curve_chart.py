"""The chart of every trial's curve that the page draws by itself, so that a curve can say whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.selection import ranked
from storage.folder import StudyRecord
from trainables.result import Metric

MOST = 100  # curves that an eye can still tell apart, and a page still carries
WIDTH, HEIGHT = 920, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 12, 40
COLOURS = 6  # of the page's style


@dataclass(frozen=True)
class Curve:
    """One trial's line: its points as SVG writes them, what it says when pointed at, and the number of its colour."""

    trial: int
    colour: int
    points: str
    says: str


@dataclass(frozen=True)
class Chart:
    """Curves, worst first so that the best lie on top, and the ticks of both axes: (pixel, text)."""

    curves: tuple[Curve, ...]
    arms: Mapping[str, int]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    ylabel: str
    left_out: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def curve_chart(study: StudyRecord, metric: Metric, varied: Sequence[str]) -> Chart | None:
    """Return the chart of the study's best trials (at most `MOST`, and trial 0); None without a finished one.

    `varied` are the paths that a curve names. The range of the ordinate leaves out the worst twentieth of
    all points: one diverging curve would flatten the others.
    """
    best = ranked(study.finished, metric)
    if best.empty:
        return None
    shown = best[(np.arange(len(best)) < MOST) | (best["trial"] == 0)]
    curves = {
        int(str(number)): own.sort_values("epoch")[["epoch", metric.name]].to_numpy(dtype=float)
        for number, own in study.epochs[study.epochs["trial"].isin(shown["trial"])].groupby("trial")
    }
    values = np.concatenate([curve[:, 1] for curve in curves.values()])
    worst = (5, 100) if metric.goal == "max" else (0, 95)
    low, high = np.percentile(values, worst)
    low, high = (low - 1e-6, high + 1e-6) if high - low < 1e-9 else (low, high)
    last = max(2.0, max(curve[-1, 0] for curve in curves.values()))
    arms = {str(arm): place % COLOURS for place, arm in enumerate(study.manifest.arms)}

    def x(epoch: float) -> float:
        return float(LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT))

    def y(value: float) -> float:
        return float(TOP + (high - np.clip(value, low, high)) / (high - low) * (HEIGHT - TOP - BOTTOM))

    drawn = tuple(
        Curve(
            trial=int(trial["trial"]),
            colour=arms.get(str(trial["arm"]), COLOURS - 1),
            points=" ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in curves[int(trial["trial"])]),
            says=_says(trial.to_dict(), metric, varied),
        )
        for _, trial in shown.iloc[::-1].iterrows()
    )
    step = max(1, round(last / 8))
    return Chart(
        curves=drawn,
        arms={arm: colour for arm, colour in arms.items() if arm in set(shown["arm"])},
        x_ticks=tuple((x(epoch), str(epoch)) for epoch in range(step, int(last) + 1, step)),
        y_ticks=tuple((y(value), f"{value:.3g}") for value in np.linspace(low, high, 5)),
        ylabel=metric.name,
        left_out=len(best) - len(shown),
    )


def _says(trial: Mapping[Any, Any], metric: Metric, varied: Sequence[str]) -> str:
    """What a curve says of its trial: number, arm, best value, and its parameters."""
    values = ", ".join(f"{path} {_text(trial[path])}" for path in varied if _text(trial[path]))
    head = f"trial {trial['trial']}, {trial['arm']}: {metric.name} {trial[metric.name]:.4f} in epoch "
    return f"{head}{int(trial['best_epoch'])} of {trial['epochs']}; {values}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)
