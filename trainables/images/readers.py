"""Reading a user's images: class folders, the same in a .zip, `input_data.npz`, Statoil `train.json` (also zipped).

A folder, a zip and a single file are all a list of entries. What the entries are decides how they are read, so an npz
in a folder or a json in a zip works too.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from trainables.config import SIDE
from trainables.data import ChipSet
from trainables.errors import InputError, listed, printable
from trainables.images.arrays import Arrays
from trainables.images.files import LARGEST_FILE, Entry, Listing, listing
from trainables.images.layout import BY_FOLDER, BY_PREFIX, lay_out
from trainables.images.pixels import STRETCHED, decode_picture, first_line
from trainables.images.render import render_bands
from trainables.images.scale import OF_FILES

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
BAND_SIDE = 75  # of a Statoil record
LARGEST_VALUE = 1e30  # sums and squares of a band's values stay single-precision numbers

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reading:
    """How a user's images are to be read: what of, and what is said about, their folders and their faults.

    `skip_bad` leaves unreadable images out and notes them; `group_by` says what keeps images together
    (`trainables.images.layout`); `merge_splits` takes the folders of a split as one set; `results` is passed over.
    Images are resized to `side`, except a Statoil record's bands.
    """

    skip_bad: bool = False
    group_by: str = BY_FOLDER
    merge_splits: bool = False
    results: Path | None = None
    side: int = SIDE


def read_chips(path: Path, how: Reading | None = None, progress: Progress | None = None) -> ChipSet:
    """Read a folder, .zip, .npz or .json into a `ChipSet`.

    `progress` hears (done, total). Raises InputError, naming the file or record and what would be right.
    """
    how = how or Reading()
    found = listing(path, how.results)
    for kind, reader in ((".npz", functools.partial(_read_npz, side=how.side)), (".json", _read_json)):
        files = [file for file in found.files if file.ending == kind]
        if files and not any(file.ending in IMAGE_ENDINGS for file in found.files):
            if how.group_by.startswith(BY_PREFIX):
                raise InputError(f"{path}: --group-by {how.group_by} asks for file names, and {kind} has none")
            return reader(files, str(path))
    return _read_folders(found, str(path), how, progress)


# --- class folders ---------------------------------------------------------------------------------------------------


def _read_folders(found: Listing, source: str, how: Reading, progress: Progress | None) -> ChipSet:
    files = [file for file in found.files if file.ending in IMAGE_ENDINGS]
    others = _other_kinds(found.files)
    if not files:
        among = f" among {others}" if others else ""
        raise InputError(f"{source}: no images found{among}; expected one folder of images for each class")
    layout = lay_out([file.path for file in files], found.folders, source, how.group_by, how.merge_splits)
    chips, bad, remarks = _decoded(files, source, how, progress)
    good = np.setdiff1d(np.arange(len(files)), bad)
    classes = np.unique([layout.classes[index] for index in good])
    labels = np.searchsorted(classes, [layout.classes[index] for index in good])
    lost = sorted(set(layout.classes) - set(classes))
    lacking = dict.fromkeys(lost, "none can be read")
    lacking |= {name: _what_lies_in(folder, found.files) for name, folder in layout.empty.items()}
    notes = [*found.notes, *layout.notes]
    notes += [f"passed over files of other kinds: {others}"] if others else []
    skipped = tuple(printable(str(files[index].path)) for index in bad)
    notes += [f"skipped {len(skipped)} unreadable images: {listed(skipped)}"] if skipped else []
    notes += [f"{len(named)} images have {remark}: {listed(named)}" for remark, named in sorted(remarks.items())]
    return ChipSet(
        chips,
        labels.astype(np.int64),
        tuple(map(str, classes)),
        source,
        tuple(notes),
        groups=_numbered([layout.groups[index] for index in good]) if layout.groups else None,
        group_by=how.group_by,
        names=tuple(printable(str(files[index].path)) for index in good),
        lacking=lacking,
        skipped=skipped,
        scale=OF_FILES,
    )


def _decoded(
    files: Sequence[Entry], source: str, how: Reading, progress: Progress | None
) -> tuple[NDArray[np.uint8], list[int], dict[str, list[str]]]:
    """The chips (N, S, S, 3) of the files that can be read, the indices of the others, the files of each remark."""
    remarks: dict[str, list[str]] = defaultdict(list)
    chips = np.empty((len(files), how.side, how.side, 3), np.uint8)
    bad: list[int] = []
    first: InputError | None = None
    for index, file in enumerate(files):
        try:
            picture = decode_picture(file.read(), how.side)
            chips[index - len(bad)] = picture.pixels
            for remark in picture.remarks - {STRETCHED}:
                remarks[remark].append(printable(str(file.path)))
        except InputError as error:
            bad.append(index)
            first = first or error
        if first and not how.skip_bad and len(bad) <= index:  # some can be read: going on without the others would help
            name = printable(str(files[bad[0]].path))
            raise InputError(
                f"{source}: {name}: {first}; mend or remove it, or go on without such files with --skip-bad"
            ) from first
        if progress:
            progress(index + 1, len(files))
    if first and len(bad) == len(files):
        raise InputError(f"{source}: none of the {len(files)} images can be read; the first: {first}") from first
    return chips[: len(files) - len(bad)], bad, remarks


def _numbered(groups: Sequence[str | None]) -> NDArray[np.int64]:
    """A number for each image (N,): equal names have equal numbers, an image without one has its own."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(name or index, len(known)) for index, name in enumerate(groups)])


def _other_kinds(files: Iterable[Entry]) -> str:
    """What is no image, by file ending, the five most common."""
    endings = Counter(printable(file.ending) or "no ending" for file in files if file.ending not in IMAGE_ENDINGS)
    return ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(5))


def _what_lies_in(folder: PurePosixPath, files: Iterable[Entry]) -> str:
    """Why a class folder has no image: what it holds instead."""
    others = _other_kinds(file for file in files if folder in (file.path, *file.path.parents))
    return f"no image among {others}" if others else "an empty folder"


def _content(file: Entry, source: str) -> bytes:
    try:
        return file.read()
    except InputError as error:
        raise InputError(f"{source}: {file.path}: {error}") from error


# --- input_data.npz --------------------------------------------------------------------------------------------------


def _read_npz(files: Sequence[Entry], source: str, side: int) -> ChipSet:
    if len(files) > 1:
        raise InputError(f"{source}: {len(files)} npz files; give the one with X_train and Y_train")
    content = _content(files[0], source)
    _check_unpacked(content, source)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            missing = {"X_train", "Y_train"} - set(arrays.files)
            if missing:
                raise InputError(
                    f"{source}: no array {' or '.join(sorted(missing))}; it holds {listed(arrays.files) or 'nothing'}"
                )
            images, labels = arrays["X_train"], arrays["Y_train"]
            if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
                raise InputError(f"{source}: X_train or Y_train is no array")  # numpy hands over what it cannot read
    except InputError:
        raise
    except Exception as error:  # numpy raises many kinds on damaged files
        if str(error).startswith("Object arrays"):
            raise InputError(
                f"{source}: X_train or Y_train holds Python objects; save numbers, or names as text (Y.astype(str))"
            ) from error
        raise InputError(f"{source}: not a readable npz file ({first_line(error)})") from error
    return Arrays(images, labels, source=source, called=("X_train", "Y_train")).chips(side)


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


# --- Statoil train.json ----------------------------------------------------------------------------------------------


def _read_json(files: Sequence[Entry], source: str) -> ChipSet:
    images, labels, names, unlabelled = [], [], [], 0
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
            names.append(printable(f"{file.path}: record {number}"))
    if not images:
        raise InputError(
            f"{source}: no labelled record (is_iceberg 0 or 1) among {unlabelled}; "
            "give the train.json, not the test.json"
        )
    present = sorted(set(labels))
    classes = tuple(("iceberg", "ship")[label] for label in present)
    notes = (f"left out {unlabelled} records without is_iceberg",) if unlabelled else ()
    numbers = np.searchsorted(present, labels).astype(np.int64)
    return ChipSet(np.stack(images), numbers, classes, source, notes, names=tuple(names))


def _records(file: Entry, source: str) -> list[object]:
    try:
        content = json.loads(_content(file, source))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: {file.path}: not valid JSON ({first_line(error)})") from error
    return content if isinstance(content, list) else [content]


def _band(record: dict[str, object], name: str, where: str) -> NDArray[np.float64]:
    values = record.get(name)
    if not isinstance(values, list) or len(values) != BAND_SIDE**2:
        found = f"{len(values)} values" if isinstance(values, list) else "no list"
        raise InputError(
            f"{where}: {name} has {found}; expected {BAND_SIDE**2} ({BAND_SIDE} x {BAND_SIDE}, row by row)"
        )
    try:
        band = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: {name} holds something that is not a number") from error
    if band.shape != (BAND_SIDE**2,) or not (np.abs(band) < LARGEST_VALUE).all():
        raise InputError(f"{where}: {name} holds NaN, infinite, nested or absurdly large values")
    return band.reshape(BAND_SIDE, BAND_SIDE)
