"""The files of a user's data, whether they lie in a folder, in a .zip or alone: names, and a way to read each."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from trainables.errors import InputError

LARGEST_FILE = 8 * 2**30  # bytes, unpacked; beyond it a file is a mistake or a bomb


@dataclass(frozen=True)
class Entry:
    """One file: its path inside the folder or zip, its size in bytes once unpacked, and how to read it."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]

    @property
    def ending(self) -> str:
        """The lower-case file ending, with its dot."""
        return self.path.suffix.lower()


def entries(path: Path) -> Iterator[Entry]:
    """Return the visible files of a folder or .zip, or the one .npz or .json itself, sorted by name.

    Raises InputError if there is nothing at `path`, it is of no kind that can be read, or something in it points
    outside or is absurdly large.
    """
    for entry in sorted(_all_entries(path), key=lambda entry: entry.path.parts):
        if is_visible(entry.path):
            if entry.size > LARGEST_FILE:
                raise InputError(
                    f"{path}: {str(entry.path)!r} would take {entry.size / 2**30:.0f} GiB; "
                    f"no file of more than {LARGEST_FILE / 2**30:.0f} GiB is read"
                )
            yield entry


def is_visible(path: PurePath) -> bool:
    """Return whether no part of a path below a user's folder is hidden or an archiver's own."""
    return not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def is_there(path: Path) -> bool:
    """Return whether a path exists; raise InputError where that cannot be known, as with too long a name."""
    try:
        return path.exists()
    except OSError as error:
        raise InputError(f"{str(path)[:60]}: cannot be read ({error.strerror})") from error


def _all_entries(path: Path) -> Iterator[Entry]:
    if not is_there(path):
        raise InputError(f"{path}: no such file or folder; --data takes a folder of class folders, .zip, .npz or .json")
    if path.is_dir():
        inside = path.resolve()
        for file in path.rglob("*"):
            if file.is_symlink() and file.is_dir():
                raise InputError(
                    f"{path}: {file.name!r} is a link to a folder; links are not followed, give the real folder"
                )
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                raise InputError(f"{path}: {file.name!r} is a link out of the folder; put the file itself there")
            if file.is_file():
                name = PurePosixPath(file.relative_to(path).as_posix())
                yield Entry(name, file.stat().st_size, _file_reader(file))
    elif path.suffix.lower() == ".zip":
        yield from _zip_entries(path)
    elif path.suffix.lower() in (".npz", ".json"):
        yield Entry(PurePosixPath(path.name), path.stat().st_size, _file_reader(path))
    else:
        raise InputError(
            f"{path}: not a kind of data that can be read; give a folder of class folders, .zip, .npz or .json"
        )


def _zip_entries(path: Path) -> Iterator[Entry]:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # NotImplementedError, struct.error, UnicodeDecodeError: by what is damaged
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: not a readable zip file ({first}); make it again, or give the unpacked folder"
        ) from error
    for info in archive.infolist():
        inside = PurePosixPath(info.filename.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or (inside.parts and ":" in inside.parts[0]):
            raise InputError(
                f"{path}: the member {info.filename!r} points outside the zip; make the zip again from a folder"
            )
        if inside.parts and not info.is_dir():  # a damaged zip may have a member without a name
            yield Entry(inside, info.file_size, _zip_reader(archive, info, path))


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return archive.read(info)
        except Exception as error:  # zipfile, zlib, lzma and bz2 each raise their own
            raise InputError(f"{path}: cannot unpack {info.filename!r} ({error or type(error).__name__})") from error

    return read


def _file_reader(file: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from error

    return read
