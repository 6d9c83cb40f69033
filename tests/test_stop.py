"""Told to stop by whatever stops things: SIGTERM, a closed terminal, and twice; also where nothing has been begun."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
import weakref

import pytest
import yaml

from studies import stop
from tests.command import ROOT, start
from tests.leftovers import left

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def wait_for(process, path, lines):
    """Wait until a file has as many lines, or the process has ended."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and len(path.read_text().splitlines()) >= lines:
            return
        time.sleep(0.02)


def assert_nothing_left(root):
    deadline = time.monotonic() + 10
    while (remaining := left(root)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not remaining


def test_a_closed_terminal_while_retraining_is_ctrl_c(place):
    """A terminal that is closed ends the run with 129 and a page, though nobody can be told any more; nothing of Ray's is left."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, sys; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
         str(ROOT / "run_search.py"), "--stage", "lr", "--data", "chips", "--smoke", "--epochs", "6", "--study", "s"],
        cwd=place, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    wait_for(process, place / "results/lr/s/repeat_epochs.csv", 2)
    os.close(master)
    assert process.wait(60) == 129
    assert (place / "results/lr/s/report.html").exists()
    assert_nothing_left(place)


def test_a_second_sigterm_ends_at_once(place):
    """Two of SIGTERM half a second apart end a search within three seconds, without a word of Ray's; ten seconds later nothing of it is left."""
    process = start(place, "--stage", "lr", "--data", "chips", "--trials", "50", "--epochs", "4", "--study", "s")
    wait_for(process, place / "results/lr/s/epochs.csv", 3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=3)
    assert process.returncode in (143, -signal.SIGTERM)  # the same to a shell; the latter where it was already leaving
    assert "Traceback" not in err
    assert "***" not in err  # Ray's stack dump
    assert_nothing_left(place)


def test_sigterm_while_images_are_read(place):
    """Before anything is begun it is one line, exit 143, and no results folder."""
    os.mkfifo(place / "slow.npz")
    process = start(place, "--stage", "lr", "--data", "slow.npz")
    with open(place / "slow.npz", "wb"):  # opens once somebody reads
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err == "run_search.py: ended by SIGTERM\n"
    assert not (place / "results").exists()


def test_sigterm_stops_a_chain(place):
    """A chain that is told to stop in a stage says that the same command resumes it, and begins no other stage."""
    process = start(place, "--stage", "all", "--data", "chips", "--smoke", "--study", "c")
    wait_for(process, place / "results/baseline/c/epochs.csv", 2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "the chain stops here; the same command resumes it (--study c)" in err
    assert out.splitlines()[-1] == "results/baseline/c/report.html"
    assert sorted(path.name for path in (place / "results").iterdir()) == ["all", "baseline"]


def block(heading):
    """The code block under a heading of docs/cluster.md."""
    section = (ROOT / "docs/cluster.md").read_text().split(f"### {heading}\n")[1]
    return textwrap.dedent(re.match(r"\n((?:    .*\n|\n)+)", section)[1])


def test_the_slurm_script_of_the_docs_is_requeued_and_goes_on(place, monkeypatch):
    """USR1, as SLURM sends it before the time is up, stops the search and requeues the job; run again, it goes on to the end."""
    bin = place / "bin"
    bin.mkdir()
    for name, content in (
        ("srun", f'shift; exec {sys.executable} {ROOT}/run_search.py "$@" --smoke --max-concurrent 1'),
        ("scontrol", 'echo "$@" >> requeued'),
    ):
        (bin / name).write_text(f"#!/bin/sh\n{content}\n")
        (bin / name).chmod(0o755)
    script = block("SLURM").replace(".venv/bin/python run_search.py ", "").replace("YOUR_IMAGES", "chips")
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    statuses = []
    for told in (True, False):
        with open(place / "said", "a") as said:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=place, stdout=said, stderr=said, start_new_session=True
            )
            if told:
                wait_for(process, place / "results/lr/slurm-7/epochs.csv", 2)
                process.send_signal(signal.SIGUSR1)
            statuses.append(process.wait(200))
    said = (place / "said").read_text()
    assert (place / "requeued").read_text() == "requeue 7\n", said
    assert "interrupted; what is done is kept" in said
    assert statuses[1] == 0, said
    assert "resuming results/lr/slurm-7" in said
    assert json.loads((place / "results/lr/slurm-7/report.json").read_text())["test"]


def test_the_kubernetes_job_of_the_docs_is_one():
    """It is YAML of a Job whose container runs the search in place of its shell, so that SIGTERM reaches it."""
    job = yaml.safe_load(block("Kubernetes"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert job["kind"] == "Job"
    assert "exec .venv/bin/python run_search.py" in container["args"][0]


def test_signals_of_one_moment_are_one_and_ignored_ones_stay_ignored():
    """`timeout` sends SIGTERM twice in a millisecond: that is one; under `nohup` SIGHUP is none; the handlers from before come back."""
    before = {number: signal.getsignal(number) for number in stop.SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop.heeded(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
            assert stop.told() is None
            with stop.patient():
                pass
            signal.raise_signal(signal.SIGTERM)
        with stop.heeded(), stop.patient():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert (stop.told(), stop.status()) == (signal.SIGTERM, 143)
    finally:
        signal.signal(signal.SIGHUP, before[signal.SIGHUP])
    assert {number: signal.getsignal(number) for number in stop.SIGNALS} == before


class Finalised:
    """Its finaliser is told to stop."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


class Watched:
    """The callback of a weak reference to it is told to stop."""

    def __init__(self):
        self.reference = weakref.ref(self, lambda _: signal.raise_signal(signal.SIGTERM))
        HELD.append(self.reference)


HELD = []


@pytest.mark.parametrize("thing", [Finalised, Watched])
def test_a_signal_that_comes_where_python_can_raise_nothing_is_not_lost(thing, capsys):
    """In a finaliser or a weak reference's callback Python prints an exception and goes on: KeyboardInterrupt comes right after, once and without a traceback."""
    hook, interrupts = sys.unraisablehook, 0
    with stop.heeded():
        try:
            thing()  # gone at once
            time.sleep(0.5)
        except KeyboardInterrupt:
            interrupts += 1
            time.sleep(0.1)
    assert (interrupts, stop.told()) == (1, signal.SIGTERM)
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_a_patient_part_that_begins_when_a_signal_was_lost_is_told(capsys):
    """Where the interrupt was lost right before a part that looks for itself, the part sees it and is not interrupted."""
    with stop.heeded():
        Finalised()
        with stop.patient():
            assert stop.told() is signal.SIGTERM
            time.sleep(0.1)
    assert capsys.readouterr().err == ""
