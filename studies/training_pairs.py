"""Training pairs as the report's augmentation changes them (its figure 2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from analysis.figures.pairs import draw_pairs
from trainables.augment import draw_views, gather
from trainables.config import Augmentation
from trainables.data import PreparedData

REPORT_AUGMENTATION = Augmentation(theta=0.7)


def draw_training_pairs(data: PreparedData, path: Path, count: int = 5) -> None:
    """Draw five training pairs under the report's augmentation, each chip stretched to full range for the eye."""
    part = data.part("train", data.split.train)
    pairs = part.pairs
    each = np.unique(pairs.first, return_index=True)[1][:count]  # five chips, each in its first pair
    shown = len(each)
    chips = np.concatenate([part.images[pairs.first[each]], part.images[pairs.second[each]]]).astype(np.float32)
    low, high = chips.min((1, 2), keepdims=True), chips.max((1, 2), keepdims=True)
    scaled = torch.from_numpy((chips - low) / np.maximum(high - low, 1e-12)).permute(0, 3, 1, 2)
    views = draw_views(2 * shown, REPORT_AUGMENTATION, torch.Generator().manual_seed(data.seed))
    drawn = gather(scaled, torch.arange(2 * shown), views)
    images = drawn.permute(0, 2, 3, 1).clamp(0, 1).numpy()
    titles = ["similar" if target == 0 else "different" for target in pairs.target[each]]
    draw_pairs(images[:shown], images[shown:], titles, path)
