"""A worker by itself, for `benchmarks.growth`: it is handed the training data, loads it and trains two epochs.

    python -m benchmarks.worker FOLDER

FOLDER is what `hand_over` wrote: the data as Ray's object store keeps it, arrays apart, so that a worker maps them and
copies nothing. Prints a JSON object: bytes before it had data and at its peak, and seconds of the second epoch of the
baseline; the first pays for what torch loads when it is first used.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

import trainables.trial  # noqa: F401  # Ray's worker has loaded it, and with it Ray
from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.training import DeviceData, train


def hand_over(data: TrialData, folder: Path) -> None:
    """Write the data with its arrays in files of their own (pickle protocol 5)."""
    buffers: list[pickle.PickleBuffer] = []
    (folder / "data").write_bytes(pickle.dumps(data, protocol=5, buffer_callback=buffers.append))
    for number, buffer in enumerate(buffers):
        np.save(folder / f"{number}.npy", np.frombuffer(buffer.raw(), dtype=np.uint8))


def handed_over(folder: Path) -> TrialData:
    """Read what `hand_over` wrote; the arrays are mapped, and read-only."""
    count = len(list(folder.glob("*.npy")))
    arrays = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(count)]
    data: TrialData = pickle.loads((folder / "data").read_bytes(), buffers=arrays)
    return data


def peak_bytes() -> int:
    """Return the most memory that this process has had, pages shared with others included.

    Not `getrusage`: on Linux its maximum begins with that of the process that started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return int(found.group(1)) * 1024


def main(folder: Path) -> None:
    """Load, train, and print what it took."""
    torch.set_num_threads(1)
    base = peak_bytes()
    data = DeviceData.of(handed_over(folder))
    epochs = train(TrialConfig(), data)
    next(epochs)
    began, cpu = time.perf_counter(), time.process_time()
    next(epochs)
    measured = {"epoch_s": time.perf_counter() - began, "epoch_cpu_s": time.process_time() - cpu}
    print(json.dumps(measured | {"worker_bytes": peak_bytes(), "worker_base_bytes": base}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
