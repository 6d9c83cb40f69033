"""What Weights & Biases is told, read back from the files of offline runs; and servers that fail."""

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.commands import sync_command
from analysis.report import write_report
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from storage.folder import write_manifest
from studies.suggest import Suggester
from studies.wandb_process import shown_on_wandb
from tests.storage.build_manifest import described
from tests.wandb_files import KEY, parsed, read_back, write_runs
from tests.wandb_server import Server
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, trial_result

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STAGE = stage_named("lr")


def epoch(number, trial):
    return EpochMetrics(number, 0.6, 0.5 / number + trial / 100, 0.8, 0.7, 0.9, 1e-3, 0.1)


class Making:
    """A study folder in the making: three trials of two epochs, the last of which diverges after its first."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(folder, described())
        study = Study(STAGE, "s", TrialConfig(), stage_named("lr").demo)
        self.suggester = Suggester(study, folder / "optuna.journal")
        self.record = Record(Files.of_search(folder), STAGE.metric, [p.path for p in STAGE.varied])
        self.trials = []

    def begin(self, number):
        self.trials.append(self.suggester.ask(number))
        self.record.started(self.trials[number], "ray")

    def epoch(self, number, count):
        self.record.epoch(self.trials[number], epoch(count, number))

    def end(self, number, status="finished", reason=""):
        epochs = self.record.histories[number].epochs
        self.record.ended(trial_result(self.trials[number], status, epochs, STAGE.metric, reason), epochs)

    def whole(self, report=True):
        for number in range(3):
            self.begin(number)
            for count in (1, 2) if number < 2 else (1,):
                self.epoch(number, count)
            self.end(number, *(("infeasible", "loss not finite") if number == 2 else ()))
        if report:
            write_report(self.folder)
        return self


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = Making(tmp_path_factory.mktemp("results") / "lr" / "s").whole().folder
    said = write_runs(folder)
    return folder, said, read_back(folder)


def test_every_trial_is_a_run_of_its_study(written):
    """A run a trial: in the study's group, named by stage and trial, tagged with stage and arm, config by path."""
    folder, said, runs = written
    assert said == ""
    trials = sorted((run for run in runs.values() if run["job"] == "search"), key=lambda run: run["config"]["trial"])
    making = [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]
    started = [event for event in making if event["event"] == "started"]
    assert [run["name"] for run in trials] == [f"lr search {event['trial']}, {event['arm']}" for event in started]
    for run, event in zip(trials, started, strict=True):
        assert (run["group"], run["project"], run["tags"]) == ("lr/s", "siamese-search", ["lr", event["arm"]])
        assert run["config"]["optimiser.lr"] == event["config"]["optimiser"]["lr"]
        assert run["config"]["schedule.kind"] == event["arm"]
        assert run["config"]["seed"] == event["config"]["seed"]
    assert [run["exit"] for run in trials] == [0, 0, 1]
    assert trials[2]["summary"]["reason"] == "loss not finite"


def test_epochs_are_the_steps(written):
    """Each epoch of the record is one line of history, with all its metrics, at the step of its number."""
    _, _, runs = written
    for run in runs.values():
        if run["job"] == "search":
            number = run["config"]["trial"]
            expected = [epoch(count, number).to_dict() for count in ((1, 2) if number < 2 else (1,))]
            assert [{name: line[name] for name in expected[0]} for line in run["history"]] == expected
            assert [line["_step"] for line in run["history"]] == [line["epoch"] for line in expected]


def test_the_study_s_own_run_has_the_answer(written):
    """One run more, with the verdict, the report and the tables, and best config and tables as an artefact."""
    folder, _, runs = written
    (study,) = [run for run in runs.values() if run["job"] == "study"]
    report = json.loads((folder / "report.json").read_text())
    assert study["summary"]["verdict"] == report["verdict"]
    assert study["config"]["optimiser.lr"] == report["selected"]["config"]["optimiser"]["lr"]
    assert study["artefacts"] == {"study", "run_table"}
    (line,) = study["history"]
    assert any(name.startswith("report") for name in line)
    assert any(name.startswith("losses") for name in line)


def test_the_key_is_written_nowhere(written):
    """With a key in the environment no file of the study, its W&B files among them, contains it."""
    folder, _, _ = written
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_the_command_that_sends_the_runs_is_told(written, tmp_path):
    """The sync command names the folder of offline runs, quoted for a shell; without such runs there is none."""
    folder, _, _ = written
    assert sync_command(folder) == f"wandb sync {folder}/wandb/offline-run-*"
    assert sync_command(tmp_path) is None
    assert "wandb sync" in write_report(folder).read_text()


def test_a_study_that_goes_on_goes_on_in_its_runs(tmp_path):
    """Written when cut off and again when whole, each run is there once, under the same id, with each epoch once."""
    making = Making(tmp_path / "lr" / "s")
    making.begin(0), making.epoch(0, 1), making.epoch(0, 2), making.end(0)
    making.begin(1), making.epoch(1, 1)
    write_runs(making.folder)
    before = read_back(making.folder)
    assert sorted(run["exit"] for run in before.values()) == [0, 1]  # the one that was cut off did not end well
    kept = {path.name: path.stat().st_mtime_ns for path in (making.folder / "wandb").glob("offline-run-*")}
    making.record.started(making.trials[1], "ray again"), making.epoch(1, 2), making.end(1)
    write_runs(making.folder)
    after = read_back(making.folder)
    assert set(after) == set(before)
    assert [[line["epoch"] for line in run["history"]] for run in after.values()] == [[1, 2], [1, 2]]
    assert {run["exit"] for run in after.values()} == {0}
    now = {path.name: path.stat().st_mtime_ns for path in (making.folder / "wandb").glob("offline-run-*")}
    assert len(now.items() & kept.items()) == 1  # what was whole was left alone


def test_runs_grow_while_the_study_does(tmp_path):
    """While the body of `shown_on_wandb` runs, an epoch that is recorded stands in the trial's run within seconds."""
    making, said = Making(tmp_path / "lr" / "s"), []
    with shown_on_wandb(making.folder, "offline", said.append):
        making.begin(0), making.epoch(0, 1), making.epoch(0, 2)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(run["history"] for run in read_back_so_far(making.folder)):
            time.sleep(0.2)
        assert any(run["history"] for run in read_back_so_far(making.folder))
        making.end(0)
    (run,) = read_back(making.folder).values()
    assert [line["epoch"] for line in run["history"]] == [1, 2]
    assert said == []


def read_back_so_far(folder):
    try:
        return list(parsed(folder).values())
    except (OSError, struct.error, UnboundLocalError):  # in the middle of a write
        return []


# --- servers and processes that fail ---------------------------------------------------------------------------------


def test_a_server_gets_every_run_live(tmp_path):
    """Online, each trial's run reaches the server with its name, group, tags and config, and each epoch once, as its step."""
    making = Making(tmp_path / "lr" / "s")
    making.whole(report=False)
    with Server() as server:
        assert write_runs(making.folder, "online", WANDB_BASE_URL=server.address) == ""
    assert len(server.runs) == 3
    for run_id, run in server.runs.items():
        config = json.loads(run["config"])
        number, arm = config["trial"]["value"], config["schedule.kind"]["value"]
        assert (run["displayName"], run["groupName"], run["jobType"]) == (
            f"lr search {number}, {arm}",
            "lr/s",
            "search",
        )
        assert sorted(run["tags"]) == sorted(["lr", arm])
        lines = [server.history[run_id][place] for place in sorted(server.history[run_id])]
        assert [(line["epoch"], line["_step"]) for line in lines] == ([(1, 1), (2, 2)] if number < 2 else [(1, 1)])
        assert [line["val_loss"] for line in lines] == [epoch(line["epoch"], number).val_loss for line in lines]


def test_offline_runs_can_be_sent_later(tmp_path):
    """wandb's own `sync`, as the report prints it, brings a study's offline runs to a server, each epoch once."""
    making = Making(tmp_path / "lr" / "s").whole(report=False)
    write_runs(making.folder)
    with Server() as server:
        told = sync_command(making.folder).replace(
            "wandb sync", f"{Path(sys.executable).with_name('wandb')} sync --yes"
        )
        environment = os.environ | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address}
        done = subprocess.run(
            told, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = sorted([line["epoch"] for line in lines.values()] for lines in server.history.values())
    assert steps == [[1], [1, 2], [1, 2]]
    assert set(server.runs) == set(read_back(making.folder))


def test_a_study_written_offline_can_be_written_online_later(tmp_path):
    """Each run that was only kept offline goes to the server, once: written online again nothing is sent twice."""
    making = Making(tmp_path / "lr" / "s").whole(report=False)
    write_runs(making.folder)
    with Server() as server:
        assert write_runs(making.folder, "online", WANDB_BASE_URL=server.address) == ""
        assert sorted(len(lines) for lines in server.history.values()) == [1, 2, 2]
        asked = server.asked
        assert write_runs(making.folder, "online", WANDB_BASE_URL=server.address) == ""
        assert server.asked == asked


@pytest.mark.parametrize("behaviour", ["refuse", "nonsense"])
def test_a_failing_server_costs_one_line_and_no_run(tmp_path, behaviour):
    """Whether it answers 500 or nonsense, every run is written offline, whole; one line says so, and no key is there."""
    folder = Making(tmp_path / "lr" / "s").whole().folder
    with Server(behaviour) as server:
        said = write_runs(folder, "online", "runs.TAKES_TOO_LONG = 4.0", WANDB_BASE_URL=server.address)
    assert server.asked > 0
    assert len(said.splitlines()) == 1
    assert said.startswith("Weights & Biases does not take the runs (")
    assert KEY not in said
    runs = read_back(folder)
    assert sorted(run["job"] for run in runs.values()) == ["search"] * 3 + ["study"]
    assert sorted(len(run["history"]) for run in runs.values() if run["job"] == "search") == [1, 2, 2]
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_without_a_key_runs_are_written_offline(tmp_path):
    """`online` where no key is configured says so in one line and keeps the runs."""
    folder = Making(tmp_path / "lr" / "s").whole().folder
    said = write_runs(folder, "online", WANDB_API_KEY="", NETRC=str(tmp_path / "none"), HOME=str(tmp_path))
    assert "No API key configured" in said
    assert len(said.splitlines()) == 1
    assert len(read_back(folder)) == 4


def test_a_writer_that_cannot_start_costs_one_note(tmp_path):
    """Where the process dies the body runs on, and one note says what it died of and how to write the runs later."""
    said = []
    with shown_on_wandb(tmp_path / "no study", "offline", said.append):
        pass
    (note,) = said
    assert "not a study folder" in note
    assert f"python -m studies.wandb_runs '{tmp_path / 'no study'}' offline" in note


def test_a_writer_that_hangs_is_left(tmp_path, monkeypatch):
    """A process that does not end in the time that it has is killed, and a note says what to do."""
    monkeypatch.setattr("studies.wandb_process.PATIENCE", 0.1)
    making, said = Making(tmp_path / "lr" / "s").whole(), []
    with shown_on_wandb(making.folder, "offline", said.append):
        pass
    (note,) = said
    assert "had not taken everything" in note
