"""What can go wrong, by who can mend it.

SearchError
├── InputError       the user's data, file or argument: one line of what, where, what would be right; exit 2
│   └── ConfigError  a value of a `TrialConfig` or a `Stage` that makes no sense
├── Halted           the run cannot go on, and what is done is kept: a full disk, Ray lost
└── Diverged         training left the finite numbers: the trial is infeasible, the study goes on
"""

from __future__ import annotations

from collections.abc import Sequence


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
