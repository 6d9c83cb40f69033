"""What all drawings share: the only importer of seaborn and matplotlib, and colours safe for colour-blind readers."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"  # Jupyter and Colab name their kernel's own here, which our environment may not have

import matplotlib.pyplot as plt
import seaborn as sns

__all__ = ["MARKERS", "plt", "save", "sns", "theme"]

DPI = 130
MARKERS = ["o", "s", "D", "^", "v", "P"]


def theme() -> None:
    """Set what all figures look alike in."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette="colorblind",
        rc={"axes.spines.right": False, "axes.spines.top": False},
    )


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure whole or not at all, and close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.part.png")
    figure.savefig(aside, dpi=DPI)
    plt.close(figure)
    aside.replace(path)
