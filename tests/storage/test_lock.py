"""Guards that one run at a time holds a study."""

import ctypes
import errno
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.lock import held
from trainables.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
HOLDER = "import sys, time; from pathlib import Path; from storage.lock import held\nwith held(Path(sys.argv[1]), lambda said: print(said, file=sys.stderr)): print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_with_the_holders_number(tmp_path):
    """While another process holds a folder it is refused, naming that process; once it was killed it is free again."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {holder.pid} on .* is running this study"), held(tmp_path, print):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with held(tmp_path, print):
                break
        except InputError:
            time.sleep(0.05)
    else:
        pytest.fail("a dead process still holds the folder")


def test_a_lock_is_free_after_a_failure(tmp_path):
    """After a run that failed the folder can be held again, and nothing but the lock's file is in it."""
    with pytest.raises(RuntimeError), held(tmp_path, print):
        raise RuntimeError
    with held(tmp_path, print):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def flock_is_not_implemented():
    """Have the kernel answer ENOSYS to every flock of this process, as Lustre does (a seccomp filter, x86-64 alone)."""
    libc = ctypes.CDLL(None, use_errno=True)
    flock, allow, refuse = 73, 0x7FFF0000, 0x00050000 | errno.ENOSYS
    program = b"".join(
        struct.pack("HBBI", *line)
        for line in ((0x20, 0, 0, 0), (0x15, 0, 1, flock), (0x06, 0, 0, refuse), (0x06, 0, 0, allow))
    )
    code = ctypes.create_string_buffer(program)
    filters = struct.pack("HxxxxxxP", 4, ctypes.addressof(code))
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, ctypes.c_char_p(filters), 0, 0)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter knows x86-64 alone")
def test_a_disk_without_locks_still_has_one_run_a_machine(tmp_path):
    """Where the system answers ENOSYS to flock a line says what that gives up; a second run on this machine is refused, and a dead one's number is no lock."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    options = quiet | {"env": os.environ | {"PYTHONPATH": str(ROOT)}, "preexec_fn": flock_is_not_implemented}
    first = subprocess.Popen(command, **options)
    assert first.stdout.readline() == "held\n"
    second = subprocess.run(command, **options)
    assert f"process {first.pid} on {os.uname().nodename} is running this study" in second.stderr.splitlines()[-1]
    first.kill()
    _, said = first.communicate()
    assert "its disk cannot lock files (Function not implemented)" in said
    third = subprocess.Popen(command, **options)
    assert third.stdout.readline() == "held\n"
    third.kill()
    third.communicate()
