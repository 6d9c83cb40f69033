"""When trials were best: the number of epochs is read, never searched (playbook)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.checks import LATE, TOP
from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure
from analysis.selection import ranked
from analysis.shown import Shown
from storage.folder import StudyRecord
from trainables.result import Metric


def best_epoch_counts(study: StudyRecord, metric: Metric, leading: int) -> pd.DataFrame:
    """Return for each epoch how many finished trials were best there, and how many of the `leading` ones.

    Columns: epoch (1 to the longest trial's), trials, leading.
    """
    best = ranked(study.finished, metric)
    epochs = np.arange(1, int(best["epochs"].max()) + 1)
    counts = [
        part["best_epoch"].astype(int).value_counts().reindex(epochs, fill_value=0).to_numpy()
        for part in (best, best.head(leading))
    ]
    return pd.DataFrame({"epoch": epochs, "trials": counts[0], "leading": counts[1]})


def draw_best_epochs(counts: pd.DataFrame, late: float, path: Path) -> None:
    """Draw how many trials were best at each epoch (columns epoch, trials), the leading ones apart (column leading).

    A line marks the share `late` of all epochs, beyond which the playbook asks for longer training.
    """
    theme()
    figure, axis = plt.subplots(figsize=(10, 3.2), layout="constrained")
    blue, orange = sns.color_palette("colorblind")[:2]
    axis.bar(counts["epoch"], counts["trials"], color=blue, label="all trials")
    axis.bar(counts["epoch"], counts["leading"], color=orange, hatch="//", edgecolor="white", label="the leading five")
    axis.axvline(late * counts["epoch"].max() + 0.5, color="black", ls="--", lw=1.2, label="last quarter begins")
    axis.set(xlabel="best epoch", ylabel="trials", xlim=(0.4, counts["epoch"].max() + 0.6))
    for numbers in (axis.xaxis, axis.yaxis):
        numbers.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False, loc="upper left")
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    if shown.domains:
        draw_best_epochs(best_epoch_counts(shown.study, shown.metric, TOP), LATE, path)


def _seen(shown: Shown) -> str:
    if not shown.domains:
        return ""
    counts = best_epoch_counts(shown.study, shown.metric, TOP)
    some = counts[counts["trials"] > 0]
    common = int(counts["epoch"].iloc[int(counts["trials"].argmax())])
    return (
        f"Trials were best in epochs {int(some['epoch'].min())} to {int(some['epoch'].max())} of "
        f"{int(counts['epoch'].max())}, most often in epoch {common}."
    )


BEST_EPOCHS = Figure(
    "best_epochs.png",
    "When trials were best: the playbook never searches the number of epochs, it reads it here.",
    _draw,
    _seen,
)
