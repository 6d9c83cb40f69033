"""Chips, their split and their pairs, as plain arrays that travel to the trials; preparation.py makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trainables.images.scale import Scale
from trainables.pairs import PARTNERS, Pairs, draw_pairs
from trainables.splits import Split

Images = NDArray[np.uint8] | NDArray[np.float32]

STREAMS = {"split": 0, "train": 1, "validation": 2, "test": 3, "ship task": 4, "identification": 5}


@dataclass(frozen=True)
class ChipSet:
    """Labelled chips as read: `images` (N, S, S, 3) uint8 or float32, `labels` (N,) index into `classes`.

    `groups` (N,) numbers what belongs together by the user's own word (a patient, a scene), None where nothing says so.
    `test_only` (N,) marks chips that stand in the test split beside those drawn for it, with all of their groups.
    `names` are the files, or nothing; `lacking` says of each class without a readable image why; `skipped` are images
    that were left out; `scale` is that of the numbers, None where they do not say.
    """

    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    group_by: str = "none"
    test_only: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    scale: Scale | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """Return what to call a chip: its file, or its number and class."""
        return self.names[index] if self.names else f"chip {index} ({self.classes[self.labels[index]]})"

    def counts(self) -> dict[str, int]:
        """Return the number of chips of each class."""
        return {name: int((self.labels == index).sum()) for index, name in enumerate(self.classes)}

    def only(self, classes: tuple[str, ...], notes: tuple[str, ...]) -> ChipSet:
        """Return the chips of these classes alone."""
        kept = np.isin(np.array(self.classes)[self.labels], classes)
        renumber = np.cumsum([name in classes for name in self.classes]) - 1
        return replace(
            self,
            images=self.images[kept],
            labels=renumber[self.labels[kept]],
            classes=classes,
            notes=notes,
            groups=None if self.groups is None else self.groups[kept],
            test_only=None if self.test_only is None else self.test_only[kept],
            names=tuple(name for name, keep in zip(self.names, kept, strict=False) if keep),
            lacking={},
        )

    def digest(self) -> str:
        """Return a SHA-256 over pixels, labels and class names: equal digests are equal data."""
        digest = hashlib.sha256(repr((self.images.dtype.str, self.images.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """One side of a split: `images` (M, S, S, 3) as read, `labels` (M,), and pairs of indices into them.

    `groups` (M,) numbers what no pair lies within; None where that is a chip alone.
    """

    images: Images
    labels: NDArray[np.int64]
    pairs: Pairs
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class TrialData:
    """All that a trial may see: training and validation, and the training split's channel means and deviations (3,).

    Plain numpy arrays: Ray shares one copy of them among the workers of a node. `scale` is for those who use what was
    trained.
    """

    train: Part
    validation: Part
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    scale: Scale | None = None


@dataclass(frozen=True)
class PreparedData:
    """A chip set, how it is split, and the seed of its pairs. `studies.evaluate` alone makes the test part.

    `groups` (N,) numbers what may not be torn apart: near-duplicates, and what the user's own groups hold together.
    `notes` are for a reader to know, `warnings` for the user to look into.
    """

    chips: ChipSet
    split: Split
    groups: NDArray[np.int64]
    seed: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def grouped(self) -> bool:
        """Whether groups of the user's own are kept together: then a pair never lies within one."""
        return self.chips.groups is not None and self.split.kind != "random"

    @property
    def units(self) -> NDArray[np.int64]:
        """Number for each chip (N,) what intervals take for one look: its class where whole classes are held out.

        Else its group, which is the picture with its flips where the user has none.
        """
        return self.chips.labels if self.split.kind == "classes" else self.groups

    def classes_of(self, part: str) -> tuple[str, ...]:
        """Return the classes that a part of the split has."""
        return tuple(self.chips.classes[label] for label in self.split.numbers(self.chips.labels)[part])

    def stream(self, name: str) -> np.random.Generator:
        """Return the random numbers of one purpose, one of `STREAMS`, from their beginning."""
        return stream(self.seed, name)

    def digest(self) -> str:
        """Return the digest of the chips."""
        return self.chips.digest()

    @property
    def nbytes(self) -> int:
        """The bytes of the chips that trials see, without making their copy."""
        return (len(self.split.train) + len(self.split.validation)) * int(self.chips.images[0].nbytes)

    def part(self, name: str, indices: NDArray[np.int64], partners: int = PARTNERS) -> Part:
        """Return chips at `indices` with their pairs; `name` picks the stream of random numbers."""
        labels, rng = self.chips.labels[indices], self.stream(name)
        groups = self.groups[indices] if self.grouped else None
        return Part(self.chips.images[indices], labels, draw_pairs(labels, rng, partners, groups), groups)

    def for_trials(self) -> TrialData:
        """Return what travels to the trials: the training and validation parts, never the test part."""
        train = self.part("train", self.split.train)
        mean, sd = channel_statistics(train.images)
        return TrialData(train, self.part("validation", self.split.validation), mean, sd, self.chips.scale)


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one purpose, one of `STREAMS`, from their beginning."""
    return np.random.default_rng([seed, STREAMS[name]])


def channel_statistics(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of each channel over (N, H, W, 3), as float32 (3,); sd at least 1e-6."""
    pixels = images.reshape(-1, 3)
    mean = pixels.mean(0, dtype=np.float64)
    square = np.zeros(3)
    for block in np.array_split(pixels, max(1, len(pixels) // 2**20)):  # blocks, so that uint8 never doubles in memory
        square += ((block - mean) ** 2).sum(0)
    return mean.astype(np.float32), np.maximum(np.sqrt(square / len(pixels)), 1e-6).astype(np.float32)
