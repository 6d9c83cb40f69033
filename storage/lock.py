"""One run a folder: a lock that goes with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from trainables.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold `folder` for this process; raise InputError with the holder's process number if another has it.

    The system releases the lock when the process ends, killed or not, so none is ever stale. Where a disk cannot lock
    (Lustre without its `flock` option), the number of a process that lives on this machine counts as a lock, and what
    that does not see is said.
    """
    path = folder / LOCK
    me = f"{os.getpid()} on {socket.gethostname()}"
    with open(path, "a+", encoding="utf-8") as file:
        file.seek(0)
        holder = file.read().strip()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(_refusal(folder, holder)) from None
        except OSError as error:
            if _lives_here(holder):
                raise InputError(_refusal(folder, holder)) from None
            say(
                f"note: {folder}: its disk cannot lock files ({error.strerror}); a second run of this study is refused "
                "on this machine, and not on another"
            )
        file.truncate(0)
        file.write(f"{me}\n")
        file.flush()
        yield  # the file stays: to take it away would let two hold two files of one name


def _refusal(folder: Path, holder: str) -> str:
    return f"{folder}: process {holder or 'unknown'} is running this study; wait for it, or end it"


def _lives_here(holder: str) -> bool:
    """Whether the process that wrote its number last is one of this machine, other than this one, and lives."""
    number, _, host = holder.partition(" on ")
    if not number.isdecimal() or host != socket.gethostname() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except OSError as error:
        return error.errno == errno.EPERM  # another user's
    return True
