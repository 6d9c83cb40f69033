"""Two radar bands as the three channels that the report's network sees (method: Statoil chips as RGB)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def render_bands(hh: NDArray[np.float64], hv: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (H, W, 3) float32 from two bands (H, W) in dB: HH, HV, HH + HV, each (x - mean) / (max - min)."""
    bands = np.stack([hh, hv, hh + hv], axis=-1)
    spread = np.maximum(bands.max((0, 1)) - bands.min((0, 1)), 1e-12)
    return np.asarray((bands - bands.mean((0, 1))) / spread, dtype=np.float32)
