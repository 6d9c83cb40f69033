"""The scale of a training set's numbers, so that other images can be brought to it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOPS = (1, 15, 16, 255, 1023, 4095, 65535)  # what arrays of pixels usually end at; 16 are scikit-learn's digits


@dataclass(frozen=True)
class Scale:
    """Numbers from 0 to `top`; `whole`: resizing rounded them; `files`: they were decoded from image files.

    Image files of more than eight bits are stretched (`trainables.images.pixels`),
    so they have the scale of files alone.
    """

    top: float
    whole: bool
    files: bool = False

    def bring(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return 8-bit chips (N, H, W, 3), as decoded from files, on this scale."""
        if self.top == 255:
            return chips.astype(np.float32)
        scaled = chips.astype(np.float32) * np.float32(self.top / 255)
        return np.round(scaled) if self.whole else scaled

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scale:
        """Return what `to_dict` wrote; raise ValueError, TypeError or KeyError for anything else."""
        top = float(values["top"])
        if not 0 < top < np.inf:
            raise ValueError("scale makes no sense")
        return cls(top, bool(values["whole"]), bool(values["files"]))


OF_FILES = Scale(255, whole=True, files=True)


def scale_of(numbers: NDArray[np.generic], whole: bool) -> Scale | None:
    """Return the scale of an array of images as a user gave it; None where its numbers do not say.

    The usual ends are tried in turn: the numbers must reach into the upper half below one, and begin at 0 or above.
    Bytes end at 255 however dark the images are, unless they hold no more than the few levels of a smaller scale.
    """
    low, high = float(numbers.min()), float(numbers.max())
    tops = [top for top in TOPS if top / 2 < high <= top * (1 + 1e-6)]
    if low < 0 or (high <= 16 and high not in (1, 15, 16) and numbers.dtype.kind in "ui"):
        return None
    if numbers.dtype == np.uint8 and high > 16:
        return Scale(255, whole)
    return Scale(tops[0], whole) if tops else None
