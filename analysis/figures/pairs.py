"""Training pairs: drawn by studies/training_pairs.py, which has the chips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.figures.canvas import plt, save, theme
from analysis.figures.figure import Figure


def draw_pairs(first: NDArray[np.float32], second: NDArray[np.float32], titles: Sequence[str], path: Path) -> None:
    """Draw pairs of chips (K, 75, 75, 3), values in [0, 1], one pair a column, with a title each."""
    theme()
    figure, grid = plt.subplots(2, len(titles), figsize=(1.9 * len(titles), 4.2), squeeze=False, layout="constrained")
    for column, title in enumerate(titles):
        for row, chips in enumerate((first, second)):
            grid[row, column].imshow(chips[column], interpolation="nearest")
            grid[row, column].set_axis_off()
        grid[0, column].set_title(title, fontsize=11)
    save(figure, path)


PAIRS = Figure(
    "pairs.png",
    "Five training pairs as the paper's augmentation changes them: flips and greyscale at random, "
    "theta 0.7 (a stage that does not augment trains on them unchanged).",
)
