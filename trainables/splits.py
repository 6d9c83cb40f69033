"""Train, validation and test: which chip goes where, with near-duplicates kept together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.config import BLOCKS

TEST_SHARE = 0.20
VALIDATION_SHARE = 0.16

# Two chips are one picture if a flip or quarter turn makes them equal up to a mean absolute difference of this share of
# the picture's own mean absolute deviation: resizing and rounding move pixels by less, other pictures differ by more
# (among 10,000 MNIST digits 0.05 joins none, 0.07 joins 21 and 0.1 joins 343, nearly all of them ones).
SAME_PICTURE = 0.05


@dataclass(frozen=True)
class Split:
    """Indices of each part, int64 and sorted. Only `studies.evaluate` may read `test`."""

    kind: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def sizes(self) -> dict[str, int]:
        """Return the number of chips in each part."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    def group_counts(self, groups: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of groups, numbered by `groups` (N,), in each part."""
        return {name: len(found) for name, found in self.numbers(groups).items()}

    def numbers(self, labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return which of the numbers in `labels` (N,), of classes or of groups, each part has, sorted."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: np.unique(labels[indices]) for name, indices in parts.items()}

    def within(self, chips: NDArray[np.int64], test_only: NDArray[np.int64]) -> Split:
        """Return the split of `chips`, indices into a larger set, of which the chips `test_only` are tested too."""
        test = np.sort(np.concatenate([chips[self.test], test_only]))
        return Split(self.kind, chips[self.train], chips[self.validation], test)


def split_chips(
    labels: NDArray[np.int64], groups: NDArray[np.int64], kind: str, rng: np.random.Generator, least: int = 0
) -> Split:
    """Split 64 / 16 / 20 %, stratified by class: `labels`, `groups` (N,).

    `grouped` moves whole groups, so that a chip and its flipped copy never face each other across the split;
    `random`, the paper's way, treats every chip on its own. A group with two labels goes with its first chip's.
    Where there are enough, each part gets at least `least` groups of each class, the smallest ones of the largest part.
    `classes` moves whole groups as `grouped` does: the caller makes a group of each class, and gives all one label.
    """
    unit = np.arange(len(labels)) if kind == "random" else groups
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
    from scipy.sparse import coo_matrix  # workers load this module, and split nothing
    from scipy.sparse.csgraph import connected_components

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
    without missing any, each within its own tolerance, a finer one thins them out, and what is left is compared pixel
    by pixel. Groups are walked through from picture to picture, so that a large one costs no more than its members.
    """
    first_of: dict[bytes, int] = {}
    copy_of = np.array([first_of.setdefault(_fingerprint(image), index) for index, image in enumerate(images)])
    distinct, group = np.unique(copy_of, return_inverse=True)
    return np.asarray(_Pictures(images, distinct).walk()[group], dtype=np.int64)


def _fingerprint(image: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


class _Pictures:
    """Different pictures, and which of them are views of one another."""

    def __init__(self, images: NDArray[np.generic], distinct: NDArray[np.int64]) -> None:
        self.images, self.distinct = images, distinct
        chosen = [images[index] for index in distinct]
        self.spread = np.array([_spread(image) for image in chosen])
        self.coarse = np.concatenate([orbit.sum(1) for orbit in _orbits(chosen, BLOCKS // 3)], axis=1)
        squares = _orbits(chosen, BLOCKS)
        self.middle = np.concatenate([orbit.sum(1) for orbit in squares], axis=1)
        self.fine = np.concatenate([np.sort(orbit, axis=1).reshape(len(orbit), -1) for orbit in squares], axis=1)
        self.group = np.full(len(distinct), -1)

    def walk(self) -> NDArray[np.int64]:
        """Return the number of each picture's group, in the order of their first members."""
        self._plant(np.arange(len(self.distinct)))
        found = 0
        for start in range(len(self.distinct)):
            if self.group[start] >= 0:
                continue
            self.group[start] = found
            waiting = [start]
            while waiting:
                others = self._others_like(waiting.pop())
                self.group[others] = found
                waiting += others.tolist()
            found += 1
        return self.group

    def _plant(self, left: NDArray[np.int64]) -> None:
        """Make the tree anew from the pictures that are in no group yet."""
        self.left, self.passed = left, 0
        from scipy.spatial import cKDTree

        self.tree = cKDTree(self.coarse[left]) if len(left) else None

    def _others_like(self, picture: int) -> NDArray[np.int64]:
        """The pictures without a group that are views of this one.

        Views of one picture differ in spread by no more than twice the tolerance of the larger, hence the band.
        """
        if self.tree is None:
            return self.left[:0]
        spread = self.spread[picture]
        widest = spread / (1 - 2 * SAME_PICTURE)
        near = self.tree.query_ball_point(self.coarse[picture], SAME_PICTURE * widest * 5 * 5 * 3 * 1.0001, p=1)
        seen = self.left[np.array(near, dtype=np.int64)]
        new = seen[self.group[seen] < 0]
        self.passed += len(seen) - len(new)
        if self.passed > len(self.left):  # what is in a group already is met too often: leave it out of the tree
            self._plant(np.flatnonzero(self.group < 0))
        own = self.spread[new]
        band = (own >= spread * (1 - 2 * SAME_PICTURE) * 0.9999) & (own <= widest * 1.0001)
        new = new[band]
        allowed = SAME_PICTURE * self.spread[np.minimum(new, picture)]  # the earlier picture of two is the measure
        for sketch in (self.middle, self.fine):
            closer = np.abs(sketch[new] - sketch[picture]).sum(1) <= allowed * self.fine.shape[1] * 1.0001
            new, allowed = new[closer], allowed[closer]
        one = self.images[self.distinct[picture]]
        same = [same_picture(one, self.images[self.distinct[at]], most) for at, most in zip(new, allowed, strict=True)]
        return np.asarray(new[np.array(same, dtype=bool)])


def _spread(image: NDArray[np.generic]) -> float:
    """Mean absolute deviation of a picture (S, S, 3) from its own mean."""
    values = image.astype(np.float32)
    return float(np.abs(values - values.mean((0, 1))).mean())


def _orbits(images: Sequence[NDArray[np.generic]], blocks: int) -> list[NDArray[np.float32]]:
    """Means of `blocks` x `blocks` squares, by sets of squares that flips and turns exchange: (N, squares, 3) each.

    Averaging can only shrink a mean absolute difference, and so can sorting or summing within a set, which no flip or
    turn then changes: pictures that are close have close sums. A sum over many squares tells most pictures apart.
    """
    size = len(images[0]) // blocks
    edge = size * blocks
    means = (image[:edge, :edge].reshape(blocks, size, blocks, size, 3).mean((1, 3)) for image in images)
    grid = np.stack([mean.astype(np.float32) for mean in means])
    offset = np.abs(np.arange(blocks) - (blocks - 1) / 2)
    orbit = np.maximum.outer(offset, offset) * blocks + np.minimum.outer(offset, offset)
    return [grid[:, orbit == value] for value in np.unique(orbit)]


def same_picture(a: NDArray[np.generic], b: NDArray[np.generic], allowed: float) -> bool:
    """Return whether two pictures (S, S, 3) differ by `allowed` in the mean at most, one of them turned or flipped."""
    first = a.astype(np.float32)
    return any(np.abs(first - turned).mean() <= allowed for turned in _turns(b.astype(np.float32)))


def _turns(image: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for view in (image, image[:, ::-1]):
        for quarter in range(4):
            yield np.rot90(view, quarter)
