"""One figure of the page as a value: its file, its caption, how it is drawn, and what is seen in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.shown import Shown

WINDOW = 3  # epochs of the moving average


def _nothing(shown: Shown) -> str:
    return ""


@dataclass(frozen=True)
class Figure:
    """A picture of the page. `draw` writes it to a path, or nothing where there is nothing to show; None: whoever has
    the chips draws it. `seen` says what a reader who cannot see it should hear, "" where the caption says it.
    """

    file: str
    caption: str
    draw: Callable[[Shown, Path], None] | None = None
    seen: Callable[[Shown], str] = _nothing


def smooth(losses: pd.Series[float]) -> pd.Series[float]:
    """Return the centred moving average of a curve."""
    return losses.rolling(WINDOW, center=True, min_periods=1).mean()


def span(values: pd.Series[Any]) -> str:
    """Return in words where values lie: from the least to the greatest, or each of them."""
    known = values.dropna()
    if known.dtype.kind in "if" and known.min() < known.max():
        return f"{number(known.min())} to {number(known.max())}"
    return ", ".join(dict.fromkeys(number(value) for value in known))


def number(value: Any) -> str:
    """Return a number as people read it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
