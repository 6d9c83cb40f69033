"""What a search leaves on a machine outside its results folder: nothing, however it ends."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studies.cluster import ray_cluster
from tests.command import ROOT, start
from tests.leftovers import left
from trainables.errors import InputError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

COMMAND = ("--stage", "lr", "--data", "chips", "--smoke", "--study", "s")


def marks(root):
    """A stretch of bytes from the middle of every image, as it is in memory."""
    return [np.asarray(Image.open(path)).tobytes()[9000:9064] for path in (root / "chips").rglob("*.png")]


def with_images(root, marks):
    """The files that have one of these in them, the images themselves aside."""
    found = []
    for folder, _, names in os.walk(root):  # which passes over a folder that is gone again
        for path in (Path(folder, name) for name in names if root / "chips" not in Path(folder, name).parents):
            with contextlib.suppress(OSError):  # gone again, or no file
                found += [str(path)] if any(mark in path.read_bytes() for mark in marks) else []
    return found


def test_a_study_keeps_no_image_and_leaves_nothing_outside_its_results(place):
    """No file of Ray's has an image's bytes at any time, its folder is for its user alone, and at the end nothing of it is left."""
    wanted, seen, modes = marks(place), set(), set()
    process = start(place, *COMMAND)
    while process.poll() is None:
        seen |= set(with_images(place, wanted))
        modes |= {path.stat().st_mode & 0o777 for path in (place / "tmp").glob("sv*")}
        time.sleep(0.1)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert not seen
    assert modes == {0o700}
    assert not left(place)
    assert not with_images(place, wanted)


def test_a_killed_driver_leaves_nothing(place):
    """SIGKILL for the driver in mid-search: ten seconds later nothing of Ray's runs, and its folder is gone."""
    process = start(place, *COMMAND, "--trials", "50")
    epochs, deadline = place / "results/lr/s/epochs.csv", time.monotonic() + 120
    while not (epochs.exists() and len(epochs.read_text().splitlines()) > 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(place)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while (remaining := left(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not remaining


@pytest.fixture
def small(place):
    """A temporary folder of 20 MiB."""
    disk = place / "small"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_no_room_for_ray_is_named_before_it_starts(small, monkeypatch):
    """Where RAY_TMPDIR is nearly full, or missing, or too long for a socket, one line names it; a TMPDIR that is too long is not used."""
    monkeypatch.setenv("RAY_TMPDIR", str(small))
    with (
        pytest.raises(InputError, match=rf"{small}: only 20 MiB are free, Ray's own files want 50; make room"),
        ray_cluster(),
    ):
        pass
    monkeypatch.setenv("RAY_TMPDIR", str(small / "none"))
    with pytest.raises(InputError, match="is no folder that can be written to; set RAY_TMPDIR"), ray_cluster():
        pass
    long = small / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with (
        pytest.raises(
            InputError, match=r"x: is too long for Ray's sockets; set RAY_TMPDIR to a folder of at most \d+ bytes"
        ),
        ray_cluster(),
    ):
        pass
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with ray_cluster() as cluster:
        assert cluster.cpus
        assert not list(long.iterdir())


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("ulimit -n 100", "a process may open 100 files here, Ray wants 512; say `ulimit -n 8192` before"),
        (
            'unshare -n true && exec unshare -n sh -c "ip link set lo up; '
            'echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range; {}"',
            "Ray wants 32 free ports of this machine: no port is free (Address already in use",
        ),
    ],
)
def test_what_ray_would_wait_for_without_end_is_said(before, said):
    """Too few files that may be open, and no free ports, are one line before Ray starts."""
    question = "from studies.cluster import ray_cluster\nwith ray_cluster(): pass"
    asked = f"{sys.executable} -c '{question}'"
    line = before.format(asked) if "{}" in before else f"{before}; {asked}"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=100)
    if "unshare" in done.stderr:
        pytest.skip("needs the right to make a network namespace")
    assert said in done.stderr.splitlines()[-1]
