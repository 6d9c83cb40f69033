"""Loss of the retrained configs, in the stage that is examined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure, number, smooth
from analysis.shown import Shown
from storage.folder import StudyRecord

TITLES = {
    "baseline": "the paper's baseline",
    "paper": "the paper's final config",
    "selected": "the adopted config",
    "koch": "the same with Koch's initialisation",
}


def run_curves(study: StudyRecord, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return training and validation loss of every retrained run, by role in the order of `labels` (role to title).

    Columns: role, seed, split, epoch, loss, smooth (centred moving average). Roles without a run are left out.
    """
    frames = []
    for role, label in labels.items():
        for _, run in study.repeats[study.repeats["arm"] == role].iterrows():
            own = study.repeat_epochs[study.repeat_epochs["trial"] == run["trial"]].sort_values("epoch")
            for split, column in (("training", "train_loss"), ("validation", "val_loss")):
                frame = pd.DataFrame({"epoch": own["epoch"], "loss": own[column], "smooth": smooth(own[column])})
                frames.append(frame.assign(role=label, seed=run["seed"], split=split))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def draw_runs(curves: pd.DataFrame, path: Path) -> None:
    """Draw a panel for each role: training and validation loss, thin for each seed, thick for the mean, smoothed.

    `curves` has the columns role, seed, split, epoch, loss, smooth, as `run_curves` gives them.
    """
    theme()
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
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    if shown.study.manifest.judged == "test" and len(shown.called.repeats):
        draw_runs(run_curves(shown.called, TITLES), path)


def _seen(shown: Shown) -> str:
    judged = shown.study.manifest.judged
    runs = run_curves(shown.called, TITLES) if judged == "test" else pd.DataFrame()
    if runs.empty:
        return ""
    last = runs[(runs["split"] == "validation") & (runs["epoch"] == runs["epoch"].max())]
    means = last.groupby("role", sort=False)["loss"].mean()
    ends = "; ".join(f"{role} {number(value)}" for role, value in means.items())
    return f"Mean validation loss in the last epoch: {ends}."


RUNS = Figure(
    "runs.png",
    "Loss of the retrained configs: thin for each seed, thick for the mean (moving average over 3 epochs).",
    _draw,
    _seen,
)
