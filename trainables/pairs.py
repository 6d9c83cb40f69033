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


def draw_pairs(
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    partners: int = PARTNERS,
    groups: NDArray[np.int64] | None = None,
) -> Pairs:
    """Compare each chip with `partners` others of `labels` (N,): never itself, no partner twice; 5 N pairs.

    With two classes partners are uniform, as in the report. With more, uniform partners would be nearly all
    different, so each chip takes two or three of its own class in turn (as many as there are), and half the pairs
    are similar. Fewer than `partners` + 1 chips: each is compared with all the others.

    With `groups` (N,) partners are of other groups, half of them similar: two pictures of one patient are alike
    whatever their class, and would be easy pairs that say nothing about it.
    """
    count = len(labels)
    if groups is not None:
        second = [_balanced(labels, groups == groups[chip], chip, rng, partners) for chip in range(count)]
    elif count <= partners:
        second = [np.delete(np.arange(count), chip) for chip in range(count)]
    elif len(np.unique(labels)) <= 2:
        # a draw from 0..count-2, shifted past the chip itself, is uniform over the others
        second = [_others(rng.choice(count - 1, partners, replace=False), chip) for chip in range(count)]
    else:
        second = [_balanced(labels, np.arange(count) == chip, chip, rng, partners) for chip in range(count)]
    first = np.repeat(np.arange(count), [len(row) for row in second])
    partner = np.concatenate(second) if second else np.zeros(0, np.int64)
    target = (labels[first] != labels[partner]).astype(np.float32)
    return Pairs(first.astype(np.int64), partner.astype(np.int64), target)


def _others(draws: NDArray[np.int64], chip: int) -> NDArray[np.int64]:
    return draws + (draws >= chip)


def _balanced(
    labels: NDArray[np.int64], barred: NDArray[np.bool_], chip: int, rng: np.random.Generator, partners: int
) -> NDArray[np.int64]:
    """Partners of one chip, none of them `barred` (N,): half of its own class, as far as both kinds suffice."""
    same = labels == labels[chip]
    different, own = np.flatnonzero(~same & ~barred), np.flatnonzero(same & ~barred)
    wanted = partners // 2 + chip % 2 * (partners % 2)
    n_same = min(max(min(wanted, len(own)), partners - len(different)), len(own))
    n_different = min(partners - n_same, len(different))
    return np.concatenate([rng.choice(own, n_same, replace=False), rng.choice(different, n_different, replace=False)])
