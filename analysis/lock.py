"""One run a folder: a lock that goes with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from trainables.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; raise InputError with the holder's process number if another has it.

    The system releases the lock when the process ends, killed or not, so none is ever stale.
    """
    path = folder / LOCK
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder}: process {file.read().strip() or 'unknown'} is running this study; wait for it, or end it"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield  # the file stays: to take it away would let two hold two files of one name
