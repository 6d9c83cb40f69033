"""Where the selected verifier looks: drawn by studies/saliency.py, which has the chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.figures.canvas import plt, save, theme
from analysis.figures.figure import Figure


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
    theme()
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
    save(figure, path)


SALIENCY = Figure(
    "saliency.png",
    "Where the selected verifier looks: validation pairs it is sure of, right and wrong (HiResCAM).",
)
