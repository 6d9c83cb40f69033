"""The command line in a process of its own, and images to give it."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def search(*arguments, cwd):
    """Run `run_search.py` to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_search.py"), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,  # against a command that hangs; how long one takes is a benchmark's question
    )


def start(cwd, *arguments):
    """Start `run_search.py` in a process group of its own, which heeds signals even if these tests run in a background."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_search.py"), *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed,
    )


def _heed():
    """Undo what a shell's `&` (SIGINT) and nohup (SIGHUP) have their children ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def images(root, counts, size=(20, 20)):
    """Class folders of random pictures: every class brighter than the one before."""
    rng = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 60, (*size, 3)) + 80 * number
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
    return root
