"""What can go wrong, by who can put it right.

SearchError
├── InputError       the user's data, file or argument: one line of what, where, what would be right; exit 2
│   └── ConfigError  a value of a `TrialConfig` or a `Stage` that makes no sense
├── Halted           the run cannot go on, and what is done is kept: a full disk, Ray lost
└── Diverged         training left the finite numbers: the trial is infeasible, the study goes on
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

ABOUT_NO_FILE = {
    errno.ENOSPC: "a disk or the shared memory is full",
    errno.EMFILE: "this process may open no more files; `ulimit -n 8192` before the command lets it",
    errno.ENFILE: "this machine can open no more files",
    errno.ENOMEM: "this machine's memory is full",
    errno.EADDRINUSE: "no port is free",
    errno.EADDRNOTAVAIL: "no port is free",
}


def what_happened(error: OSError) -> str:
    """Return in a few words what an error of the system is about: a file, or what there is no more of."""
    said = error.strerror or str(error) or type(error).__name__
    if error.filename is not None and error.errno not in (errno.EMFILE, errno.ENFILE):
        return f"{os.fsdecode(error.filename)}: {said}"
    return f"{ABOUT_NO_FILE[error.errno]} ({said})" if error.errno in ABOUT_NO_FILE else said


def printable(text: str) -> str:
    """Return text that any terminal shows on one line: what is no UTF-8 or cannot be printed becomes an escape."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in whole)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names in one line, the first `most` of them and the number of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class SearchError(Exception):
    """Root of every error that this project raises on purpose."""


class InputError(SearchError):
    """Raised when data, a file or an argument cannot be used; the message is the one line a user reads.

    Names of files and classes may hold anything: what cannot be printed on one line is escaped here.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class ConfigError(InputError):
    """Raised when a configuration names an unknown path or holds a value outside its range."""


class Diverged(SearchError):
    """Raised by the training loop when a loss is no longer finite (playbook: an infeasible trial)."""


class Halted(SearchError):
    """Raised when a run cannot go on for a reason outside it; the message says which, in one line."""
