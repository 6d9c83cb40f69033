"""Training-time augmentation (report, section 1.2), done while a batch is gathered."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainables.config import Augmentation

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma, as torchvision's Grayscale uses


def gather(images: Tensor, chips: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Return images[chips] (B, 3, H, W), each flipped left-right, flipped up-down and turned grey at random.

    Each transform that is on hits each chip by its own draw of probability theta. `images` (M, 3, H, W) is
    channels_last and stays as it is; so is the result. A flip costs nothing: it is part of the index of the gather.
    """
    on = (augmentation.horizontal_flip, augmentation.vertical_flip, augmentation.greyscale)
    if augmentation.theta == 0 or not any(on):
        return images[chips]
    # all three are drawn whatever is on: switching one off leaves the others' draws as they are
    hits = torch.rand((3, len(chips)), generator=generator) < augmentation.theta
    horizontal, vertical, grey = (hits & torch.tensor(on)[:, None]).to(images.device)
    height, width = images.shape[-2:]
    rows = _positions(height, vertical)
    columns = _positions(width, horizontal)
    pixel = (chips[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).index_select(0, pixel.flatten())
    if augmentation.greyscale:
        pixels = torch.bmm(pixels.view(len(chips), -1, 3), _colour_matrices(grey))
    return pixels.view(len(chips), height, width, 3).permute(0, 3, 1, 2)


def _positions(size: int, mirrored: Tensor) -> Tensor:
    """Row or column numbers (B, size), counted backwards where `mirrored` (B,)."""
    forward = torch.arange(size, device=mirrored.device)
    return torch.where(mirrored[:, None], forward.flip(0), forward)


def _colour_matrices(grey: Tensor) -> Tensor:
    """3 x 3 matrices (B, 3, 3) that multiply a pixel from the right: the identity, or three equal luma channels."""
    luma = torch.tensor(GREY_WEIGHTS, device=grey.device)[:, None].expand(3, 3)
    return torch.where(grey[:, None, None], luma, torch.eye(3, device=grey.device))
