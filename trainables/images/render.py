"""Two radar bands as the three channels that the paper's network sees (method: Statoil chips as RGB)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def render_bands(hh: NDArray[np.float64], hv: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (H, W, 3) float32 from two bands (H, W) in dB: HH, HV, HH + HV, each (x - mean) / (max - min)."""
    chips: NDArray[np.float32] = render(np.stack([hh, hv, hh + hv], axis=-1)[None])
    return np.asarray(chips[0])


def render(chips: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return chips (N, H, W, 3) with each channel of each chip as (x - mean) / (max - min).

    A linear change of a channel changes nothing: a rendered chip that was kept as an 8-bit image comes back by this.
    """
    bands = chips.astype(np.float64)
    spread = np.maximum(bands.max((1, 2), keepdims=True) - bands.min((1, 2), keepdims=True), 1e-12)
    return np.asarray((bands - bands.mean((1, 2), keepdims=True)) / spread, dtype=np.float32)


def is_rendered(chips: NDArray[np.generic], tolerance: float = 0.02) -> bool:
    """Return whether every channel of every chip (N, H, W, 3) has mean 0 and range 1 (or is constant 0)."""
    mean = chips.mean((1, 2))
    spread = chips.max((1, 2)) - chips.min((1, 2))
    return bool((np.abs(mean) < tolerance).all() and ((np.abs(spread - 1) < tolerance) | (spread == 0)).all())
