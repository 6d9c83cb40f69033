"""Words of the command line as values; each raises ArgumentTypeError in words for what is none."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from trainables.errors import InputError
from trainables.images.files import user_path
from trainables.images.layout import group_by


def positive(text: str) -> int:
    """Return a whole number from 1."""
    if not re.fullmatch(r"0*[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def seed(text: str) -> int:
    """Return a whole number from 0."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999999")
    return int(text)


def amount(text: str) -> float:
    """Return a number from 0."""
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return float(text)


def minutes(text: str) -> float:
    """Return a number above 0."""
    if not amount(text) > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def grouping(text: str) -> str:
    """Return what `--group-by` says, if it is one of its forms."""
    try:
        return group_by(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def folder(text: str) -> Path:
    """Return a path that could be a folder."""
    path = user_path(text)
    try:
        path.exists()
    except OSError as error:  # too long a name, or a folder above it that may not be entered
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no folder that can be used ({error.strerror})") from error
    return path


def check_encodable(words: Sequence[str]) -> None:
    """Refuse a path whose bytes are no UTF-8: a study's files are JSON, and name what it was started with."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"{word}: not UTF-8, so the study's files could not name it; rename it") from error
