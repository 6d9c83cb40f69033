"""The figures of the page, a file each: the numbers behind it, how it is drawn, and what is seen in it."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.axes import AXES
from analysis.figures.best_epochs import BEST_EPOCHS
from analysis.figures.best_so_far import BEST_SO_FAR
from analysis.figures.candidates import CANDIDATES
from analysis.figures.costs import COSTS
from analysis.figures.figure import Figure
from analysis.figures.importance import IMPORTANCE
from analysis.figures.isolation import ISOLATION
from analysis.figures.losses import LOSSES
from analysis.figures.pairs import PAIRS
from analysis.figures.parallel import PARALLEL
from analysis.figures.runs import RUNS
from analysis.figures.saliency import SALIENCY
from analysis.page import Picture, embedded
from analysis.shown import Shown

__all__ = ["FIGURES", "Figure", "draw_figures", "pictures"]

FIGURES: tuple[Figure, ...] = (  # in the order of the page
    ISOLATION,
    CANDIDATES,
    COSTS,
    LOSSES,
    AXES,
    PARALLEL,
    IMPORTANCE,
    BEST_SO_FAR,
    BEST_EPOCHS,
    RUNS,
    SALIENCY,
    PAIRS,
)


def draw_figures(shown: Shown, folder: Path) -> None:
    """Draw every figure that a study has something to show in, of which a trial has finished."""
    for figure in FIGURES:
        if figure.draw:
            figure.draw(shown, folder / figure.file)


def pictures(shown: Shown, folder: Path) -> list[Picture]:
    """Return the figures that were drawn, for the page."""
    seen = {figure.file: figure.seen(shown) or figure.caption for figure in FIGURES} if shown.trial is not None else {}
    return embedded(folder, {figure.file: figure.caption for figure in FIGURES}, seen)
