"""Being told to stop: Ctrl-C, SIGTERM (SLURM, Kubernetes, Docker, systemd) and SIGHUP (a closed terminal) are one.

The first one raises KeyboardInterrupt, except in a `patient` part, which looks at `told` and ends by itself. The second
one ends the process at once: every file is whole at any time, and what Ray leaves is removed by studies/cleanup.py.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE = 0.1  # seconds within which several are one: `timeout` and terminals send theirs to process and group
ANEW = 0.01  # seconds until a lost KeyboardInterrupt is raised once more


class _Process:
    """What this process was told, of which there is one as there is one process."""

    heeding = False
    patience = 0
    lost = False  # Python had to ignore the KeyboardInterrupt
    told: signal.Signals | None = None
    when = 0.0
    terminal: tuple[int, ...] = ()  # which of standard input, output and error are one


_process = _Process()


def told() -> signal.Signals | None:
    """Return the signal that told this process to stop; None if none has."""
    return _process.told


def status() -> int:
    """Return the exit status of a process that was told to stop, as a shell has it: 130, 143 or 129."""
    return 128 + (_process.told or signal.SIGINT)


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Heed the three signals, but one that is ignored, as by `nohup`; do nothing in a thread, where none arrives."""
    if _process.heeding or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    hook = sys.unraisablehook
    _process.heeding, _process.told, _process.lost = True, None, False
    _process.terminal = tuple(file for file in (0, 1, 2) if os.isatty(file))
    for number in heard:
        signal.signal(number, _heed)
    sys.unraisablehook = functools.partial(_raise_anew, otherwise=hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number in heard:
            signal.signal(number, before[number])
        _process.heeding = False


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Have a first signal noted and nothing more: the part looks at `told`, or is short."""
    with heeded():
        _process.patience += 1
        try:
            yield
        finally:
            _process.patience -= 1


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Keep the handlers through a part that sets its own, and its processes deaf to SIGTERM and SIGHUP.

    These go to a whole process group from SLURM and terminals: what ends by them before the driver cannot end well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _heed(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGHUP:  # the terminal is gone, and writing to it would be a fault
        for file in _process.terminal:
            os.dup2(os.open(os.devnull, os.O_RDWR), file)
    if _process.told is None or _process.lost:
        _process.told, _process.when, _process.lost = signal.Signals(number), time.monotonic(), False
        if not _process.patience:
            raise KeyboardInterrupt
    elif time.monotonic() - _process.when > ONE:
        if 2 in _process.terminal:
            os.write(2, b"\n")
        os._exit(status())


def _raise_anew(ignored: UnraisableHookArgs, otherwise: Callable[[UnraisableHookArgs], object]) -> None:
    """Send the signal once more where its exception was lost: neither finalisers nor weak references can raise."""
    if _process.told is None or ignored.exc_type is not KeyboardInterrupt:
        otherwise(ignored)
        return
    _process.lost = True
    threading.Timer(ANEW, os.kill, (os.getpid(), _process.told)).start()
