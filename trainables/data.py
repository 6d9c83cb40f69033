"""From chips to what a trial trains on: one set of images, its split, its pairs, as plain arrays that travel."""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.augment import gather
from trainables.errors import InputError
from trainables.pairs import PARTNERS, Pairs, draw_pairs
from trainables.splits import Split, near_duplicates, split_chips

Images = NDArray[np.uint8] | NDArray[np.float32]

MIN_CHIPS_PER_CLASS = 10
SMALL_TEST_SPLIT = 50
STREAMS = {"split": 0, "train": 1, "validation": 2, "test": 3, "ship task": 4}


@dataclass(frozen=True)
class ChipSet:
    """Labelled chips as read: `images` (N, 75, 75, 3) uint8 or float32, `labels` (N,) index into `classes`."""

    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Return the number of chips of each class."""
        return {name: int((self.labels == index).sum()) for index, name in enumerate(self.classes)}

    def digest(self) -> str:
        """Return a SHA-256 over pixels, labels and class names: equal digests are equal data."""
        digest = hashlib.sha256(repr((self.images.dtype.str, self.images.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """One side of a split: `images` (M, 75, 75, 3) as read, `labels` (M,), and pairs of indices into them."""

    images: Images
    labels: NDArray[np.int64]
    pairs: Pairs


@dataclass(frozen=True)
class TrialData:
    """All that a trial may see: training and validation, and the training split's channel means and deviations (3,).

    Plain numpy arrays: Ray shares one copy of them among the workers of a node.
    """

    train: Part
    validation: Part
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]


@dataclass(frozen=True)
class PreparedData:
    """A chip set, how it is split, and the seed of its pairs. `analysis.evaluate` alone makes the test part."""

    chips: ChipSet
    split: Split
    groups: NDArray[np.int64]
    seed: int
    notes: tuple[str, ...] = field(default=())

    def part(self, name: str, indices: NDArray[np.int64], partners: int = PARTNERS) -> Part:
        """Return chips at `indices` with their pairs; `name` picks the stream of random numbers."""
        labels = self.chips.labels[indices]
        return Part(self.chips.images[indices], labels, draw_pairs(labels, _rng(self.seed, name), partners))

    def for_trials(self) -> TrialData:
        """Return what travels to the trials: the training and validation parts, never the test part."""
        train = self.part("train", self.split.train)
        mean, sd = channel_statistics(train.images)
        return TrialData(train, self.part("validation", self.split.validation), mean, sd)


@dataclass(frozen=True)
class StoredChips:
    """Chips on a device as read: `pixels` (M, 75, 75, 3) uint8 or float32, and on the CPU `mean` and `sd` (3,)."""

    pixels: Tensor
    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, images: Images, mean: NDArray[np.float32], sd: NDArray[np.float32], device: str = "cpu") -> StoredChips:
        """Put images (M, 75, 75, 3) on `device`, to be normalised by `mean` and `sd` (3,); on the CPU, no copy."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # Ray's are not; nor do we write
            pixels = torch.from_numpy(np.ascontiguousarray(images))
        return cls(pixels.to(device), torch.tensor(mean), torch.tensor(sd))

    @functools.cached_property
    def normalised(self) -> Tensor:
        """All chips as floats (M, 3, 75, 75) in channels_last memory: made when first asked for, then kept."""
        device = self.pixels.device
        return ((self.pixels.float() - self.mean.to(device)) / self.sd.to(device)).permute(0, 3, 1, 2)

    def batch(self, chips: Tensor, views: Tensor | None = None) -> Batch:
        """Return the chips numbered `chips` (B,), each seen as `views` (B,) says (trainables/augment.py)."""
        return Batch(self, chips, views)

    def batches(self, size: int) -> list[Batch]:
        """Return all chips in order, at most `size` in a batch."""
        return [self.batch(chips) for chips in torch.split(torch.arange(len(self.pixels)), size)]


@dataclass(frozen=True)
class Batch:
    """Which of the stored chips are looked at, and how: nothing is copied before somebody asks for it."""

    stored: StoredChips
    chips: Tensor
    views: Tensor | None = None

    def normalised(self) -> Tensor:
        """Return the chips as floats (B, 3, 75, 75) in channels_last memory."""
        return gather(self.stored.normalised, self.chips, self.views)


@dataclass(frozen=True)
class Tensors:
    """One part on a device: its chips, and pairs of their numbers (P,)."""

    chips: StoredChips
    first: Tensor
    second: Tensor
    target: Tensor


def _rng(seed: int, stream: str) -> np.random.Generator:
    return np.random.default_rng([seed, STREAMS[stream]])


def prepare(chips: ChipSet, split: str, seed: int = 0, drop_small_classes: bool = False) -> PreparedData:
    """Check the classes, find near-duplicates, split by `seed`; raise InputError where a fair split is impossible.

    A study leaves `seed` at 0 whatever its own seed: a set is always split alike, so that a config adopted by one
    study never meets, in the next one's test split, a chip that helped to choose it.
    """
    chips = _checked_classes(chips, drop_small_classes)
    groups = near_duplicates(chips.images)
    parts = split_chips(chips.labels, groups, split, _rng(seed, "split"))
    _check_parts(chips, groups, parts)
    return PreparedData(chips, parts, groups, seed, (*chips.notes, *_warnings(chips, groups, parts)))


def _checked_classes(chips: ChipSet, drop_small: bool) -> ChipSet:
    small = {name: n for name, n in chips.counts().items() if n < MIN_CHIPS_PER_CLASS}
    notes = chips.notes
    if small and len(chips.classes) > 1:
        named = ", ".join(f"{name!r} ({n})" for name, n in small.items())
        if not drop_small:
            raise InputError(
                f"{chips.source}: fewer than {MIN_CHIPS_PER_CLASS} chips in class {named}; "
                "add chips, or leave such classes out with --drop-small-classes"
            )
        notes = (*notes, f"left out classes with fewer than {MIN_CHIPS_PER_CLASS} chips: {named}")
        classes = tuple(name for name in chips.classes if name not in small)
        kept = np.isin(np.array(chips.classes)[chips.labels], classes)
        renumber = np.cumsum([name in classes for name in chips.classes]) - 1
        chips = ChipSet(chips.images[kept], renumber[chips.labels[kept]], classes, chips.source, notes)
    if len(chips.classes) < 2:
        raise InputError(
            f"{chips.source}: {'only one class' if chips.classes else 'no class'} to compare"
            f"{f' ({chips.classes[0]!r})' if chips.classes else ''}; a verifier needs at least two classes, "
            "one folder of images each"
        )
    return chips


def _check_parts(chips: ChipSet, groups: NDArray[np.int64], split: Split) -> None:
    """Every class must stand in every part, or a part says nothing about it."""
    for part in split.sizes():
        present = chips.labels[getattr(split, part)]
        for label, name in enumerate(chips.classes):
            if label not in present:
                pictures = len(np.unique(groups[chips.labels == label]))
                raise InputError(
                    f"{chips.source}: class {name!r} would be missing from the {part} split: its "
                    f"{chips.counts()[name]} chips are flips or turns of only {pictures} pictures; add pictures, "
                    "or use --split random"
                )


def _warnings(chips: ChipSet, groups: NDArray[np.int64], split: Split) -> list[str]:
    notes = []
    copies = len(chips) - len(np.unique(groups))
    if copies:
        kept = "kept together" if split.kind == "grouped" else "NOT kept together (--split random)"
        notes.append(f"{copies} of {len(chips)} chips are flips or turns of others; {kept}")
    labels_of = Counter(group for group, _ in set(zip(groups.tolist(), chips.labels.tolist(), strict=True)))
    conflicts = sum(count > 1 for count in labels_of.values())
    if conflicts:
        notes.append(f"{conflicts} pictures stand in more than one class")
    if split.sizes()["test"] < SMALL_TEST_SPLIT:
        notes.append(
            f"small set: {len(chips)} chips leave {split.sizes()['validation']} for validation and "
            f"{split.sizes()['test']} for the test; expect wide intervals, and no fine differences between configs"
        )
    return notes


def channel_statistics(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of each channel over (N, H, W, 3), as float32 (3,); sd at least 1e-6."""
    pixels = images.reshape(-1, 3)
    mean = pixels.mean(0, dtype=np.float64)
    square = np.zeros(3)
    for block in np.array_split(pixels, max(1, len(pixels) // 2**20)):  # blocks, so that uint8 never doubles in memory
        square += ((block - mean) ** 2).sum(0)
    return mean.astype(np.float32), np.maximum(np.sqrt(square / len(pixels)), 1e-6).astype(np.float32)


def load(part: Part, data: TrialData, device: str = "cpu") -> Tensors:
    """Put one part on `device`, to be normalised with the training statistics of `data`, once for many trials."""
    pairs = part.pairs
    return Tensors(
        StoredChips.of(part.images, data.mean, data.sd, device),
        torch.tensor(pairs.first).to(device),
        torch.tensor(pairs.second).to(device),
        torch.tensor(pairs.target).to(device),
    )
