import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.lock import held
from trainables.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
HOLDER = "import sys, time; from pathlib import Path; from analysis.lock import held\nwith held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_with_the_holders_number(tmp_path):
    """While another process holds a folder it is refused, naming that process; once it was killed it is free again."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {holder.pid} is running this study"), held(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with held(tmp_path):
                break
        except InputError:
            time.sleep(0.05)
    else:
        pytest.fail("a dead process still holds the folder")


def test_a_lock_is_free_after_a_failure(tmp_path):
    """After a run that failed the folder can be held again, and nothing but the lock's file is in it."""
    with pytest.raises(RuntimeError), held(tmp_path):
        raise RuntimeError
    with held(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
