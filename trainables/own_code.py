"""A user's own Python, run from its text: so it is the same code on the driver, on every worker, and years later."""

from __future__ import annotations

import functools
import hashlib
import sys
import traceback
from types import ModuleType

from trainables.errors import InputError


def digest(source: str) -> str:
    """Return the SHA-256 of a file of this text, in hexadecimal."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()


@functools.cache
def run_source(source: str, file: str) -> ModuleType:
    """Return the module that `source` makes, once a process; `file` is what errors call it.

    Raises InputError, with the line, for whatever goes wrong in it.
    """
    name = f"own_{digest(source)[:16]}"
    module = sys.modules[name] = ModuleType(name)  # dataclasses look their module up
    try:
        exec(compile(source.removeprefix("\ufeff"), file, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{where(error, file)}: {said(error)}") from error
    return module


def where(error: BaseException, file: str) -> str:
    """Return the file and, where it is known, the line of it that an error came from."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{file} line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file} line {lines[-1]}" if lines else file


def said(error: BaseException) -> str:
    """Return what an error says, on one line; its kind too, where it is not one of ours."""
    if isinstance(error, InputError):
        return str(error)
    first = error.msg if isinstance(error, SyntaxError) else next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
