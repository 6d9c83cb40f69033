"""What survives: killed drivers and workers, a full disk, Ctrl-C, two runs at once. Real processes, real Ray."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from run_search import main
from studies.suggest import journal_states
from tests.command import images, search, start

pytestmark = [pytest.mark.ray, pytest.mark.slow]

KILLS = int(os.environ.get("KILLS", "2"))  # the long version: KILLS=20
ONE, TWO = ("--max-concurrent", "1"), ("--max-concurrent", "2")  # most of a study this small is starting workers
STUDY = ("--stage", "lr", "--data", "chips", "--trials", "6", "--epochs", "6", "--repeats", "2", "--save-every", "0")
COMMAND = (*STUDY, *ONE)
RECORDS = ("search.jsonl", "repeats.jsonl")


def events(folder):
    """How many events the records of a study have."""
    return sum(len((folder / name).read_bytes().splitlines()) for name in RECORDS if (folder / name).exists())


def wait_for_events(process, folder, more):
    """Wait until the records have `more` events than now, or the process ends."""
    wanted = events(folder) + more
    while process.poll() is None and events(folder) < wanted:
        time.sleep(0.01)


def figures(folder, table):
    """A table without wall times and order."""
    frame = pd.read_csv(folder / table).drop(columns="seconds")
    return frame.sort_values(list(frame.columns[:2]), ignore_index=True)


def states(folder):
    return {t["trial"]: t["state"] for arm in journal_states(folder / "optuna.journal").values() for t in arm}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A study that nothing disturbed, to compare the others with."""
    root = tmp_path_factory.mktemp("resume")
    images(root / "chips", {"boat": 30, "ship": 30})
    done = search(*COMMAND, "--study", "unbroken", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


def assert_equal_to_unbroken(root, name, results=None):
    """The same trials, configs, epochs and repeats, to the bit; Optuna holds each trial once, none RUNNING."""
    folder, reference = (results or root / "results") / "lr" / name, root / "results/lr/unbroken"
    for table in ("trials.csv", "epochs.csv", "repeats.csv", "repeat_epochs.csv"):
        pd.testing.assert_frame_equal(figures(folder, table), figures(reference, table), check_exact=True)
    assert states(folder) == states(reference) == dict.fromkeys(range(6), "COMPLETE")
    counts = [len(arm) for arm in journal_states(folder / "optuna.journal").values()]
    assert sum(counts) == 6
    assert all(t["ray"] for arm in journal_states(folder / "optuna.journal").values() for t in arm)
    best = [json.loads((path / "best.json").read_text()) for path in (folder, reference)]
    assert best[0] == best[1]
    assert not (folder / "ray").exists()
    assert not (folder / "states").exists()


def children(driver, *names):
    """Process numbers below a driver whose command line has one of these names; those of other studies are not ours."""
    parents, lines = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
            lines[int(path.parent.name)] = (path.parent / "cmdline").read_bytes()
    below = {driver}
    while more := {number for number, parent in parents.items() if parent in below} - below:
        below |= more
    return [number for number in below - {driver} if any(name in lines.get(number, b"") for name in names)]


def in_mid_trial(folder, before):
    """Whether the event written last since `before` is an epoch that has others of its trial to come."""
    for name in RECORDS:
        lines = (folder / name).read_bytes().splitlines(keepends=True) if (folder / name).exists() else []
        if lines and len(lines) > len(before.get(name, b"").splitlines()) and lines[-1].endswith(b"\n"):
            event = json.loads(lines[-1])
            if event["event"] == "epoch" and event["epoch"] <= 3:
                return True
    return False


def kept(folder):
    """The states of trials that were cut off."""
    return list(folder.glob("states/*/*.safetensors"))


def test_lost_servers_killed_drivers_and_a_killed_worker_lose_nothing(unbroken, monkeypatch):
    """All of Ray's servers killed in mid-study: the run ends by itself, not as done. Gone on with, the driver gets
    SIGKILL after a random number of events, again and again. Then, left alone but for a worker killed in mid-trial,
    which Ray starts again from its checkpoint, the study is the unbroken one.
    """
    rng, folder = random.Random(7), unbroken / "results/lr/killed"
    with monkeypatch.context() as patience:
        patience.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")  # Ray's minute is too long to wait in a test
        process = start(unbroken, *STUDY, *TWO, "--study", "killed")
    wait_for_events(process, folder, 7)
    servers = children(process.pid, b"gcs/gcs_server", b"raylet/raylet")
    assert servers
    for server in servers:
        os.kill(server, signal.SIGKILL)
    process.communicate(timeout=240)
    assert process.returncode not in (0, 2)
    for kill in range(KILLS):
        process = start(unbroken, *STUDY, *TWO, "--study", "killed", "--resume")
        wait_for_events(process, folder, rng.randint(1, max(2, 60 // KILLS)))
        time.sleep(rng.uniform(0, 0.3))
        while kill == KILLS - 1 and process.poll() is None and not kept(folder):  # the last one cuts a trial in two
            time.sleep(0.001)
        process.kill()
        process.communicate()
    assert kept(folder)
    before = {name: (folder / name).read_bytes() for name in RECORDS if (folder / name).exists()}
    process, killed = start(unbroken, *COMMAND, "--study", "killed", "--resume"), False
    while process.poll() is None and not in_mid_trial(folder, before):
        time.sleep(0.01)
    while process.poll() is None and not killed:
        for victim in children(process.pid, b"ray::ResourceTrainable")[:1]:  # as Tune calls its workers
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed = True
    _, err = process.communicate(timeout=900)
    assert killed
    assert process.returncode == 0, err
    assert "record: " in err
    for name, content in before.items():  # appended to, never rewritten but for a torn last line
        assert (folder / name).read_bytes().startswith(content[: content.rfind(b"\n") + 1])
    assert_equal_to_unbroken(unbroken, "killed")


@pytest.fixture
def small_disk(unbroken):
    """A disk of 260 MiB."""
    disk = unbroken / "disk"
    disk.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=260m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_halts_and_room_lets_it_go_on(unbroken, small_disk):
    """Filled up in mid-study the run halts with a line on the disk, no trial is called failed, and with room it goes on."""
    folder = small_disk / "lr/full"
    process = start(unbroken, *COMMAND, "--study", "full", "--results-dir", "disk")
    wait_for_events(process, folder, 6)
    with contextlib.suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert "No space left on device" in err
    assert "--resume" in err
    assert "Traceback" not in err
    (small_disk / "filler").unlink()
    done = search("--stage", "lr", "--study", "full", "--resume", *ONE, "--results-dir", "disk", cwd=unbroken)
    assert done.returncode == 0, done.stderr
    assert_equal_to_unbroken(unbroken, "full", results=small_disk)


def test_ctrl_c_once_then_resumed_is_the_unbroken_study(unbroken):
    """One interrupt ends the run within 30 seconds with exit 130, finished rows, a report and no traceback.

    What it cut off is open, and --resume alone finishes it.
    """
    folder = unbroken / "results/lr/interrupted"
    process = start(unbroken, *COMMAND, "--study", "interrupted")
    wait_for_events(process, folder, 20)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted; what is done is kept, --resume --study interrupted goes on" in err
    assert "next: python run_search.py --stage lr --resume --study interrupted" in err
    assert out == "results/lr/interrupted/report.html\n"
    trials = pd.read_csv(folder / "trials.csv")
    assert set(pd.read_csv(folder / "epochs.csv")["trial"]) <= set(trials["trial"])
    assert trials["trial"].is_unique
    assert "finished" in set(trials["status"]) <= {"finished", "failed"}
    assert set(trials.loc[trials["status"] == "failed", "reason"]) <= {"interrupted"}
    assert "RUNNING" not in states(folder).values()
    done = search("--stage", "lr", "--resume", *ONE, cwd=unbroken)  # data and budget are the study's own
    assert done.returncode == 0, done.stderr
    assert done.stdout == "results/lr/interrupted/report.html\n"
    assert_equal_to_unbroken(unbroken, "interrupted")


def taken_back(unbroken, name, *left_out):
    """A copy of the unbroken study, resumed by --resume, as it was before it had the files that are left out."""
    folder = unbroken / "results/lr" / name
    shutil.copytree(unbroken / "results/lr/unbroken", folder, ignore=shutil.ignore_patterns(*left_out))
    described = json.loads((folder / "study.json").read_text()) | {"name": name, "finished": None}
    if "repeats.jsonl" in left_out:
        del described["finalists"]
    (folder / "study.json").write_text(json.dumps(described))
    return "--resume"


PAGE = ("best.json", "report.json", "report.html")


@pytest.mark.parametrize(
    ("name", "left_out", "file", "content", "told", "status"),
    [
        ("begun", (), "study.json", "schema", signal.SIGINT, 130),
        ("searched", ("repeats.jsonl", "repeats.csv", *PAGE), "repeats.csv", "trial", signal.SIGHUP, 129),
        ("reported", PAGE, "best.json", "config", signal.SIGTERM, 143),
    ],
)
def test_a_stop_between_the_trials_says_how_to_go_on(unbroken, name, left_out, file, content, told, status):
    """Told to stop before the first trial, before retraining, while the report is drawn: a page, and a line with --resume."""
    seen = unbroken / "results/lr" / name / file
    resume = [taken_back(unbroken, name, *left_out)] if left_out else []
    process = start(unbroken, *COMMAND, "--study", name, *resume)
    while process.poll() is None and not (seen.exists() and content in seen.read_text()):
        time.sleep(0.01)
    os.killpg(process.pid, told)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert f"--resume --study {name}" in err
    assert out.splitlines()[-1] == f"results/lr/{name}/report.html"
    assert (unbroken / f"results/lr/{name}/report.html").exists()


def test_a_second_run_is_refused_and_ctrl_c_twice_ends_the_first_at_once(unbroken, monkeypatch, capsys):
    """While a study runs, another run of it exits 2 with the first one's number; a second interrupt draws no report."""
    folder = unbroken / "results/lr/busy"
    process = start(unbroken, *COMMAND, "--study", "busy", "--trials", "60")
    wait_for_events(process, folder, 3)
    monkeypatch.chdir(unbroken)
    assert main(["--stage", "lr", "--study", "busy", "--resume"]) == 2
    assert (
        f"process {process.pid} on {os.uname().nodename} is running this study"
        in capsys.readouterr().err.splitlines()[-1]
    )
    assert main([*COMMAND, "--study", "busy"]) == 2
    assert "resume it by --resume" in capsys.readouterr().err
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (folder / "report.html").exists()


def test_more_trials_are_added_to_a_finished_study(unbroken):
    """--resume --trials 6 on a study of 3 keeps these as they are and adds the three that a study of 6 would have had.

    A study of 3 is the unbroken one, whose first trials are the same, without what came after them.
    """
    taken_back(unbroken, "added")
    folder = unbroken / "results/lr/added"
    described = json.loads((folder / "study.json").read_text())
    described |= {"budget": described["budget"] | {"trials": 3}, "finished": "2026-01-01T00:00:00+00:00"}
    (folder / "study.json").write_text(json.dumps(described))
    events = [line for line in (folder / "search.jsonl").read_text().splitlines() if json.loads(line)["trial"] < 3]
    (folder / "search.jsonl").write_text("".join(f"{line}\n" for line in events))
    more = search("--stage", "lr", "--study", "added", "--resume", *ONE, "--trials", "6", cwd=unbroken)
    assert more.returncode == 0, more.stderr
    assert "record: 3 trials ended, 0 begun, 3 to begin" in more.stderr
    assert_equal_to_unbroken(unbroken, "added")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "unbroken", "--seed", "5"], "--seed 5: results/lr/unbroken was started with 0; leave it out"),
        (["--study", "unbroken", "--epochs", "9"], "--epochs 9: results/lr/unbroken was started with 6"),
        (
            ["--study", "unbroken", "--start", "mine.json"],
            "--start mine.json: results/lr/unbroken was started with the b",
        ),
        (["--study", "unbroken", "--skip-bad"], "--skip-bad True: results/lr/unbroken was started with False"),
        (["--study", "nowhere"], "nowhere: not a study folder (no study.json)"),
        (["--study", "unbroken", "--trials", "2"], "--trials 2: results/lr/unbroken was started with 6"),
        (["--study", "unbroken", "--dry-run"], "--dry-run with --resume"),
        (["--study", "unbroken", "--data", "others"], "results/lr/unbroken: was started on chips with digest"),
    ],
)
def test_going_on_with_something_else_is_refused(unbroken, monkeypatch, capsys, arguments, said):
    """Other settings, other images or no such study exit 2 with a line that says what was there."""
    monkeypatch.chdir(unbroken)
    if not (unbroken / "others").exists():
        images(unbroken / "others", {"boat": 31, "ship": 30})
    assert main(["--stage", "lr", "--resume", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
