"""Shared material: small real chip sets, and the real data that lies beside the project where there is any."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from trainables.data import ChipSet, PreparedData, TrialData
from trainables.images.synthetic import simulate
from trainables.preparation import prepare
from trainables.training import DeviceData

settings.register_profile("untimed", deadline=None)  # timings are benchmarks, not tests
settings.load_profile("untimed")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `make test` files with many tests of Ray come first, then slow ones, so that short ones fill the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        ray, slow = (Counter(item.path for item in items if item.get_closest_marker(name)) for name in ("ray", "slow"))
        items.sort(key=lambda item: (-ray[item.path], -slow[item.path]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real image sets; users do not have it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real image sets in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def chips() -> ChipSet:
    """Sixty simulated chips."""
    return simulate(60, seed=3)


@pytest.fixture(scope="session")
def prepared(chips: ChipSet) -> PreparedData:
    return prepare(chips, "grouped", seed=0)


@pytest.fixture(scope="session")
def trial_data(prepared: PreparedData) -> TrialData:
    return prepared.for_trials()


@pytest.fixture(scope="session")
def device_data(trial_data: TrialData) -> DeviceData:
    return DeviceData.of(trial_data)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with images, and beside it the only home and temporary folder that the command knows."""
    root = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))  # Ray's sockets need a short path
    rng = np.random.default_rng(0)
    for name in ("boat", "ship"):
        (root / "chips" / name).mkdir(parents=True)
        for index in range(30):
            Image.fromarray(rng.integers(0, 256, (75, 75, 3), np.uint8)).save(root / "chips" / name / f"{index}.png")
    for name in ("home", "tmp"):
        (root / name).mkdir()
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("TMPDIR", str(root / "tmp"))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    yield root
    shutil.rmtree(root)
