"""Reading a user's images: class folders, the same in a .zip, `input_data.npz`, Statoil `train.json` (also zipped).

A folder, a zip and a single file are all a list of entries. What the entries are decides how they are read, so an npz
in a folder or a json in a zip works too.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as vision

from trainables.data import ChipSet
from trainables.errors import InputError, printable
from trainables.files import LARGEST_FILE, Entry, entries
from trainables.model import SIDE
from trainables.render import render_bands

IMAGE_ENDINGS = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".jp2",
        ".j2k",
        ".pgm",
        ".ppm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".tga",
        ".ico",
        ".dds",
    ]
)
SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
BAND_VALUES = SIDE * SIDE
LARGEST_VALUE = 1e30  # sums and squares of a band's values stay single-precision numbers

Progress = Callable[[int, int], None]


def read_chips(path: Path, skip_bad: bool = False, progress: Progress | None = None) -> ChipSet:
    """Read a folder, .zip, .npz or .json into a `ChipSet`; images are resized to 75 x 75.

    `skip_bad` leaves unreadable images out and notes them; `progress` hears (done, total). Raises InputError, naming
    the file or record and what would be right.
    """
    files = list(entries(path))
    for kind, reader in ((".npz", _read_npz), (".json", _read_json)):
        found = [file for file in files if file.ending == kind]
        if found and not any(file.ending in IMAGE_ENDINGS for file in files):
            return reader(found, str(path))
    return _read_folders(files, str(path), skip_bad, progress)


# --- class folders ---------------------------------------------------------------------------------------------------


def _read_folders(found: Sequence[Entry], source: str, skip_bad: bool, progress: Progress | None) -> ChipSet:
    files = [file for file in found if file.ending in IMAGE_ENDINGS]
    others = _other_kinds(found)
    if not files:
        among = f" among {others}" if others else ""
        raise InputError(f"{source}: no images found{among}; expected one folder of images for each class")
    names = _class_names([file.path for file in files], source)
    classes = tuple(sorted(set(names)))
    images, labels, bad = [], [], []
    for done, (file, name) in enumerate(zip(files, names, strict=True), start=1):
        try:
            images.append(decode_image(file.read()))
            labels.append(classes.index(name))
        except InputError as error:
            shown = printable(str(file.path))
            if not skip_bad:
                raise InputError(
                    f"{source}: {shown}: {error}; mend or remove it, or go on without such files with --skip-bad"
                ) from error
            bad.append(shown)
        if progress:
            progress(done, len(files))
    if not images:
        raise InputError(f"{source}: none of the {len(files)} images can be read")
    present = sorted(set(labels))
    notes = [f"passed over files of other kinds: {others}"] if others else []
    notes += [f"skipped {len(bad)} unreadable images: {', '.join(bad)}"] if bad else []
    numbers = np.searchsorted(present, labels).astype(np.int64)
    return ChipSet(np.stack(images), numbers, tuple(classes[label] for label in present), source, tuple(notes))


def _other_kinds(found: Sequence[Entry]) -> str:
    """What is no image, by file ending, the five most common: a class of .heic alone must not vanish unseen."""
    endings = Counter(printable(file.ending) or "no ending" for file in found if file.ending not in IMAGE_ENDINGS)
    return ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(5))


def _class_names(paths: Sequence[PurePosixPath], source: str) -> list[str]:
    """The class of an image is the first folder below the folder that all images share."""
    shared = 0
    while all(len(path.parts) > shared + 2 for path in paths) and len({path.parts[shared] for path in paths}) == 1:
        shared += 1
    loose = [path for path in paths if len(path.parts) < shared + 2]
    if loose:
        raise InputError(
            f"{source}: the image {str(loose[0])!r} lies in no class folder; put each class in a folder of its own"
        )
    names = {path.parts[shared] for path in paths}
    if {name.lower() for name in names} <= SPLIT_NAMES and any(len(path.parts) > shared + 2 for path in paths):
        raise InputError(
            f"{source}: the folders {', '.join(sorted(names))} look like a split, not like classes; "
            "give one of them, or a folder that holds the classes"
        )
    return [printable(path.parts[shared]) for path in paths]


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Decode any image into (75, 75, 3) uint8, upright, resized with antialiasing; raise InputError if unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that Pillow can read past
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"absurdly large image ({_first_line(error)})") from error
    except Exception as error:  # each of Pillow's decoders has its own for damaged bytes
        raise InputError(f"unreadable or truncated image ({_first_line(error)})") from error
    pixels = vision.pil_to_tensor(_eight_bit(upright).convert("RGB"))
    resized = vision.resize(pixels, [SIDE, SIDE], antialias=True)
    return np.asarray(resized.permute(1, 2, 0).contiguous())


def _eight_bit(image: Image.Image) -> Image.Image:
    """Stretch 16-bit, 32-bit and float greys to 0..255 by the image's own range: radar counts use little of 16 bits."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("NaN or infinite pixels")
    low, high = values.min(), values.max()
    return Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


# --- input_data.npz --------------------------------------------------------------------------------------------------


def _read_npz(files: Sequence[Entry], source: str) -> ChipSet:
    if len(files) > 1:
        raise InputError(f"{source}: {len(files)} npz files; give the one with X_train and Y_train")
    content = files[0].read()
    _check_unpacked(content, source)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            missing = {"X_train", "Y_train"} - set(arrays.files)
            if missing:
                raise InputError(
                    f"{source}: no array {' or '.join(sorted(missing))}; "
                    f"it holds {', '.join(arrays.files) or 'nothing'}"
                )
            images, labels = arrays["X_train"], arrays["Y_train"]
            if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
                raise InputError(f"{source}: X_train or Y_train is no array")  # numpy hands over what it cannot read
    except InputError:
        raise
    except Exception as error:  # numpy raises many kinds on damaged files
        raise InputError(f"{source}: not a readable npz file ({_first_line(error)})") from error
    numbers = _npz_labels(labels, source)
    chips = _npz_images(images, source)
    if len(chips) != len(numbers):
        raise InputError(f"{source}: X_train holds {len(chips)} images, Y_train {len(numbers)} labels; they must match")
    names, index = np.unique(numbers, return_inverse=True)
    return ChipSet(
        chips,
        index.astype(np.int64),
        tuple(str(int(name)) if name == int(name) else repr(float(name)) for name in names),
        source,
    )


def _check_unpacked(content: bytes, source: str) -> None:
    """An npz is a zip: a small one may unpack to anything."""
    try:
        size = sum(info.file_size for info in zipfile.ZipFile(io.BytesIO(content)).infolist())
    except Exception:  # zipfile raises many kinds; numpy says what is wrong with the file
        return
    if size > LARGEST_FILE:
        raise InputError(
            f"{source}: its arrays would take {size / 2**30:.0f} GiB; "
            f"no more than {LARGEST_FILE / 2**30:.0f} GiB are read"
        )


def _npz_images(images: NDArray[np.generic], source: str) -> NDArray[np.uint8] | NDArray[np.float32]:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape or images.dtype.kind not in "uif":
        raise InputError(
            f"{source}: X_train has shape {images.shape} of {images.dtype}; expected (N, height, width, 3) numbers"
        )
    if images.dtype != np.uint8:
        if images.dtype.kind in "ui" and images.min() >= 0 and images.max() <= 255:
            images = images.astype(np.uint8)
        else:
            images = images.astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))
            if len(bad):
                raise InputError(
                    f"{source}: X_train[{bad[0]}] has NaN or infinite pixels "
                    f"({len(bad)} such images); remove or mend them"
                )
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    if images.shape[1:3] != (SIDE, SIDE):
        tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        images = vision.resize(tensor, [SIDE, SIDE], antialias=True).permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(images)


def _npz_labels(labels: NDArray[np.generic], source: str) -> NDArray[np.float64]:
    if labels.dtype.kind not in "uifb" or labels.ndim not in (1, 2):
        raise InputError(
            f"{source}: Y_train has shape {labels.shape} of {labels.dtype}; "
            "expected (N,) numbers or (N, classes) one-hot"
        )
    values = labels.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{source}: Y_train holds NaN or infinite labels")
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 2:
        if not (np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()):
            raise InputError(f"{source}: Y_train has shape {labels.shape} but its rows are not one-hot")
        return np.asarray(values.argmax(1), dtype=np.float64)
    return values


# --- Statoil train.json ----------------------------------------------------------------------------------------------


def _read_json(files: Sequence[Entry], source: str) -> ChipSet:
    images, labels, unlabelled = [], [], 0
    for file in files:
        for number, record in enumerate(_records(file, source)):
            where = f"{source}: {file.path}: record {number}"
            if not isinstance(record, dict):
                raise InputError(f"{where} is not an object with band_1, band_2 and is_iceberg")
            bands = [_band(record, name, where) for name in ("band_1", "band_2")]
            label = record.get("is_iceberg")
            if label is None:
                unlabelled += 1
                continue
            if label not in (0, 1):
                raise InputError(f"{where}: is_iceberg is {label!r}; it must be 0 (ship) or 1 (iceberg)")
            images.append(render_bands(*bands))
            labels.append(1 - int(label))
    if not images:
        raise InputError(
            f"{source}: no labelled record (is_iceberg 0 or 1) among {unlabelled}; "
            "give the train.json, not the test.json"
        )
    present = sorted(set(labels))
    classes = tuple(("iceberg", "ship")[label] for label in present)
    notes = (f"left out {unlabelled} records without is_iceberg",) if unlabelled else ()
    return ChipSet(np.stack(images), np.searchsorted(present, labels).astype(np.int64), classes, source, notes)


def _records(file: Entry, source: str) -> list[object]:
    try:
        content = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: {file.path}: not valid JSON ({_first_line(error)})") from error
    return content if isinstance(content, list) else [content]


def _band(record: dict[str, object], name: str, where: str) -> NDArray[np.float64]:
    values = record.get(name)
    if not isinstance(values, list) or len(values) != BAND_VALUES:
        found = f"{len(values)} values" if isinstance(values, list) else "no list"
        raise InputError(f"{where}: {name} has {found}; expected {BAND_VALUES} (75 x 75, row by row)")
    try:
        band = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: {name} holds something that is not a number") from error
    if band.shape != (BAND_VALUES,) or not (np.abs(band) < LARGEST_VALUE).all():
        raise InputError(f"{where}: {name} holds NaN, infinite, nested or absurdly large values")
    return band.reshape(SIDE, SIDE)
