"""What the programs' command lines share."""

from __future__ import annotations

import argparse
from typing import NoReturn

from trainables.errors import InputError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage."""
        raise InputError(f"{message}; see --help")


def add_own_code(parser: argparse.ArgumentParser) -> None:
    """Add the option that trusts a verifier's own code, to a command that loads one."""
    what = "run the code of a verifier whose encoder is its user's own (--encoder)"
    parser.add_argument("--own-code", action="store_true", help=what)
