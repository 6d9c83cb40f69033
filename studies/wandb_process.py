"""Starts the process that shows a study on Weights & Biases, and never waits for it while trials run."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

WandbMode = Literal["disabled", "offline", "online"]
WANDB_MODES: tuple[WandbMode, ...] = ("disabled", "offline", "online")
PATIENCE = 90.0  # seconds that the end of a study waits for the last uploads
HURRY = 3.0  # the same where the study was told to stop


@contextlib.contextmanager
def shown_on_wandb(
    folder: Path, mode: WandbMode, say: Callable[[str], None], hurry: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Have the study in `folder` written to Weights & Biases, in a process of its own, while the body runs.

    The process reads the study's files and sends at most one line of trouble, which is said. At the end it gets
    PATIENCE to catch up, and less if there is a `hurry`; then it is left behind, and so is it on Ctrl-C.
    """
    if mode == "disabled":
        yield
        return
    with tempfile.TemporaryFile("w+") as errors:
        process = _start(folder, mode, errors)
        teller = threading.Thread(target=_pass_on, args=(process, say), daemon=True)
        teller.start()
        try:
            yield
        finally:
            _end(process, folder, mode, errors, say, HURRY if hurry() else PATIENCE)
            teller.join()


def _start(folder: Path, mode: str, errors: IO[str]) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[1]
    known = os.environ.get("PYTHONPATH")
    return subprocess.Popen(
        [sys.executable, "-m", "studies.wandb_runs", str(folder), mode, "--follow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,  # Ctrl-C is for the study; this process ends with its standard input
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{known}" if known else str(root)},
    )


def _pass_on(process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            say(f"note: {line.strip()}")


def _end(
    process: subprocess.Popen[str],
    folder: Path,
    mode: str,
    errors: IO[str],
    say: Callable[[str], None],
    patience: float,
) -> None:
    """Let the process catch up; say so if it cannot, or if it had died."""
    assert process.stdin is not None
    again = shlex.join(["python", "-m", "studies.wandb_runs", str(folder), mode])
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        status = process.wait(patience)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        process.kill()
        process.wait()
        say(f"note: Weights & Biases had not taken everything when it was left; {again} writes it again")
        if isinstance(error, KeyboardInterrupt):
            raise
        return
    if status:
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [f"status {status}"])[-1]
        say(f"note: the process that writes to Weights & Biases ended early ({last[:200]}); {again} tries again")
