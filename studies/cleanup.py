"""A process beside a Ray of our own: once the run is over, however it ended, nothing of that Ray is left.

    python cleanup.py FOLDER DRIVER < a pipe that the driver holds open

Ray writes into a temporary folder: logs, sockets, and what does not fit into shared memory, the user's images among it.
Its processes end with the driver if that is asked to end, and not always if it is killed. So this process waits for the
end of its standard input, which is the driver's end or its word; ends what still has a file open in the folder; and
removes the folder. It needs the standard library alone and leaves the driver's process group, which Ctrl-C goes to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

GRACE = 2.0  # seconds in which Ray's processes may end by themselves
LAST = 8.0  # seconds after which they are left alone
LONGEST = 107 - len("/session_2026-11-26_12-00-00_000000_4194304/sockets/plasma_store")  # bytes; 107: a socket's path


@contextlib.contextmanager
def guarded_folder(parent: Path) -> Iterator[Path]:
    """Make a folder below `parent` that only its user may enter; end what uses it and remove it on exit, or on death.

    Raises OSError where it cannot be made.
    """
    folder = Path(tempfile.mkdtemp(prefix="sv", dir=parent))  # mode 700
    cleaner = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(folder), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    assert cleaner.stdin is not None
    try:
        yield folder
    finally:
        cleaner.stdin.close()
        cleaner.wait()


def users_of(folder: Path) -> list[int]:
    """Return the Ray processes that have a file below `folder` open or name it in their command; none without /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            command = (process / "cmdline").read_bytes()
            opened = (file.readlink() for file in (process / "fd").iterdir())
            if b"ray" in command and (bytes(folder) in command or any(file.is_relative_to(folder) for file in opened)):
                found.append(int(process.name))
    return found


def main(folder: Path, driver: int) -> None:
    """Wait for the driver, then clean up."""
    sys.stdin.buffer.read()
    began = time.monotonic()
    while time.monotonic() - began < LAST:
        left = [process for process in users_of(folder) if process not in (driver, os.getpid())]
        if not left:
            break
        if time.monotonic() - began > GRACE:
            for process in left:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
