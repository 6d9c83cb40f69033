"""Which chips are compared with which (report, section 1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTNERS = 5


@dataclass(frozen=True)
class Pairs:
    """Index pairs into one part of a split: `first`, `second` (P,) int64, `target` (P,) float32, 0 = similar."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    target: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def similar_share(self) -> float:
        """Share of pairs of one class."""
        return float((self.target == 0).mean()) if len(self) else 0.0


def draw_pairs(labels: NDArray[np.int64], rng: np.random.Generator, partners: int = PARTNERS) -> Pairs:
    """Compare each chip with `partners` others of `labels` (N,): never itself, no partner twice; 5 N pairs.

    With two classes partners are uniform, as in the report. With more, uniform partners would be nearly all
    different, so each chip takes two or three of its own class in turn (as many as there are), and half the pairs
    are similar. Fewer than `partners` + 1 chips: each is compared with all the others.
    """
    count = len(labels)
    if count <= partners:
        second = [np.delete(np.arange(count), chip) for chip in range(count)]
    elif len(np.unique(labels)) <= 2:
        # a draw from 0..count-2, shifted past the chip itself, is uniform over the others
        second = [_others(rng.choice(count - 1, partners, replace=False), chip) for chip in range(count)]
    else:
        second = [_balanced(labels, chip, rng, partners) for chip in range(count)]
    first = np.repeat(np.arange(count), [len(row) for row in second])
    partner = np.concatenate(second) if second else np.zeros(0, np.int64)
    target = (labels[first] != labels[partner]).astype(np.float32)
    return Pairs(first.astype(np.int64), partner.astype(np.int64), target)


def _others(draws: NDArray[np.int64], chip: int) -> NDArray[np.int64]:
    return draws + (draws >= chip)


def _balanced(labels: NDArray[np.int64], chip: int, rng: np.random.Generator, partners: int) -> NDArray[np.int64]:
    same = labels == labels[chip]
    different = np.flatnonzero(~same)
    same[chip] = False
    own = np.flatnonzero(same)
    wanted = partners // 2 + chip % 2 * (partners % 2)
    n_same = max(min(wanted, len(own)), partners - len(different))
    return np.concatenate(
        [rng.choice(own, n_same, replace=False), rng.choice(different, partners - n_same, replace=False)]
    )
