"""Several things at once on one machine: searches, chains and a Ray cluster of somebody else's."""

import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.command import images, search, start
from tests.machines import Machine

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def theirs():
    """A Ray head of somebody else's on this machine, of seven CPUs, as `ray start` makes it."""
    folder = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))  # Ray's sockets need a short path
    machine = Machine("theirs", "127.0.0.1", folder, None)
    status, said = machine.run("ray start --head --port 0 --num-cpus 7 --node-ip-address 127.0.0.1")
    assert status == 0, said
    yield machine
    machine.kill()
    shutil.rmtree(folder, ignore_errors=True)


def test_two_chains_a_search_and_another_s_cluster_do_not_disturb_each_other(theirs, tmp_path, monkeypatch):
    """With RAY_ADDRESS naming the other's cluster a search runs on a Ray of its own, beside a chain in the same results folder; the chain's twin is refused with its number; the cluster has seen nothing and lives on."""
    images(tmp_path / "chips", {"boat": 30, "ship": 30})
    address = (theirs.folder / "ray/ray_current_cluster").read_text().strip()
    monkeypatch.setenv("RAY_ADDRESS", address)
    before = set(theirs.processes())
    chain = ("--stage", "all", "--data", "chips", "--smoke", "--max-concurrent", "1", "--study", "c")
    first = start(tmp_path, *chain)
    deadline = time.monotonic() + 120
    while not (tmp_path / "results/baseline/c/study.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    twin = search(*chain, cwd=tmp_path)
    assert twin.returncode == 2
    assert f"results/all/c: process {first.pid} on " in twin.stderr
    other = search("--stage", "lr", "--data", "chips", "--smoke", "--study", "other", "--repeats", "1", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    assert "7 trials at once" not in other.stderr
    assert first.poll() in (None, 0)
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=60)
    assert first.returncode in (143, 0), err
    assert "Traceback" not in err
    assert set(theirs.processes()) >= before
    jobs = "import ray; ray.init(log_to_driver=False); from ray._private.state import jobs; print(len(jobs()))"
    assert theirs.run(f'RAY_ADDRESS={address} python -c "{jobs}"')[1].splitlines()[-1] == "1"  # this question
