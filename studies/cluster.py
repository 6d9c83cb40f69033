"""Ray itself: one of our own on this machine, or a cluster that others started and that is joined.

Ray's tokens: without them, whoever reaches a cluster's port runs code in it. A Ray of our own has a token of its own,
made for the run and written nowhere. A cluster that is joined decides for itself; it is asked, since Ray alone turns
tokens on for no address that is given (https://docs.ray.io/en/latest/ray-security/token-auth.html).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import ray
from ray._private import services

from studies.cleanup import LONGEST, guarded_folder
from studies.machine import usable_cpus, usable_memory
from studies.resources import Cluster, Node
from studies.stop import handlers_kept
from trainables.errors import InputError, what_happened

SHARED_MEMORY = Path("/dev/shm")
STORE = 256 * 2**20  # bytes of Ray's object store beside the images: checkpoints on their way
LOGS = 50 * 2**20  # bytes of Ray's own files
FILES = 512  # open files of each of Ray's processes
PORTS = 32  # of Ray's servers and a few workers
PATIENCE = 60  # seconds in which a cluster must answer; a busy machine starts the process that asks in ten
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113, 3.4: then settings
SETTINGS = 4
TOKEN_FILE = Path(".ray", "auth_token")  # in the home folder

OURS = ("trainables.", "studies.")

Answer = Literal["yes", "refused", "no"]
T = TypeVar("T")


@contextlib.contextmanager
def ray_cluster(address: str | None = None, data: int = 0, ready: Sequence[str] = ()) -> Iterator[Cluster]:
    """Start Ray on this machine, or join the cluster at `address`, silently; leave it on exit, and nothing of our own.

    A Ray of our own has room for `data` bytes to share among workers, and starts one for each CPU at once, with the
    modules of `ready` loaded, if there are any. Raises InputError where Ray does not start, there
    is no room, nobody answers at `address`, or the cluster's token is another.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"ray(\.|$)")
    with _joined(address) if address else _own(data, ready):
        try:
            alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            memory = math.inf if address else usable_memory()
            nodes = tuple(Node(has.get("CPU", 0.0), has.get("GPU", 0.0), memory) for has in alive)
            yield Cluster(nodes, joined=address is not None)
        finally:
            if not address:
                _end_servers_at_once()
            ray.shutdown()


def _end_servers_at_once() -> None:
    """Have Ray's shutdown kill our own servers, which are deaf to SIGTERM: it would give each a second."""
    node = ray._private.worker._global_node
    if node is not None:
        kill = node.kill_all_processes
        node.kill_all_processes = lambda **_: kill(check_alive=False, allow_graceful=False)


@contextlib.contextmanager
def _without_idle_servers() -> Iterator[None]:
    """Start no server that has nothing to do here, a second of CPU each: for workers' output, and to grow a cluster.

    No public interface: a Ray that starts them otherwise starts them.
    """
    node, idle = ray._private.node.Node, ("start_log_monitor", "start_monitor")
    kept = {name: getattr(node, name) for name in idle if hasattr(node, name)}
    for name in kept:
        setattr(node, name, lambda self: None)
    try:
        yield
    finally:
        for name, start in kept.items():
            setattr(node, name, start)


def share(data: object) -> object:
    """Hand data to Ray, once, for every worker of every run to find; return what a `TrialRun` takes in its place."""
    return ray.put(data)


def sent_by_value(task: T) -> T:
    """Return a task of the user's, whose module now travels with it: workers may not find what lies beside a notebook.

    Ray sends a class by the name of its module, unless that is the program itself.
    """
    modules = {type(task).__module__, getattr(task, "config", type(task)).__module__}
    for name in modules - {"__main__"}:
        if not name.startswith(OURS):
            ray.cloudpickle.register_pickle_by_value(sys.modules[name])
    return task


@contextlib.contextmanager
def _own(data: int, ready: Sequence[str]) -> Iterator[None]:
    store = STORE + 2 * data
    _check_limits()
    parent = _roomy(store)
    with (
        guarded_folder(parent) as folder,
        _environment(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE="1",
            RAY_worker_niceness=str(os.nice(0)),  # as the command's, not 15: beside busy processes that hardly runs
            RAY_prestart_worker_first_driver=str(int(bool(ready))),  # a worker for each CPU
            RAY_enable_worker_prestart="0",
            RAY_idle_worker_killing_time_threshold_ms="600000",  # Tune reserves CPUs, which leaves no work for the idle
        ),
    ):
        try:
            # what workers leave in their TMPDIR goes with the rest
            with handlers_kept(), _environment(TMPDIR=str(folder)), _without_idle_servers():
                ray.init(
                    address="local",  # also where RAY_ADDRESS names a cluster
                    num_cpus=usable_cpus(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=store,
                    _temp_dir=str(folder / "r"),  # Ray opens its own folder to everyone
                    _system_config={"preload_python_modules": list(ready)} if ready else None,
                )
        except (OSError, ValueError, RuntimeError) as error:
            why = what_happened(error) if isinstance(error, OSError) else error
            raise InputError(f"Ray does not start on this machine: {why}") from error
        yield


def _check_limits() -> None:
    """Raise InputError where Ray would wait without end for what the system does not give: open files and ports."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # Ray raises the softer limit itself
    if files != resource.RLIM_INFINITY and files < FILES:
        raise InputError(f"a process may open {files} files here, Ray wants {FILES}; say `ulimit -n 8192` before")
    try:
        with contextlib.ExitStack() as taken:
            for _ in range(PORTS):
                taken.enter_context(socket.create_server(("127.0.0.1", 0)))
    except OSError as error:
        raise InputError(f"Ray wants {PORTS} free ports of this machine: {what_happened(error)}") from error


def _roomy(store: int) -> Path:
    """Return where Ray's own folder goes: RAY_TMPDIR, TMPDIR, /tmp or /var/tmp; raise InputError without room there.

    Ray's sockets lie in it, and the system takes no long paths for these: where TMPDIR is long, another is taken.
    """
    named = os.environ.get("RAY_TMPDIR")
    parents = [Path(named)] if named else [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    short = [path for path in parents if len(os.fsencode(path.absolute())) + len("/sv12345678/r") <= LONGEST]
    usable = [path.absolute() for path in short if path.is_dir() and os.access(path, os.W_OK | os.X_OK)]
    if not usable:
        fault = "is too long for Ray's sockets" if named and not short else "is no folder that can be written to"
        raise InputError(
            f"{f'RAY_TMPDIR={named}' if named else ', '.join(map(str, parents))}: {fault}; "
            f"set RAY_TMPDIR to a folder of at most {LONGEST - len('/sv12345678')} bytes"
        )
    in_memory = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > store
    wanted = LOGS + (0 if in_memory else store)
    free = {path: shutil.disk_usage(path).free for path in usable}
    roomy = [path for path in usable if free[path] >= wanted]
    if not roomy:
        small = "" if in_memory else f" ({SHARED_MEMORY} has no room for {store / 2**20:.0f} MiB of shared data)"
        raise InputError(
            f"{usable[0]}: only {free[usable[0]] / 2**20:.0f} MiB are free, Ray's own files want {wanted / 2**20:.0f}"
            f"{small}; make room, or set RAY_TMPDIR to another folder"
        )
    return roomy[0]


@contextlib.contextmanager
def _joined(address: str) -> Iterator[None]:
    where = _found(address)
    with _environment(RAY_AUTH_MODE=_authentication(where, f"--address {address}")):
        try:
            with handlers_kept():
                ray.init(address=where, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise InputError(f"--address {address}: the Ray cluster there cannot be joined ({error})") from error
        yield


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Have these variables set; Ray, which keeps what it has read of them, reads them again."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _read_environment_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _read_environment_again()


def _read_environment_again() -> None:
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _found(address: str) -> str:
    """Return the HOST:PORT that `address` means; raise InputError, at once, for one where nobody listens."""
    wrong = f"--address {address}: no Ray cluster answers there"
    try:
        candidates = _on_this_node() if address == "auto" else [address]
    except (ConnectionError, ValueError) as error:
        raise InputError(f"{wrong} ({error}); give HOST:PORT as `ray start` printed it") from error
    faults = []
    for candidate in candidates:
        host, _, port = candidate.rpartition(":")
        if not host or not port.isdecimal():
            raise InputError(f"{wrong}; give HOST:PORT as `ray start` printed it, or auto on a node of the cluster")
        try:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                if _greets(connection):
                    return candidate
                faults.append(f"{wrong}, but something else does; give HOST:PORT as `ray start` printed it")
        except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: what no name of a host can be
            faults.append(f"{wrong} ({error}); is it running, and is the port open?")
    raise InputError(faults[0])


def _on_this_node() -> list[str]:
    """Return the clusters that `auto` may mean: RAY_ADDRESS, else that of the last `ray start`, then any that runs.

    Ray takes any that runs before the last `ray start` where it sees but one, which may be another user's.
    """
    named = os.environ.get("RAY_ADDRESS")
    last = None if named else services.find_bootstrap_address(None)
    running = [] if named else sorted(services.find_gcs_addresses())
    known = [services.canonicalize_bootstrap_address_or_die(address) for address in (last, *running) if address]
    return list(dict.fromkeys(known)) or [services.canonicalize_bootstrap_address_or_die("auto")]


def _greets(connection: socket.socket) -> bool:
    """Return whether the other end speaks HTTP/2, as a Ray cluster does; what does not, Ray would try for minutes."""
    try:
        connection.sendall(GREETING)
        return connection.recv(9)[3:4] == bytes([SETTINGS])
    except OSError:  # silence too
        return False


def _authentication(address: str, option: str) -> str:
    """Return the RAY_AUTH_MODE of the cluster at `address`; raise InputError where it does not let us in."""
    answer = _ask(address, "disabled")
    if answer == "yes":
        return "disabled"
    if answer == "no":
        raise InputError(f"{option}: something answers there, but not as Ray {ray.__version__} does")
    token = _token()
    copied = f"copy ~/{TOKEN_FILE} from the machine where `ray start --head` was typed to ~/{TOKEN_FILE} here"
    if token is None:
        raise InputError(f"{option}: the cluster asks for its token, and there is none here; {copied}")
    if _ask(address, "token") != "yes":
        raise InputError(f"{option}: the token in {token} is not this cluster's; {copied}")
    return "token"


def _token() -> str | None:
    """Return where Ray will find a token; None if it will find none."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        file = Path(named) if named else Path.home() / TOKEN_FILE
        return str(file) if file.read_text(encoding="utf-8").strip() else None
    except (OSError, RuntimeError, UnicodeDecodeError):  # RuntimeError: no home
        return None


def _ask(address: str, mode: str) -> Answer:
    """Ask a cluster for its name, with our token or without. In a process of its own, which Ray may abort or hang."""
    question = (
        "import sys; from ray._raylet import GcsClient; from ray.exceptions import AuthenticationError\n"
        "try: GcsClient(address=sys.argv[1])\n"
        "except AuthenticationError: sys.exit(3)"
    )
    try:
        status = subprocess.run(
            [sys.executable, "-c", question, address],
            env=os.environ | {"RAY_AUTH_MODE": mode},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        ).returncode
    except subprocess.TimeoutExpired:
        return "no"
    return "yes" if status == 0 else "refused" if status == 3 else "no"
