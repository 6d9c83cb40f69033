"""Drawing, and nothing else: the only importer of seaborn and matplotlib. Colours are safe for colour-blind readers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"  # Jupyter and Colab name their kernel's own here, which our environment may not have

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
            values = of_arm["value"].astype(str if isinstance(domain, Choice) else float)
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
        values = winner["value"].astype(str if isinstance(domain, Choice) else float)
        axis.scatter(values, winner["metric"], s=190, facecolor="none", edgecolor="black", lw=1.6)
        axis.set(xlabel=name, ylabel=ylabel)
    for axis in list(grid.flat)[len(paths) :]:
        axis.set_visible(False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False)
    _save(figure, path)


def draw_best_epochs(counts: pd.DataFrame, late: float, path: Path) -> None:
    """Draw how many trials were best at each epoch (columns epoch, trials), the leading ones apart (column leading).

    A line marks the share `late` of all epochs, beyond which the playbook asks for longer training.
    """
    _theme()
    figure, axis = plt.subplots(figsize=(10, 3.2), layout="constrained")
    blue, orange = sns.color_palette("colorblind")[:2]
    axis.bar(counts["epoch"], counts["trials"], color=blue, label="all trials")
    axis.bar(counts["epoch"], counts["leading"], color=orange, hatch="//", edgecolor="white", label="the leading five")
    axis.axvline(late * counts["epoch"].max() + 0.5, color="black", ls="--", lw=1.2, label="last quarter begins")
    axis.set(xlabel="best epoch", ylabel="trials", xlim=(0.4, counts["epoch"].max() + 0.6))
    for numbers in (axis.xaxis, axis.yaxis):
        numbers.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False, loc="upper left")
    _save(figure, path)


def draw_candidates(runs: pd.DataFrame, xlabel: str, path: Path) -> None:
    """Draw every run under a new seed, a row for each config (`verdict.candidate_runs`); a bar marks each mean.

    Runs of the race, which chose, are hollow; those under fresh seeds, which decide, are filled; a cross died.
    """
    _theme()
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
    _save(figure, path)


def draw_best_so_far(progress: pd.DataFrame, ylabel: str, path: Path) -> None:
    """Draw the best value so far against finished trials and against training time (`curves.best_so_far`)."""
    _theme()
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
    _save(figure, path)


def draw_importance(shares: Mapping[str, float], path: Path) -> None:
    """Draw each parameter's share of the importance as a bar, the largest on top."""
    _theme()
    figure, axis = plt.subplots(figsize=(10, 1.0 + 0.45 * len(shares)), layout="constrained")
    names, values = list(shares), [100 * share for share in shares.values()]
    bars = axis.barh(names[::-1], values[::-1], color=sns.color_palette("colorblind")[0])
    axis.bar_label(bars, fmt="%.0f %%", padding=3)
    axis.set(xlabel="share of importance, %", xlim=(0, 1.12 * max(values)))
    _save(figure, path)


def draw_parallel(points: pd.DataFrame, domains: Mapping[str, Domain], ylabel: str, best: int, path: Path) -> None:
    """Draw a line a trial across all parameters' axes, the better the darker; a gap where it lacks one.

    `points` as `curves.parallel_points` gives them, best first. Each axis is scaled as it was sampled, its ends named.
    """
    _theme()
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
            else {0.0: f"{domain.to_dict()['low']:.3g}", 1.0: f"{domain.to_dict()['high']:.3g}"}
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
    _save(figure, path)


def draw_runs(curves: pd.DataFrame, path: Path) -> None:
    """Draw a panel for each role: training and validation loss, thin for each seed, thick for the mean, smoothed.

    `curves` has the columns role, seed, split, epoch, loss, smooth, as `curves.run_curves` gives them.
    """
    _theme()
    roles = list(dict.fromkeys(curves["role"]))
    figure, axes = plt.subplots(
        1, len(roles), figsize=(4.4 * len(roles), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    palette = dict(zip(("training", "validation"), sns.color_palette("colorblind")[:2], strict=True))
    for axis, role in zip(axes[0], roles, strict=True):
        own = curves[curves["role"] == role]
        for split, style in (("training", "-"), ("validation", "--")):
            part = own[own["split"] == split]
            for _, run in part.groupby("seed"):
                axis.plot(run["epoch"], run["loss"], color=palette[split], lw=0.8, alpha=0.3)
            mean = part.groupby("epoch")["smooth"].mean()
            axis.plot(mean.index, mean, style, color=palette[split], lw=2.4, label=split)
        axis.set(title=role, xlabel="epoch", ylabel="loss")
        axis.xaxis.get_major_locator().set_params(integer=True)
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    _save(figure, path)


@dataclass(frozen=True)
class PairPicture:
    """Both chips (75, 75, 3) of a pair, their relevance (75, 75), truth, answer and probability of similar."""

    chips: tuple[NDArray[np.generic], NDArray[np.generic]]
    maps: tuple[NDArray[np.float32], NDArray[np.float32]]
    truth: str
    answer: str
    probability: float


def draw_saliency(pairs: Sequence[PairPicture], path: Path) -> None:
    """Draw each pair as a column of two blocks: both chips side by side, and under them where the answer comes from."""
    _theme()
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, grid = plt.subplots(
        2 * rows, 2 * columns, figsize=(4.1 * columns, 4.4 * rows), squeeze=False, layout="constrained"
    )
    for axis in grid.flat:
        axis.set_axis_off()
    shown = None
    for place, pair in enumerate(pairs):
        row, column = 2 * (place // columns), 2 * (place % columns)
        limit = max(float(np.abs(pair.maps).max()), 1e-12)
        for side in (0, 1):
            grey = pair.chips[side].astype(np.float32).mean(-1)
            grid[row, column + side].imshow(grey, cmap="gray", interpolation="nearest")
            grid[row + 1, column + side].imshow(grey, cmap="gray", interpolation="nearest")
            shown = grid[row + 1, column + side].imshow(
                pair.maps[side] / limit, cmap="PuOr", vmin=-1, vmax=1, alpha=0.65, interpolation="bilinear"
            )
        verdict = "right" if pair.truth == pair.answer else "WRONG"
        title = f"{verdict}: {pair.truth}, called {pair.answer}\n(probability of similar {pair.probability:.0%})"
        grid[row, column].set_title(title, fontsize=11, loc="left")
    if shown is not None:
        bar = figure.colorbar(shown, ax=grid, location="bottom", shrink=0.5, aspect=40, ticks=[-1, 0, 1])
        bar.ax.set_xticklabels(["speaks for different", "0", "speaks for similar"])
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
