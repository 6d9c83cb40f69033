"""Drawing, and nothing else: the only importer of seaborn and matplotlib. Colours are safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from numpy.typing import NDArray

from search_spaces.domain import Choice, Domain, LogUniform

DPI = 130
FEW_STYLES = ["o", "s", "D", "^", "v", "P"]


def _theme() -> None:
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette="colorblind",
        rc={"axes.spines.right": False, "axes.spines.top": False},
    )


def draw_losses(curves: pd.DataFrame, path: Path) -> None:
    """Draw training and validation loss side by side, one colour a trial; thin: as measured, thick: moving average."""
    _theme()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    labels = list(dict.fromkeys(curves["label"]))
    palette = dict(zip(labels, sns.color_palette("colorblind", len(labels)), strict=True))
    for axis, split in zip(axes, ("training", "validation"), strict=True):
        part = curves[curves["split"] == split]
        sns.lineplot(part, x="epoch", y="loss", hue="label", palette=palette, ax=axis, alpha=0.35, lw=1, legend=False)
        sns.lineplot(
            part, x="epoch", y="smooth", hue="label", palette=palette, ax=axis, lw=2.4, legend=split == "training"
        )
        axis.set(title=split, xlabel="epoch", ylabel="loss")
        axis.xaxis.get_major_locator().set_params(integer=True)
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].get_legend().remove()
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), frameon=False)
    _save(figure, path)


def draw_axes(points: pd.DataFrame, domains: Mapping[str, Domain], ylabel: str, best: int, path: Path) -> None:
    """Draw a panel for each varied parameter: trials at their best epoch, one marker an arm, the best ringed."""
    _theme()
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
            values = of_arm["value"] if isinstance(domain, Choice) else of_arm["value"].astype(float)
            axis.scatter(
                values,
                of_arm["metric"],
                label=arm,
                s=46,
                marker=FEW_STYLES[number % 6],
                edgecolor="white",
                color=sns.color_palette("colorblind")[number % 10],
            )
        winner = own[own["trial"] == best]
        axis.scatter(winner["value"], winner["metric"], s=190, facecolor="none", edgecolor="black", lw=1.6)
        axis.set(xlabel=name, ylabel=ylabel)
    for axis in list(grid.flat)[len(paths) :]:
        axis.set_visible(False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False)
    _save(figure, path)


def draw_pairs(first: NDArray[np.float32], second: NDArray[np.float32], titles: Sequence[str], path: Path) -> None:
    """Draw pairs of chips (K, 75, 75, 3), values in [0, 1], one pair a column, with a title each."""
    _theme()
    figure, grid = plt.subplots(2, len(titles), figsize=(1.9 * len(titles), 4.2), squeeze=False, layout="constrained")
    for column, title in enumerate(titles):
        for row, chips in enumerate((first, second)):
            grid[row, column].imshow(chips[column], interpolation="nearest")
            grid[row, column].set_axis_off()
        grid[0, column].set_title(title, fontsize=11)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.part.png")
    figure.savefig(aside, dpi=DPI)
    plt.close(figure)
    aside.replace(path)
