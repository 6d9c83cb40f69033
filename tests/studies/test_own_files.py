"""Guards `--encoder FILE.py:NAME` and `--stage FILE.py`: the docs' own files as typed, and each mistake in one line."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main as analysis
from run_search import main
from search_spaces.domain import Choice
from search_spaces.stage import Budget, Parameter, Stage
from search_spaces.stages import STAGES
from search_spaces.study import OwnFile, Study
from storage.folder import read_manifest
from studies.describe import study_of
from studies.options import parser, request, typed
from studies.own_files import note_on_encoder, notes_on_arms, own_encoder, own_stage
from studies.request import check_unchanged
from tests.command import ROOT, images, search
from trainables.compare import main as compare
from trainables.config import TrialConfig
from trainables.own_code import digest
from trainables.result import Metric

DOCS = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
FILES = {name: text for text, name in re.findall(r"```python\n(# (\w+\.py)\n.*?)```", DOCS, re.DOTALL)}
COMMANDS = [line.strip() for line in re.findall(r"^    python run_search\.py .*$", DOCS, re.MULTILINE)]
SMOKE = ("--stage", "batch.py", "--encoder", "mine.py:Net", "--smoke", "--max-concurrent", "1", "--data", "chips")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files of the docs, where commands are typed."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def edited(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def refused(capsys, *arguments):
    """The one line with which a command exits 2."""
    assert main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "Traceback" not in err
    assert not Path("results").exists()
    return err


def test_the_commands_of_the_docs_are_planned_as_typed(folder, capsys):
    """Each command of the docs with a file of the user's is taken, on the embedded chips, and its plan names the file."""
    typed = [line for line in COMMANDS if ".py:" in line or "batch.py" in line]
    assert len(typed) == 2
    for line in typed:
        words = shlex.split(line.replace("--data YOUR_IMAGES", ""))[2:]
        assert main([*words, "--dry-run", "--address", "a:1"]) == 0  # whose time is not known beforehand
        planned = capsys.readouterr().out
        name = "mine.py" if "mine.py:Net" in line else "batch.py"
        assert f"{folder / name}" in planned
        assert digest(FILES[name]) in planned


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("mine.py", "--encoder mine.py: give FILE.py:NAME"),
        ("mine.py:a-b", "--encoder mine.py:a-b: give FILE.py:NAME"),
        ("gone.py:Net", "--encoder gone.py: cannot be read (No such file or directory)"),
        ("mine.py:Nett", "mine.py has no Nett; it has Net"),
        ("latin.py:Net", "--encoder latin.py: is no text in UTF-8"),
        ("flat.py:Net", "flat.py:Net made float32 (1, 16, 9, 9) of chips (1, 3, 75, 75); it must make a float32 tensor (1, E)"),
    ],
)  # fmt: skip
def test_a_wrong_encoder_is_one_line_before_anything_is_read(folder, capsys, encoder, said):
    """Exit 2 and one line, with --dry-run or without, for one stage or all; no image is read, nothing is written."""
    (folder / "latin.py").write_bytes("x = 'ü'".encode("latin-1"))
    (folder / "flat.py").write_text(
        FILES["mine.py"].replace("self.head(self.blocks(chips).flatten(1))", "self.blocks(chips)")
    )
    for options in (["--stage", "lr"], ["--stage", "lr", "--dry-run"], ["--stage", "all"]):
        assert said in refused(capsys, *options, "--encoder", encoder, "--data", "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"optimiser.lr"', '"optimiser.lrr"', "batch.py line 11: unknown configuration path 'optimiser.lrr'; did you mean optimiser.lr?"),
        ("(32, 64)", "(32, 6.4)", "batch.py line 10: batch_size is 6.4; it must be a whole number"),
        ("2e-2)", "-1)", "batch.py line 11: LogUniform(low=0.0002, high=-1): bounds must be finite numbers"),
        ('"val_loss", "min"', '"val_los", "min"', "batch.py line 6: metric 'val_los': one of val_loss, val_accuracy,"),
        ('"val_loss", "min"', '"train_loss", "min"', "batch.py line 6: metric 'train_loss': one of val_loss, val_accuracy,"),
        ('"batch_size"', '"epochs"', "batch.py line 6: stage batch: epochs is the study's"),
        ('"nuisance"', '"noise"', "batch.py line 11: parameter optimiser.lr: a role is scientific, nuisance, fixed, not 'noise'"),
        ('name="batch"', 'name="lr"', "batch.py: lr is one of our stages; call it otherwise"),
        ('name="batch"', 'name="all"', "batch.py: all is one of our stages"),
        ('name="batch"', 'name="a/b"', "batch.py: a stage cannot be called 'a/b'"),
        ("BATCH = Stage(", "BATCH = dict(", "batch.py has no stages; it must have one value `Stage(...)`"),
        ("BATCH =", "from dataclasses import replace\nBATCH =", None),
        ("    question=", "    compared={'a': {'optimiser.lrr': 1, 'batch_size': 32}},\n    question=", "unknown configuration path 'optimiser.lrr'"),
        ("batch_size", "data.side", "stage batch, arm 32: data.side is 32; the encoder report takes 75"),
        ("optimiser.lr", "augmentation.crop", "stage batch, arm 64: augmentation.crop is 0.0002; small, koch, resnet18, own take it"),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_one_line(folder, capsys, old, new, said):
    """A misspelt path, a value that no config takes, a name that is taken: exit 2, with file and line where there is one."""
    edited(folder / "batch.py", old, new)
    if said:
        assert said in refused(capsys, "--stage", "batch.py", "--data", "nowhere")
    else:
        assert own_stage("batch.py").stage.name == "batch"
    assert "--stage gone.py: cannot be read" in refused(capsys, "--stage", "gone.py")


def test_a_stage_of_ours_may_be_the_pattern(folder):
    """A file that changes one of ours has one stage, its own; two of its own are refused by name."""
    (folder / "wide.py").write_text(
        "from dataclasses import replace\nfrom search_spaces.stages.lr import LR\nWIDE = replace(LR, name='wide')\n"
    )
    assert own_stage("wide.py").stage == replace(next(s for s in STAGES if s.name == "lr"), name="wide")


def test_a_start_with_code_wants_its_file(folder, capsys):
    """--start runs no code of a config: one with an own encoder is refused, and taken with --encoder."""
    text = FILES["mine.py"]
    config = TrialConfig().override({"network.encoder": "own", "network.own": "x.py:Net", "network.source": text})
    (folder / "best.json").write_text(json.dumps({"config": config.to_dict()}))
    assert "x.py:Net, whose code is not run unasked" in refused(capsys, "--stage", "lr", "--start", "best.json")
    words = ["--stage", "lr", "--start", "best.json", "--encoder", "mine.py:Net"]
    started = request(parser().parse_args(words)).typed_start()
    assert started.config == config.override({"network.own": "mine.py:Net"})
    assert started.encoder.digest == digest(text)


def test_an_arm_that_fits_no_config_is_told_of():
    """Of three encoders one takes no chips of side 40: a user's own stage names it and why, a stage of ours does not."""
    kind = Parameter("network.encoder", "scientific", Choice(("report", "small", "resnet18")), "x")
    stage = Stage("s", "q?", (kind,), Metric("val_loss", "min"), Budget(4, 2))
    start = TrialConfig().override({"network.encoder": "small", "data.side": 40})
    study = Study(stage, "s", start, Budget(4, 2))
    assert {arm.name for arm in study.arms()} == {"small", "resnet18"}
    assert notes_on_arms(study) == []
    (note,) = notes_on_arms(replace(study, own_files={"stage": OwnFile("own.py", "0")}))
    assert note.startswith("arm report is left out, since it makes no config of the start: ")
    assert "side" in note


def test_a_file_that_was_edited_since_is_told_of(folder):
    """A start keeps its encoder's text; that its file has another now is a note, and one that is gone is none."""
    file = own_encoder("mine.py:Net").file
    assert note_on_encoder(file) == note_on_encoder(None) == []
    (folder / "mine.py").write_text(FILES["mine.py"] + "\n")
    (note,) = note_on_encoder(file)
    assert note.startswith(f"{folder / 'mine.py'} has changed since: ") and f"--encoder {file.typed} takes" in note
    (folder / "mine.py").unlink()
    assert note_on_encoder(file) == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The docs' encoder in the docs' stage; the encoder's file removes itself when it is tried, before a worker starts."""
    root = tmp_path_factory.mktemp("own")
    images(root / "chips", {"cat": 30, "dog": 30})
    (root / "batch.py").write_text(FILES["batch.py"], encoding="utf-8")
    source = f"{FILES['mine.py']}import pathlib\npathlib.Path('mine.py').unlink(missing_ok=True)\n"
    (root / "mine.py").write_text(source, encoding="utf-8")
    return root, search(*SMOKE, "--study", "s", cwd=root), source


@pytest.mark.ray
@pytest.mark.slow
class TestRun:
    def test_the_code_travels_to_the_workers(self, run):
        """All trials finish though no worker can read the file: its text goes with each config."""
        root, done, _ = run
        assert done.returncode == 0, done.stderr
        assert done.stdout == "results/batch/s/report.html\n"
        assert not (root / "mine.py").exists()
        assert set(pd.read_csv(root / "results/batch/s/trials.csv")["status"]) == {"finished"}
        assert set(pd.read_csv(root / "results/batch/s/trials.csv")["batch_size"]) == {32, 64}

    def test_study_json_has_path_and_digest(self, run):
        """`own_files` names both files with the SHA-256 of their content; the config has the encoder's text."""
        root, _, source = run
        study = json.loads((root / "results/batch/s/study.json").read_text())
        assert study["own_files"] == {
            "encoder": {"path": str(root / "mine.py"), "digest": digest(source), "name": "Net"},
            "stage": {"path": str(root / "batch.py"), "digest": digest(FILES["batch.py"]), "name": ""},
        }
        assert study["start"]["network"]["source"] == source

    def test_the_page_and_the_summary_need_no_file(self, run, monkeypatch):
        """Both are written again from the folder alone; the page names the files, and how to go on with them."""
        root, _, source = run
        monkeypatch.chdir(root)
        (root / "batch.py").rename(root / "away.py")
        try:
            assert [analysis(["results/batch/s"]), analysis(["results"])] == [0, 0]
        finally:
            (root / "away.py").rename(root / "batch.py")
        page = (root / "results/batch/s/report.html").read_text(encoding="utf-8")
        assert f"{root / 'mine.py'}:Net, SHA-256 <code>{digest(source)}" in page
        following = json.loads((root / "results/batch/s/report.json").read_text())["next"]
        assert f"--encoder {root / 'mine.py'}:Net" in following or "--resume" in following
        (row,) = json.loads((root / "results/summary.json").read_text())["stages"]
        assert (row["stage"], row["question"]) == ("batch", own_stage(str(root / "batch.py")).stage.question)

    def test_going_on_wants_the_files_as_they_were(self, run, monkeypatch, capsys):
        """A changed encoder or stage, typed or where it lay, is refused in a line; a file that is gone is not missed."""
        root, _, source = run
        monkeypatch.chdir(root)
        resume = ["--stage", "batch.py", "--resume", "--data", "chips"]
        edited(root / "batch.py", "(32, 64)", "(32, 48)")
        assert main(resume) == 2
        assert "batch.py: has changed since results/batch/s was started (SHA-256" in capsys.readouterr().err
        (root / "batch.py").write_text(FILES["batch.py"])
        (root / "mine.py").write_text(source + "\n")
        for words in ([], ["--encoder", "mine.py:Net"]):
            assert main([*resume, *words]) == 2
            assert "mine.py:Net: has changed since results/batch/s" in capsys.readouterr().err
        (root / "mine.py").unlink()
        own = own_stage("batch.py")
        asked = request(parser().parse_args(resume), own)
        manifest = read_manifest(root / "results/batch/s")
        assert check_unchanged(asked, typed(resume), root / "results/batch/s") == manifest.data.asked
        assert study_of(manifest, own.stage).start.network.source == source
        assert main(["--stage", "batch", "--resume"]) == 2
        assert "unknown stage 'batch'; the stages are baseline" in capsys.readouterr().err

    def test_the_kept_verifier_compares(self, run, monkeypatch, capsys):
        """`trainables.compare --own-code` answers with the encoder that was trained, without its file."""
        monkeypatch.chdir(run[0])
        pair = ["chips/cat/0.png", "chips/dog/0.png"]
        assert compare(["--own-code", "--model", "results/batch/s", *pair]) == 0
        answer = r"chips/cat/0.png\tchips/dog/0.png\t(similar|different)\t[01]\.\d{4}\n"
        assert re.fullmatch(answer, capsys.readouterr().out)
