"""What can go wrong, by who can mend it.

SearchError
├── InputError       the user's data, file or argument: one line of what, where, what would be right; exit 2
│   └── ConfigError  a value of a `TrialConfig` or a `Stage` that makes no sense
└── Diverged         training left the finite numbers: the trial is infeasible, the study goes on
"""


class SearchError(Exception):
    """Root of every error that this project raises on purpose."""


class InputError(SearchError):
    """Raised when data, a file or an argument cannot be used; the message is the one line a user reads."""


class ConfigError(InputError):
    """Raised when a configuration names an unknown path or holds a value outside its range."""


class Diverged(SearchError):
    """Raised by the training loop when a loss is no longer finite (playbook: an infeasible trial)."""
