"""Train, validation and test: which chip goes where, with near-duplicates kept together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

TEST_SHARE = 0.20
VALIDATION_SHARE = 0.16

# Two chips are one picture if a flip or quarter turn makes them equal up to a mean absolute difference of this share of
# the picture's own mean absolute deviation: resizing and rounding move pixels by less, other pictures differ by more
# (among 10,000 MNIST digits 0.05 joins none, 0.07 joins 21 and 0.1 joins 343, nearly all of them ones).
SAME_PICTURE = 0.05


@dataclass(frozen=True)
class Split:
    """Indices of each part, int64 and sorted. Only `analysis.evaluate` may read `test`."""

    kind: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def sizes(self) -> dict[str, int]:
        """Return the number of chips in each part."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    def group_counts(self, groups: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of groups, numbered by `groups` (N,), in each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: len(np.unique(groups[indices])) for name, indices in parts.items()}


def split_chips(
    labels: NDArray[np.int64], groups: NDArray[np.int64], kind: str, rng: np.random.Generator, least: int = 0
) -> Split:
    """Split 64 / 16 / 20 %, stratified by class: `labels`, `groups` (N,).

    `grouped` moves whole groups, so that a chip and its flipped copy never face each other across the split;
    `random`, the report's way, treats every chip on its own. A group with two labels goes with its first chip's.
    Where there are enough, each part gets at least `least` groups of each class, the smallest ones of the largest part.
    """
    unit = groups if kind == "grouped" else np.arange(len(labels))
    order = np.argsort(unit, kind="stable")
    units = np.split(order, np.flatnonzero(np.diff(unit[order])) + 1)
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], "validation": [], "test": []}
    for label in np.unique(labels):
        members = [chips for chips in units if labels[chips[0]] == label]
        size = sum(len(chips) for chips in members)
        wanted = {"test": round(TEST_SHARE * size), "validation": round(VALIDATION_SHARE * size)}
        wanted["train"] = size - sum(wanted.values())
        shuffled = [members[index] for index in rng.permutation(len(members))]
        own: dict[str, list[NDArray[np.int64]]] = {part: [] for part in parts}
        for chips in sorted(shuffled, key=len, reverse=True):  # big groups first, each where most is missing
            part = max(wanted, key=lambda name: wanted[name])
            wanted[part] -= len(chips)
            own[part].append(chips)
        _fill_up(own, least)
        for part, taken in own.items():
            parts[part] += taken
    return Split(kind, **{part: np.sort(np.concatenate(chips or [order[:0]])) for part, chips in parts.items()})


def _fill_up(parts: dict[str, list[NDArray[np.int64]]], least: int) -> None:
    """Move groups from the part that has most of them until each has `least`, or no part has one to spare."""
    for part in parts.values():
        while len(part) < least and len(most := max(parts.values(), key=len)) > least:
            smallest = min(range(len(most)), key=lambda index: len(most[index]))
            part.append(most.pop(smallest))


def joined(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a group number for each chip (N,): equal where either grouping, or a chain of both, holds two together."""
    chips = np.arange(len(one))
    edges = np.concatenate([chips, chips]), np.concatenate([one, other + one.max() + 1]) + len(one)
    size = int(edges[1].max()) + 1
    graph = coo_matrix((np.ones(2 * len(one)), edges), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(one)], dtype=np.int64)


def rarest_labels(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each chip (N,) the label of its group that fewest groups have: the one that a split must watch.

    A patient with pictures of both eyes, one ill and one healthy, counts among the ill.
    """
    held = np.unique(np.stack([groups, labels]), axis=1)
    number = np.bincount(held[1])
    order = np.lexsort((number[held[1]], held[0]))
    group, first = np.unique(held[0][order], return_index=True)
    return np.asarray(held[1][order][first][np.searchsorted(group, groups)])


def constant(images: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return for each image (N, S, S, 3) whether all its pixels are equal."""
    return np.array([bool((image == image[:1, :1]).all()) for image in images], dtype=bool)


def near_duplicates(images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.int64]:
    """Return a group number for each image (N, S, S, 3): equal for images that agree up to 8 flips and turns.

    Equal bytes are one picture at once. For the others a coarse sketch that no flip or turn changes finds candidates
    without missing any, a finer one thins them out, and what is left is compared pixel by pixel.
    """
    first_of: dict[bytes, int] = {}
    copy_of = np.array([first_of.setdefault(image.tobytes(), index) for index, image in enumerate(images)])
    distinct, group = np.unique(copy_of, return_inverse=True)
    pairs = _same_pictures(images[distinct])
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(distinct), len(distinct)))
    return np.asarray(connected_components(graph, directed=False)[1][group], dtype=np.int64)


def _same_pictures(images: NDArray[np.generic]) -> NDArray[np.int64]:
    """Pairs of indices (K, 2) of images that are views of one picture."""
    spread = np.array([np.abs(image - image.mean((0, 1))).mean() for image in images.astype(np.float32)])
    tree = cKDTree(_sketch(images, 5))
    pairs = tree.query_pairs(SAME_PICTURE * spread.max() * tree.m, p=1, output_type="ndarray")
    fine = _sketch(images, 15)
    blocks = np.array_split(pairs, len(pairs) // 10_000 + 1)
    near = [
        np.abs(fine[a] - fine[b]).mean(1) <= SAME_PICTURE * np.maximum(spread[a], spread[b])
        for a, b in map(np.transpose, blocks)
    ]
    pairs = pairs[np.concatenate(near)]
    same = [_same_picture(images[a], images[b], spread[a]) for a, b in pairs]
    return np.asarray(pairs[np.array(same, dtype=bool)], dtype=np.int64)


def _sketch(images: NDArray[np.generic], blocks: int) -> NDArray[np.float32]:
    """Means of `blocks` x `blocks` squares, sorted within each set of squares that flips and turns exchange: (N, D).

    Averaging and sorting can only shrink a mean absolute difference, so images that are close have close sketches.
    """
    size = images.shape[1] // blocks
    edge = size * blocks
    grid = np.stack([image[:edge, :edge].reshape(blocks, size, blocks, size, 3).mean((1, 3)) for image in images])
    offset = np.abs(np.arange(blocks) - (blocks - 1) / 2)
    orbit = np.maximum.outer(offset, offset) * blocks + np.minimum.outer(offset, offset)
    orbits = [np.sort(grid[:, orbit == value], axis=1).reshape(len(grid), -1) for value in np.unique(orbit)]
    return np.concatenate(orbits, axis=1).astype(np.float32)


def _same_picture(a: NDArray[np.generic], b: NDArray[np.generic], spread: float) -> bool:
    first = a.astype(np.float32)
    return any(np.abs(first - turned).mean() <= SAME_PICTURE * spread for turned in _turns(b.astype(np.float32)))


def _turns(image: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for view in (image, image[:, ::-1]):
        for quarter in range(4):
            yield np.rot90(view, quarter)
