"""Images given as arrays: those of an .npz, those in memory, those of a torch or torchvision dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainables.config import SIDE
from trainables.data import ChipSet, Images
from trainables.errors import InputError, printable
from trainables.images.scale import scale_of

MEMORY = "images in memory"


@dataclass(frozen=True)
class Arrays:
    """Images and labels as a user has them, before they are brought to a side.

    `images` is (N, H, W), (N, H, W, 1) or (N, H, W, 3), or a sequence of (H, W), (H, W, 1) or (H, W, 3) of any sizes.
    `labels` (N,) are numbers or names, or (N, K) one-hot. `classes` names the classes that numbers 0, 1, ... stand for.
    `groups` (N,), numbers or names, say what is kept on one side of the split (a patient, a scene).
    `source` and `called` are how messages name the set and the two arrays.
    """

    images: ArrayLike | Sequence[ArrayLike]
    labels: ArrayLike
    classes: Sequence[str] | None = None
    groups: ArrayLike | None = None
    source: str = MEMORY
    called: tuple[str, str] = ("images", "labels")

    def chips(self, side: int = SIDE) -> ChipSet:
        """Return the set, images resized with antialiasing to `side`; raise InputError where it makes no sense."""
        numbers, names = class_numbers(np.asarray(self.labels), self.source, self.called[1])
        chips, given = self._pixels(side)
        if len(chips) != len(numbers):
            raise InputError(
                f"{self.source}: {self.called[0]} holds {len(chips)} images, {self.called[1]} {len(numbers)} labels; "
                "they must match"
            )
        groups = None if self.groups is None else self._groups(len(chips))
        return ChipSet(
            chips,
            numbers,
            self._named(names),
            self.source,
            groups=groups,
            group_by="none" if groups is None else "groups",
            names=tuple(f"{self.called[0]}[{index}]" for index in range(len(chips))),
            scale=scale_of(given, whole=chips.dtype == np.uint8),
        )

    def _pixels(self, side: int) -> tuple[Images, NDArray[np.generic]]:
        """The chips (N, S, S, 3), and an array of all numbers as they were given, which tells their scale."""
        one = _array(self.images)
        if one is not None:
            return resized(one, self.source, self.called[0], side), one
        each = [np.asarray(image) for image in self.images]  # type: ignore[union-attr]
        kinds = {(image.dtype, image.shape[2:]) for image in each}
        if len(kinds) > 1:  # bytes beside numbers from 0 to 1 would be black beside white
            raise InputError(f"{self.source}: {self.called[0]} differ in kind or channels; give all of them alike")
        chips = [resized(image[None], self.source, f"{self.called[0]}[{at}]", side) for at, image in enumerate(each)]
        if len({chip.dtype for chip in chips}) > 1:  # whole numbers, of which some images stay below 256
            chips = [chip.astype(np.float32) for chip in chips]
        joined = np.concatenate(chips)
        return cast(Images, joined), np.concatenate([image.ravel() for image in each])

    def _groups(self, count: int) -> NDArray[np.int64]:
        groups = np.asarray(self.groups)
        if groups.shape != (count,):
            raise InputError(f"{self.source}: groups has shape {groups.shape}; expected ({count},), one an image")
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def _named(self, found: tuple[str, ...]) -> tuple[str, ...]:
        """The classes' names in place of the numbers that labels gave."""
        if self.classes is None:
            return found
        numbers = [int(name) if name.isdecimal() else -1 for name in found]
        if not all(0 <= number < len(self.classes) for number in numbers):
            raise InputError(
                f"{self.source}: classes names {len(self.classes)}; {self.called[1]} must then be numbers from 0 to "
                f"{len(self.classes) - 1}"
            )
        return tuple(str(self.classes[number]) for number in numbers)


def from_dataset(dataset: Iterable[Any]) -> Arrays:
    """Return the images of a torch or torchvision dataset, whose items begin with (image, label).

    An image is a tensor (C, H, W), an array (H, W, C) or a Pillow image, a label a number or a name; `classes` of the
    dataset names the numbers. Transforms of the dataset are applied, once: leave out random ones.
    """
    images, labels = [], []
    listed = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")  # torch's IterableDataset has no length
    items = (dataset[index] for index in range(len(dataset))) if listed else dataset  # type: ignore[index, arg-type]
    for image, label, *_ in items:
        images.append(_pixels_of(image))
        labels.append(label if isinstance(label, str) else int(label))
    classes = getattr(dataset, "classes", None)
    numbered = classes is not None and not any(isinstance(label, str) for label in labels)
    return Arrays(images, labels, list(map(str, classes)) if numbered and classes else None, source=_name(dataset))


def _name(dataset: object) -> str:
    return f"{MEMORY} ({type(dataset).__name__})"


def _pixels_of(image: Any) -> NDArray[np.generic]:
    """An image as (H, W, C): tensors have their channels first."""
    if hasattr(image, "permute"):
        return np.asarray(image.permute(1, 2, 0) if image.ndim == 3 else image)
    return np.asarray(image.convert("RGB")) if hasattr(image, "convert") else np.asarray(image)


def _array(images: Any) -> NDArray[np.generic] | None:
    """One array of all images; None where they differ in size."""
    try:
        array = np.asarray(images)
    except ValueError:
        return None
    return None if array.dtype == object else array


def resized(images: NDArray[np.generic], source: str, called: str, side: int) -> Images:
    """Return chips (N, S, S, 3) of images (N, H, W), (N, H, W, 1) or (N, H, W, 3); uint8 where the numbers are bytes.

    Raises InputError for any other shape or kind, and for numbers that are not finite.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[-1] not in (1, 3):
        raise InputError(
            f"{source}: {called} has shape {images.shape}, its channels first; save {called}.transpose(0, 2, 3, 1)"
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape or images.dtype.kind not in "uif":
        raise InputError(
            f"{source}: {called} has shape {images.shape} of {images.dtype}; expected (N, height, width, 3) numbers"
        )
    if images.dtype != np.uint8:
        if images.dtype.kind in "ui" and images.min() >= 0 and images.max() <= 255:
            images = images.astype(np.uint8)
        else:
            images = images.astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))
            if len(bad):
                raise InputError(
                    f"{source}: {called}[{bad[0]}] has NaN or infinite pixels "
                    f"({len(bad)} such images); remove or mend them"
                )
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    if images.shape[1:3] != (side, side):
        import torch  # both take seconds, and only where there are images to resize
        from torchvision.transforms.v2 import functional as vision

        tensor = torch.from_numpy(np.require(images, requirements=("C", "W"))).permute(0, 3, 1, 2)
        images = vision.resize(tensor, [side, side], antialias=True).permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(images)


def class_numbers(labels: NDArray[np.generic], source: str, called: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class of each image (N,) as an index, and the classes' names: text as it stands, numbers as they read.

    Raises InputError where labels are neither, nor one-hot.
    """
    if labels.dtype.kind in "US" and (labels.ndim == 1 or labels.shape[1:] == (1,)):
        text = [
            word.decode("utf-8", "replace") if isinstance(word, bytes) else word for word in labels.ravel().tolist()
        ]
        words, index = np.unique(text, return_inverse=True)
        return index.astype(np.int64), tuple(printable(str(word)) or "(no name)" for word in words)
    if labels.dtype.kind not in "uifb" or labels.ndim not in (1, 2):
        raise InputError(
            f"{source}: {called} has shape {labels.shape} of {labels.dtype}; "
            "expected (N,) numbers or names, or (N, classes) one-hot"
        )
    values = labels.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{source}: {called} holds NaN or infinite labels")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2:
        if not (np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()):
            raise InputError(f"{source}: {called} has shape {labels.shape} but its rows are not one-hot")
        values = np.asarray(values.argmax(1), dtype=np.float64)
    numbers, index = np.unique(values, return_inverse=True)
    names = tuple(str(int(name)) if name == int(name) else repr(float(name)) for name in numbers)
    return index.astype(np.int64), names
