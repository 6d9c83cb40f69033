"""Chips where they are trained on: on a device as they were read, and batches that name some of them."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.augment import GREY, Warps, gather, warp
from trainables.data import Images, Part, TrialData
from trainables.pairs import Pairs, draw_pairs

FRESH = 0xF2E5  # marks the stream of new partners among those of the same seed
RESIZED_TOGETHER = 1024  # chips: torch resizes bytes as floats


@dataclass(frozen=True)
class StoredChips:
    """Chips on a device as read: `pixels` (M, S, S, 3) uint8 or float32, and on the CPU `mean` and `sd` (3,)."""

    pixels: Tensor
    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, images: Images, mean: NDArray[np.float32], sd: NDArray[np.float32], device: str = "cpu") -> StoredChips:
        """Put images (M, S, S, 3) on `device`, to be normalised by `mean` and `sd` (3,); on the CPU, no copy."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # Ray's are not; nor do we write
            pixels = torch.from_numpy(np.ascontiguousarray(images))
        return cls(pixels.to(device), torch.tensor(mean), torch.tensor(sd))

    @functools.cached_property
    def normalised(self) -> Tensor:
        """All chips as floats (M, 3, S, S) in channels_last memory: made when first asked for, then kept."""
        device = self.pixels.device
        return ((self.pixels.float() - self.mean.to(device)) / self.sd.to(device)).permute(0, 3, 1, 2)

    def at(self, side: int) -> StoredChips:
        """Return the chips resized to `side` with antialiasing; made when first asked for, then kept."""
        if side == self.pixels.shape[1]:
            return self
        if side not in self._resized:
            from torchvision.transforms.v2 import functional as vision  # a second to load, for this alone

            blocks = [block.permute(0, 3, 1, 2) for block in torch.split(self.pixels, RESIZED_TOGETHER)]
            small = [vision.resize(block, [side, side], antialias=True).permute(0, 2, 3, 1) for block in blocks]
            self._resized[side] = replace(self, pixels=torch.cat(small).contiguous())
        return self._resized[side]

    @functools.cached_property
    def _resized(self) -> dict[int, StoredChips]:
        return {}

    def batch(self, chips: Tensor, views: Tensor | None = None, warps: Warps | None = None) -> Batch:
        """Return the chips numbered `chips` (B,), each seen as `views` (B,) and `warps` say (trainables/augment.py)."""
        return Batch(self, chips, views, warps)

    def batches(self, size: int) -> list[Batch]:
        """Return all chips in order, at most `size` in a batch."""
        return [self.batch(chips) for chips in torch.split(torch.arange(len(self.pixels)), size)]


@dataclass(frozen=True)
class Batch:
    """Which of the stored chips are looked at, and how: nothing is copied before somebody asks for it."""

    stored: StoredChips
    chips: Tensor
    views: Tensor | None = None
    warps: Warps | None = None

    def shown(self, side: int, grey: bool) -> Batch:
        """Return the same chips at `side`, and without colour if `grey`."""
        views = self.views
        if grey:
            views = GREY | (torch.zeros(len(self.chips), dtype=torch.uint8) if views is None else views)
        return replace(self, stored=self.stored.at(side), views=views)

    def normalised(self) -> Tensor:
        """Return the chips as floats (B, 3, S, S) in channels_last memory."""
        seen = gather(self.stored.normalised, self.chips, self.views)
        return seen if self.warps is None else warp(seen, self.warps, -self.stored.mean / self.stored.sd)


@dataclass(frozen=True)
class Tensors:
    """One part on a device: its chips, and pairs of their numbers (P,); `part` is what it was loaded from."""

    chips: StoredChips
    first: Tensor
    second: Tensor
    target: Tensor
    part: Part

    def with_fresh_pairs(self, seed: int, epoch: int) -> Tensors:
        """Return the same chips in new pairs, as many and as balanced, which follow from `seed` and `epoch` alone."""
        rng = np.random.default_rng([seed, epoch, FRESH])
        first, second, target = _on_device(
            draw_pairs(self.part.labels, rng, groups=self.part.groups), self.target.device
        )
        return replace(self, first=first, second=second, target=target)


def load(part: Part, data: TrialData, device: str = "cpu") -> Tensors:
    """Put one part on `device`, to be normalised with the training statistics of `data`, once for many trials."""
    chips = StoredChips.of(part.images, data.mean, data.sd, device)
    return Tensors(chips, *_on_device(part.pairs, torch.device(device)), part)


def _on_device(pairs: Pairs, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    first, second, target = (torch.tensor(values).to(device) for values in (pairs.first, pairs.second, pairs.target))
    return first, second, target
