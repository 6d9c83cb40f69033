"""Training-time augmentation: how each chip of a batch is seen, and a batch gathered so.

Flips and grey are the paper's (section 1.2); crops, turns and brightness are for other encoders than its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.config import Augmentation

# trainables/encoder.c has the same numbers
HORIZONTAL, VERTICAL, GREY = 1, 2, 4
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma, as torchvision's Grayscale uses


def draw_views(count: int, augmentation: Augmentation, generator: Generator) -> Tensor | None:
    """Return how each of `count` chips is seen, (count,) uint8 on the CPU; None where none can be changed.

    A view is the sum of HORIZONTAL, VERTICAL (flips) and GREY: each transform that is on hits each chip by its own draw
    of probability theta.
    """
    on = (augmentation.horizontal_flip, augmentation.vertical_flip, augmentation.greyscale)
    if augmentation.theta == 0 or not any(on):
        return None
    # all three are drawn whatever is on: switching one off leaves the others' draws as they are
    hits = torch.rand((3, count), generator=generator) < augmentation.theta
    bits = torch.tensor([HORIZONTAL, VERTICAL, GREY], dtype=torch.uint8) * torch.tensor(on)
    return (hits * bits[:, None]).sum(0, dtype=torch.uint8)


def gather(images: Tensor, chips: Tensor, views: Tensor | None) -> Tensor:
    """Return images[chips] (B, 3, H, W), each flipped and turned grey as `views` (B,) says.

    `images` (M, 3, H, W) is channels_last and stays as it is; so is the result. A flip costs nothing: it is part of the
    index of the gather.
    """
    if views is None:
        return images[chips]
    horizontal, vertical, grey = ((views & bit).bool().to(images.device) for bit in (HORIZONTAL, VERTICAL, GREY))
    height, width = images.shape[-2:]
    rows = _positions(height, vertical)
    columns = _positions(width, horizontal)
    pixel = (chips[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).index_select(0, pixel.flatten())
    if grey.any():
        pixels = torch.bmm(pixels.view(len(chips), -1, 3), _colour_matrices(grey))
    return pixels.view(len(chips), height, width, 3).permute(0, 3, 1, 2)


def _positions(size: int, flipped: Tensor) -> Tensor:
    """Row or column numbers (B, size), counted backwards where `flipped` (B,)."""
    forward = torch.arange(size, device=flipped.device)
    return torch.where(flipped[:, None], forward.flip(0), forward)


def _colour_matrices(grey: Tensor) -> Tensor:
    """3 x 3 matrices (B, 3, 3) that multiply a pixel from the right: the identity, or three equal luma channels."""
    luma = torch.tensor(GREY_WEIGHTS, device=grey.device)[:, None].expand(3, 3)
    return torch.where(grey[:, None, None], luma, torch.eye(3, device=grey.device))


@dataclass(frozen=True)
class Warps:
    """How chips are cropped, turned and lit.

    `place` (B, 2, 3) takes a place of what is seen to one of the chip, both from -1 to 1; `light` (B,) is what pixels
    are multiplied by; `moved` (B,) says which chips are cropped or turned at all.
    """

    place: Tensor
    light: Tensor
    moved: Tensor


def draw_warps(count: int, augmentation: Augmentation, generator: Generator) -> Warps | None:
    """Return how each of `count` chips is cropped, turned and lit, on the CPU; None where none is.

    Each of the three hits each chip by its own draw of probability theta, and how much of it is uniform.
    """
    most = torch.tensor([augmentation.crop, augmentation.turn, augmentation.brightness])
    if augmentation.theta == 0 or not most.any():
        return None
    # all are drawn whatever is on, as in `draw_views`
    hits = torch.rand((3, count), generator=generator) < augmentation.theta
    share, right, down, turned, lit = torch.rand((5, count), generator=generator)
    crop, turn, brightness = hits * most[:, None]
    kept = 1 - crop * share
    angle = turn * (2 * turned - 1) * math.pi / 180
    sine, cosine = kept * torch.sin(angle), kept * torch.cos(angle)
    across, along = (1 - kept) * (2 * right - 1), (1 - kept) * (2 * down - 1)
    place = torch.stack([torch.stack([cosine, -sine, across], 1), torch.stack([sine, cosine, along], 1)], 1)
    return Warps(place, 1 + brightness * (2 * lit - 1), (crop > 0) | (turn > 0))


def warp(images: Tensor, warps: Warps, black: Tensor) -> Tensor:
    """Return normalised images (B, 3, S, S) as `warps` says, `black` (3,) being what a pixel of 0 is among them.

    Sampled linearly; what a turn brings in from outside is the mirror image. `images` themselves are changed.
    """
    moved = warps.moved.to(images.device)
    if moved.any():
        own = images[moved]
        grid = F.affine_grid(warps.place.to(images.device)[moved], list(own.shape), align_corners=False)
        images[moved] = F.grid_sample(own, grid, padding_mode="reflection", align_corners=False)
    lit = (warps.light != 1).to(images.device)
    if lit.any():
        light, black = warps.light.to(images.device)[lit, None, None, None], black.to(images.device)[:, None, None]
        images[lit] = black + light * (images[lit] - black)
    return images
