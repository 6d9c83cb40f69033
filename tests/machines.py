"""Machines of their own, as far as this one allows: each with its network, its home and its temporary folder."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.command import ROOT

BIN = Path(sys.executable).parent
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")


@dataclass(frozen=True)
class Machine:
    """Runs commands with a home of its own and, where this machine allows, a network and a view of the disk of its own."""

    name: str
    address: str
    folder: Path
    apart: int | None  # a process that holds the machine's own network and view of the disk

    @property
    def token(self):
        """Where Ray looks for a token."""
        return self.folder / ".ray" / "auth_token"

    def start(self, line, **options):
        """Start a line of shell in the machine's home, this project's programs in place of those of `.venv/bin`."""
        kept = {name: value for name, value in os.environ.items() if name not in AUTHENTICATION}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        own = {"HOME": str(self.folder), "RAY_TMPDIR": str(self.folder), "PATH": path, "PYTHONPATH": str(ROOT)}
        inside = ["nsenter", "-t", str(self.apart), "-m", "-n"] if self.apart else []
        return subprocess.Popen(
            [*inside, "sh", "-c", f"cd {self.folder} && {line.replace('.venv/bin/', '')}"],
            env=kept | own,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )

    def run(self, line, timeout=120):
        """Run a line of shell; return its exit status and everything it said."""
        with tempfile.TemporaryFile("w+") as said:  # a pipe would wait for the daemons that `ray start` leaves
            process = self.start(line, stdout=said, stderr=said)
            status = process.wait(timeout)
            said.seek(0)
            return status, said.read()

    def processes(self):
        """The numbers of the processes that were started here and of all their children: they know its home."""
        mark, found = f"HOME={self.folder}\0".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes() + b"\0":
                    found.append(int(path.parent.name))
        return found

    def kill(self):
        """The machine is lost: nothing of it runs any longer."""
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.1)


def _ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True).returncode == 0


def _hold(network, hidden):
    """A process that keeps a network namespace and a mount namespace in which a folder is empty."""
    line = f"mount -t tmpfs tmpfs {hidden} && echo ready && exec sleep infinity"
    holder = subprocess.Popen(["ip", "netns", "exec", network, "sh", "-c", line], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n"
    holder.stdout.close()
    return holder


@contextlib.contextmanager
def machines():
    """Two machines, alpha and beta: two network namespaces joined by a cable, or this machine twice where that is barred."""
    mark = f"sv{os.getpid() % 100000}"
    folder = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))  # Ray's sockets need a short path
    cable, networks = [f"{mark}a", f"{mark}b"], [f"{mark}A", f"{mark}B"]
    apart = bool(shutil.which("ip")) and all(_ip("netns", "add", network) for network in networks)
    apart = apart and _ip("link", "add", cable[0], "netns", networks[0], "type", "veth", "peer", "name", cable[1])
    apart = apart and _ip("link", "set", cable[1], "netns", networks[1])
    folders = [folder / "alpha", folder / "beta"]
    for own in folders:
        own.mkdir()
    made, holders = [], []
    for number, own in enumerate(folders):
        if not apart:
            made.append(Machine(own.name, "127.0.0.1", own, None))
            continue
        inside = ("-n", networks[number])
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "addr", "add", f"10.77.5.{1 + number}/24", "dev", cable[number])
        _ip(*inside, "link", "set", cable[number], "up")
        holders.append(_hold(networks[number], hidden=folders[1 - number]))
        made.append(Machine(own.name, f"10.77.5.{1 + number}", own, holders[-1].pid))
    if apart:  # Ray takes the address of the way to the outside for its own
        for number in (0, 1):
            _ip("-n", networks[number], "route", "add", "default", "via", f"10.77.5.{2 - number}")
    try:
        yield made
    finally:
        for machine in made:
            machine.kill()
        for holder in holders:
            holder.kill()
            holder.wait()
        for network in networks:
            _ip("netns", "delete", network)
        shutil.rmtree(folder, ignore_errors=True)
