"""The files of a user's data, whether they lie in a folder, in a .zip or alone: names, and a way to read each.

Links are followed, as torchvision's ImageFolder does: DVC, git-annex and the hubs' caches keep data so. In a zip they
are refused, since there they may point anywhere on the machine that unpacks it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from trainables.errors import InputError, listed

LARGEST_FILE = 8 * 2**30  # bytes, unpacked; beyond it a file is a mistake or a bomb

# what archivers, disks, NAS boxes and package managers leave beside the data
SYSTEM_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
    | {"__pycache__", "node_modules", "site-packages"}
)
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"  # a folder that holds it is one

_POINTERS = {
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS, not the file itself; get it with git lfs pull",
    b"/annex/objects/": "a pointer of git-annex, not the file itself; get it with git annex get",
}


@dataclass(frozen=True)
class Entry:
    """One file: its path inside the folder or zip, its size in bytes once unpacked, and how to read it.

    Reading raises InputError for what cannot be read, is absurdly large, or only points to the real file.
    """

    path: PurePosixPath
    size: int
    load: Callable[[], bytes]

    @property
    def ending(self) -> str:
        """The lower-case file ending, with its dot."""
        return self.path.suffix.lower()

    def read(self) -> bytes:
        """Return the content."""
        if self.size > LARGEST_FILE:
            raise InputError(
                f"would take {self.size / 2**30:.0f} GiB; no file of more than {LARGEST_FILE / 2**30:.0f} GiB is read"
            )
        content = self.load()
        for start, said in _POINTERS.items():
            if content.startswith(start):
                raise InputError(said)
        return content


@dataclass(frozen=True)
class Listing:
    """The visible files below a folder or in a zip, sorted by name, all visible folders, and what was passed over."""

    files: tuple[Entry, ...]
    folders: frozenset[PurePosixPath]
    notes: tuple[str, ...] = ()


def listing(path: Path, results: Path | None = None) -> Listing:
    """Return what lies in a folder or .zip, or the one .npz or .json itself; studies' own results are passed over.

    `results` is the folder that this run writes to, wherever it lies. Raises InputError if there is nothing at `path`,
    it is of no kind that can be read, or a link in it cannot be followed.
    """
    if not is_there(path):
        raise InputError(f"{path}: no such file or folder; --data takes a folder of class folders, .zip, .npz or .json")
    kind = path.suffix.lower()
    folders: set[PurePosixPath] = set()
    if path.is_dir():
        found = list(_walk(path, PurePosixPath(), {_identity(path)}, folders, results and results.resolve()))
    elif kind == ".zip":
        found = list(_zip_entries(path, folders))
    elif kind in (".npz", ".json"):
        found = [alone(path)]
    else:
        raise InputError(
            f"{path}: not a kind of data that can be read; give a folder of class folders, .zip, .npz or .json"
        )
    files = sorted((file for file in found if is_visible(file.path)), key=lambda file: file.path.parts)
    return _without_studies(files, {folder for folder in folders if is_visible(folder)})


def alone(path: Path) -> Entry:
    """Return a single file; raise InputError where nothing can be known of it."""
    try:
        return Entry(PurePosixPath(path.name), path.stat().st_size, _file_reader(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def is_visible(path: PurePath) -> bool:
    """Return whether no part of a path below a user's folder is hidden or a system's own."""
    return not any(part.startswith(".") or part in SYSTEM_FOLDERS for part in path.parts)


def user_path(text: str) -> Path:
    """Return the path that a user typed: ~ at its beginning is the home folder, also where no shell has seen to it."""
    with contextlib.suppress(RuntimeError):  # ~somebody who is not known here
        return Path(text).expanduser()
    return Path(text)


def is_there(path: Path) -> bool:
    """Return whether a path exists; raise InputError where that cannot be known, as with too long a name."""
    try:
        return path.exists()
    except OSError as error:
        raise InputError(f"{str(path)[:60]}: cannot be read ({error.strerror})") from error


def _without_studies(files: Sequence[Entry], folders: set[PurePosixPath]) -> Listing:
    """Leave out study folders with their figures, and what holds nothing but them."""
    studies = {file.path.parent for file in files if file.path.name == "study.json" and _is_study(file)}
    if not studies:
        return Listing(tuple(files), frozenset(folders))
    holders = {above for study in studies for above in (study, *study.parents)} - {PurePosixPath()}
    kept = tuple(file for file in files if not studies & {*file.path.parents})
    return Listing(
        kept,
        frozenset(folder for folder in folders if not holders & {folder, *folder.parents}),
        (f"passed over the results of {len(studies)} studies: {listed(sorted(map(str, studies)))}",),
    )


def _is_study(file: Entry) -> bool:
    with contextlib.suppress(InputError, ValueError, RecursionError):
        content = json.loads(file.read())
        return isinstance(content, dict) and {"schema", "stage"} <= content.keys()
    return False


# --- folders ---------------------------------------------------------------------------------------------------------


def _walk(
    folder: Path, inside: PurePosixPath, above: set[tuple[int, int]], folders: set[PurePosixPath], skip: Path | None
) -> Iterator[Entry]:
    """The files below `folder`, links followed; `above` are the folders on the way here, `folders` collects all."""
    for found in _scan(folder):
        place, where = inside / found.name, Path(found.path)
        if not is_visible(place):
            continue
        try:
            known = found.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{where}: a link that leads back to itself; mend or remove it") from error
            yield Entry(place, 0, _lost_reader(where))
            if not place.suffix:
                folders.add(place)  # what would be there may be a class
            continue
        if stat.S_ISREG(known.st_mode):
            yield Entry(place, known.st_size, _file_reader(where))
        elif stat.S_ISDIR(known.st_mode) and not (where / VIRTUAL_ENVIRONMENT).exists() and where.resolve() != skip:
            if (known.st_dev, known.st_ino) in above:
                raise InputError(
                    f"{where}: a link back to a folder that it lies in ({where.resolve()}), a loop; remove it"
                )
            folders.add(place)
            yield from _walk(where, place, above | {(known.st_dev, known.st_ino)}, folders, skip)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _identity(folder: Path) -> tuple[int, int]:
    known = folder.stat()
    return known.st_dev, known.st_ino


def _file_reader(file: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})") from error

    return read


def _lost_reader(link: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            target = str(link.readlink())
        except OSError as error:
            target = str(error.strerror)
        raise InputError(f"a link that leads nowhere ({target}); fetch what it points to (dvc pull, git annex get)")

    return read


# --- zips ------------------------------------------------------------------------------------------------------------


def _zip_entries(path: Path, folders: set[PurePosixPath]) -> Iterator[Entry]:
    archive = _opened(path)
    files = []
    for info in archive.infolist():
        inside = PurePosixPath(info.filename.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or (inside.parts and ":" in inside.parts[0]):
            raise InputError(
                f"{path}: the member {info.filename!r} points outside the zip; make the zip again from a folder"
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(
                f"{path}: the member {info.filename!r} is a link; make the zip again with the files themselves"
            )
        if not inside.parts:  # a damaged zip may have a member without a name
            continue
        folders.update([inside] if info.is_dir() else [], (above for above in inside.parents if above.parts))
        if not info.is_dir():
            files.append((inside, info))
    if files and all(info.flag_bits & 1 for _, info in files):
        raise InputError(f"{path}: every file in it needs a password; unpack it, and give the folder")
    yield from (Entry(inside, info.file_size, _zip_reader(archive, info)) for inside, info in files)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # NotImplementedError, struct.error, UnicodeDecodeError: by what is damaged
        first = (str(error).splitlines() or [type(error).__name__])[0]
        with contextlib.suppress(OSError), open(path, "rb") as file:
            head = file.read(100)
            first = next((said for start, said in _POINTERS.items() if head.startswith(start)), first)
        raise InputError(
            f"{path}: not a readable zip file ({first}); make it again, or give the unpacked folder"
        ) from error


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if info.flag_bits & 1:
            raise InputError("needs a password; unpack the zip, and give the folder")
        try:
            return archive.read(info)
        except Exception as error:  # zipfile, zlib, lzma and bz2 each raise their own
            said = str(error).replace(repr(info), repr(info.filename)) or type(error).__name__
            raise InputError(f"cannot be unpacked ({said})") from error

    return read
