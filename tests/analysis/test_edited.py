"""A study folder that somebody edited: whatever was changed, it is reported on or refused in one line."""

import copy
import json
import random
import shutil
from dataclasses import replace

import pytest

import analysis.report
from analysis.__main__ import main
from analysis.report import write_report
from storage.event_record import Files, Record
from storage.folder import read_study, reading, write_manifest
from storage.whole_files import read_json, write_json
from studies.describe import study_of
from studies.wandb_runs import main as wandb_main
from tests.storage.build_manifest import described
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.result import EpochMetrics, Trial, TrialResult

EDITS = 100  # of each file
WRONG = [None, 3, -1.5, "text", [], {}, True, [1, 2], {"a": 1}, "", 10**30]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small study of the lr stage, reported on once; figures are not the subject here."""
    monkeypatch.setattr(analysis.report, "draw_figures", lambda *_: None)
    folder = tmp_path / "results" / "lr" / "s"
    folder.mkdir(parents=True)
    write_manifest(folder, replace(described(), finished="2026-01-01T00:00:00+00:00"))
    paths = list(described().domains)
    for files, arms in (
        (Files.of_search(folder), ["constant", "cosine", "constant"]),
        (Files.of_repeats(folder), ["selected", "baseline"]),
    ):
        log = Record(files, described().metric, paths if "constant" in arms else [])
        for number, arm in enumerate(arms):
            trial = Trial(number, arm, {"schedule.kind": arm, "optimiser.lr": 0.01}, TrialConfig())
            curve = [EpochMetrics(e, 0.5, 0.5 - 0.1 * e, 0.9, 0.8, 0.9, 0.01, 1.0) for e in (1, 2)]
            log.started(trial, "ray")
            for metrics in curve:
                log.epoch(trial, metrics)
            log.ended(TrialResult(trial, "finished", 2, curve[1], 2.0), curve)
    write_report(folder)
    return folder


def test_a_report_is_written_again_from_within_its_folder(folder, monkeypatch, capsys):
    """`python -m analysis .` names the results folder, and the study in it, as from anywhere else."""
    for place, path in ((folder, "."), (folder.parent, "s"), (folder, "../s")):
        monkeypatch.chdir(place)
        assert main([path]) == 0
        words = json.loads((folder / "report.json").read_text())["next"].split()
        assert words[words.index("--results-dir") + 1] == str(folder.parents[1])
    capsys.readouterr()


def test_a_stage_speaks_by_all_its_rounds(folder, capsys):
    """A round that was adopted stays in the summary where the round that started from it was not; strangers do not."""
    rounds = {"a": "elsewhere.json", "s.2": "r/lr/s/best.json", "s.3": "r/lr/s.2/best.json"}
    for month, (name, start) in enumerate(rounds.items(), start=2):
        shutil.copytree(folder, folder.parent / name)
        finished = f"2026-0{month}-01T00:00:00+00:00" if name != "a" else "2025-01-01T00:00:00+00:00"
        content = read_json(folder / "study.json") | {"name": name, "start_from": start, "finished": finished}
        write_json(folder.parent / name / "study.json", content)
    assert main([str(folder.parents[1])]) == 0
    stages = json.loads((folder.parents[1] / "summary.json").read_text())["stages"]
    assert [row["study"] for row in stages] == ["s", "s.2", "s.3"]
    capsys.readouterr()


def places(content, path=()):
    """Every place in nested JSON."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(content, place, value):
    """A copy with one place changed, or taken out."""
    made = copy.deepcopy(content)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        inner.pop(place[-1])
    else:
        inner[place[-1]] = value
    return made


def use(folder, capsys):
    """All that reads a kept study folder, as a user asks for it; return how often it was refused, always in one line."""
    refused = 0
    try:
        with reading(folder):
            study_of(read_study(folder).manifest)
    except InputError as error:
        assert str(error).isprintable()
        refused += 1
    for path in (folder, folder.parent.parent):
        status = main([str(path)])
        out, err = capsys.readouterr()
        assert (status, err) == (0, "") or (status == 2 and out == "" and err.count("\n") == 1)
        refused += status == 2
    return refused


@pytest.mark.parametrize("name", ["study.json", "report.json"])
def test_an_edited_json_file_is_used_or_refused(folder, name, capsys):
    """A hundred values replaced by ones of another kind, or taken out: a line and exit 2, or a report; nothing else."""
    content, rng = json.loads((folder / name).read_text()), random.Random(5)
    refused = 0
    for place in rng.sample(list(places(content)), EDITS // 2):
        for value in (..., rng.choice(WRONG)):
            (folder / name).write_text(json.dumps(changed(content, place, value)))
            refused += use(folder, capsys)
    assert refused or name == "report.json"  # which is written again; only test figures are kept from it


@pytest.mark.parametrize("name", ["search.jsonl", "repeats.jsonl"])
def test_an_edited_record_is_used_or_refused(folder, name, capsys):
    """Values of its events replaced, or taken out, and lines of nonsense: reported on, or a line and exit 2."""
    refused, rng = 0, random.Random(6)
    lines = (folder / name).read_text().splitlines()
    for _ in range(EDITS):
        edited, row = list(lines), rng.randrange(len(lines))
        event = json.loads(lines[row])
        place = rng.choice(list(places(event)))
        made = json.dumps(changed(event, place, rng.choice([..., *WRONG])))
        edited[row] = rng.choice([made, made, made, "nonsense"])
        (folder / name).write_text("\n".join(edited) + "\n")
        refused += use(folder, capsys)
    assert refused


def test_an_edited_table_changes_nothing(folder, capsys):
    """The tables are for other readers: the report is made from the record, whatever somebody has written into them."""
    before = (folder / "report.json").read_text()
    for name in ("trials.csv", "epochs.csv", "repeats.csv", "repeat_epochs.csv"):
        (folder / name).write_text("nonsense")
    assert main([str(folder)]) == 0
    assert (folder / "report.json").read_text() == before
    capsys.readouterr()


@pytest.mark.parametrize("command", [main, lambda arguments: wandb_main([*arguments, "offline"])])
def test_a_path_that_cannot_be_read_is_one_line(command, capsys, monkeypatch, tmp_path):
    """A name that the file system does not take ends both commands with one line, no traceback."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))  # the writer names one of its own, for this whole process
    assert command(["x" * 300]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "File name too long" in error
