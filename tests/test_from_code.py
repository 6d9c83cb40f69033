"""The command line called from code: in a thread, where no signal arrives, and twice in one process."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from tests.command import ROOT, images

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CALLS = """
import json, os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from run_search import main
def state():
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    return [str(signal.getsignal(getattr(signal, name))) for name in names], {n: v for n, v in os.environ.items() if n.startswith(("RAY_AUTH", "TMPDIR"))}
before, statuses = state(), []
def run(name):
    statuses.append(main(["--stage", "lr", "--data", "chips", "--smoke", "--max-concurrent", "1", "--study", name]))
thread = threading.Thread(target=run, args=("thread",))
thread.start()
thread.join()
run("again")
print(json.dumps([statuses, before == state()]))
"""


def test_in_a_thread_and_again_in_the_same_process_it_ends_as_on_the_command_line(tmp_path):
    """Both runs end with 0, the same trials and a report; handlers and environment are afterwards what they were."""
    images(tmp_path / "chips", {"boat": 30, "ship": 30})
    done = subprocess.run(
        [sys.executable, "-c", CALLS, str(ROOT)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[0, 0], True], done.stderr
    assert "Traceback" not in done.stderr
    tables = [
        pd.read_csv(tmp_path / f"results/lr/{name}/repeats.csv").drop(columns="seconds") for name in ("thread", "again")
    ]
    pd.testing.assert_frame_equal(
        *(table.sort_values("trial", ignore_index=True) for table in tables), check_exact=True
    )
