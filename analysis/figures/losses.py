"""Training and validation loss of the best trials and of the start."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure, number, smooth
from analysis.selection import ranked
from analysis.shown import Shown
from storage.folder import StudyRecord
from trainables.result import Metric


def loss_curves(study: StudyRecord, metric: Metric, top: int = 4) -> pd.DataFrame:
    """Return training and validation loss of the best trials and of trial 0, smoothed by a centred moving average.

    Columns: trial, label, split (training, validation), epoch, loss, smooth; best trial first.
    """
    best = ranked(study.finished, metric).head(top)
    if 0 in set(study.finished["trial"]) and 0 not in set(best["trial"]):
        best = pd.concat([best, study.finished[study.finished["trial"] == 0]])
    frames = []
    for _, trial in best.iterrows():
        curve = study.epochs[study.epochs["trial"] == trial["trial"]].sort_values("epoch")
        for split, column in (("training", "train_loss"), ("validation", "val_loss")):
            name = f"trial {trial['trial']}, {trial['arm']}" + (" (start)" if trial["trial"] == 0 else "")
            frames.append(
                pd.DataFrame(
                    {
                        "trial": trial["trial"],
                        "label": name,
                        "split": split,
                        "epoch": curve["epoch"],
                        "loss": curve[column],
                        "smooth": smooth(curve[column]),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def draw_losses(curves: pd.DataFrame, path: Path) -> None:
    """Draw training and validation loss side by side, one colour a trial; thin: as measured, thick: moving average."""
    theme()
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
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    draw_losses(loss_curves(shown.study, shown.metric), path)


def _seen(shown: Shown) -> str:
    """From where to where each trial's losses go."""
    sentences = []
    for label, own in loss_curves(shown.study, shown.metric).groupby("label", sort=False):
        parts = [
            f"{split} loss from {number(part['loss'].iloc[0])} to {number(part['loss'].iloc[-1])}"
            for split, part in own.groupby("split", sort=False)
        ]
        sentences.append(f"{label}: {' and '.join(parts)}.")
    return " ".join(sentences)


LOSSES = Figure(
    "losses.png",
    "Loss of the best trials and of the starting config (trial 0). "
    "Thin: as measured; thick: moving average over 3 epochs.",
    _draw,
    _seen,
)
