"""The command line as a user types it, in a process of its own; real Ray where something is trained."""

import errno
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from run_search import main
from search_spaces.stages import stage_named
from search_spaces.study import Start
from storage.data_source import Source
from storage.folder import write_manifest
from storage.study_json import Grouping
from studies.options import parser, request
from studies.suggest import journal_states
from tests.build import DATA, MANIFEST
from tests.command import ROOT, images, search, start
from tests.page import NUMBER, Page, figures_of
from trainables import compare
from trainables.config import TrialConfig
from trainables.images.files import user_path
from trainables.json_values import from_plain, to_plain

ONE = ("--max-concurrent", "1")  # where it does not matter: most of a study this small is starting workers

# --- wrong usage and unusable input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--stage", "lrr"],
            "unknown stage 'lrr'; the stages are baseline, network, loss, lr, regularisation, init, ensemble, final, all",
        ),
        (
            [],
            "--stage is missing; the stages are baseline, network, loss, lr, regularisation, init, ensemble, final, all",
        ),
        (["--stage", "lr", "--trials", "0"], "--trials: '0' is not a whole number from 1"),
        (["--stage", "lr", "--epochs", "-3"], "--epochs"),
        (["--stage", "lr", "--trials", "many"], "'many' is not a whole number from 1"),
        (["--stage", "lr", "--seed", "1.5"], "--seed"),
        (["--stage", "lr", "--minutes", "0"], "--minutes: '0' is not a number above 0"),
        (["--stage", "lr", "--minutes", "5", "--trials", "4"], "--minutes 5: plans trials and repeats; leave out"),
        (
            ["--stage", "lr", "--minutes", "5", "--rounds", "2"],
            "--rounds 2: how many trials its rounds add is not known",
        ),
        (["--stage", "final", "--rounds", "2"], "--rounds 2: asks a search for more trials; final searches nothing"),
        (["--stage", "lr", "--rounds", "0"], "--rounds: '0' is not a whole number from 1"),
        (["--stage", "lr", "--sampler", "grid"], "invalid choice: 'grid'"),
        (["--stage", "lr", "--study", "../up"], "--study '../up'"),
        (["--stage", "lr", "--nonsense"], "--nonsense"),
        (["--stage", "lr", "--results-dir", "r" * 300], "rrr' is no folder that can be used (File name too long)"),
        (["--stage", "lr", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["--stage", "lr", "--data", "empty"], "empty: no images found"),
        (["--stage", "lr", "--data", "one"], "one: only one class to compare ('cat')"),
        (["--stage", "lr", "--data", "tiny"], "fewer than 10 chips in class 'dog' (3)"),
        (["--stage", "lr", "--data", "cut"], "unreadable or truncated image"),
        (["--stage", "lr", "--start", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--stage", "lr", "--start", "bad.json"], "bad.json: optimiser.lr is -1"),
        (["--stage", "lr", "--start", "other.json"], "other.json: has no 'config'"),
        (
            ["--stage", "lr", "--start", "side.json", "--data", "nowhere"],  # before anything is read
            "run_search.py: side.json: data.side is 64; the encoder report takes 75\n",
        ),
        (["--stage", "lr", "--start", "weights.json"], "gone.pth: no such file"),
        (["--stage", "lr", "--with", "network"], "--with network: goes with --stage all; --stage network asks that"),
        (["--stage", "all", "--with", "loss"], "invalid choice: 'loss'"),
        (["--stage", "lr", "--data", "two", "--ship-class", "cow"], "--ship-class 'cow': the classes are cat, dog"),
        (["--stage", "lr", "--data", "two", "--split", "classes"], "two: --split classes needs 6 classes"),
        (["--stage", "lr", "--group-by", "prefix:("], "--group-by prefix:(: no regular expression"),
        (["--stage", "lr", "--group-by", "folders"], "expected folder, none or prefix:REGEX"),
        (["--stage", "lr", "--data", "kaggle:nobody"], "'kaggle:nobody': not a Kaggle data set"),
        (["--stage", "all", "--start", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--stage", "lr", "--data", "two\udcff"], "two\\udcff: not UTF-8"),
        (["--stage", "lr", "--study", "taken", "--smoke"], "results/lr/taken: a study of that name is there already"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, said):
    """Every mistake exits 2 with one line that names it on standard error, and leaves no half-written study."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    images(tmp_path / "one", {"cat": 12})
    images(tmp_path / "tiny", {"cat": 12, "dog": 3})
    images(tmp_path / "two", {"cat": 12, "dog": 12})
    images(tmp_path / "cut", {"cat": 12, "dog": 12})
    whole = (tmp_path / "cut" / "dog" / "5.png").read_bytes()
    (tmp_path / "cut" / "dog" / "5.png").write_bytes(whole[:100])
    (tmp_path / "bad.json").write_text(json.dumps({"config": {"optimiser": {"lr": -1}}}))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "side.json").write_text(json.dumps({"config": {"data": {"side": 64}}}))
    (tmp_path / "weights.json").write_text(json.dumps({"config": {"init": {"weights": "gone.pth"}}}))
    (tmp_path / "results" / "lr" / "taken").mkdir(parents=True)
    (tmp_path / "results" / "lr" / "taken" / "study.json").write_text("{}")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "results").rglob("*")] == ["lr", "taken", "study.json"]


def test_a_tilde_is_the_home_folder_everywhere(tmp_path, monkeypatch, capsys):
    """--results-dir=~/x, which no shell expands, --data, --start and the other commands' paths mean the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    args = parser().parse_args(["--stage", "lr", "--results-dir=~/x", "--start=~/b.json", "--data=~/none"])
    assert (args.results_dir, args.start) == (tmp_path / "x", tmp_path / "b.json")
    assert main(["--stage", "lr", "--data=~/none"]) == 2
    assert f"{tmp_path}/none: no such file or folder" in capsys.readouterr().err
    assert str(user_path("~nobody-here/x")) == "~nobody-here/x"
    assert compare.parser().parse_args(["--model=~/m", "~/a", "~/b"]).model == tmp_path / "m"
    assert not list(tmp_path.iterdir())


def test_two_commands_in_the_same_second_have_names_of_their_own():
    """A study without --study is named by the time to the microsecond: twenty names are twenty."""
    asked = request(parser().parse_args(["--stage", "lr"]))
    assert len({asked.study_name() for _ in range(20)}) == 20


def test_the_options_of_a_set_come_back_from_a_study(tmp_path):
    """How images are grouped and splits merged is kept with the study, so that --resume and the next command say it again."""
    typed = ["--data", "x", "--split", "classes", "--group-by", "prefix:p.", "--merge-splits", "--skip-bad"]
    made = request(parser().parse_args(["--stage", "lr", *typed])).source
    assert request(parser().parse_args(["--stage", "lr", *made.options()])).source == made
    assert Source.from_options(made.options(), grouped=True) == made
    assert from_plain(Source, json.loads(json.dumps(to_plain(made)))) == made


def test_a_study_from_before_groups_goes_on_without_them():
    """Its study.json knows no grouping: then folders inside a class group nothing, and empty classes are passed over."""
    before, now = (replace(DATA, grouping=grouping).asked for grouping in (None, Grouping()))
    assert (before.group_by, before.drop_small_classes) == ("none", True)
    assert (now.group_by, now.drop_small_classes) == ("folder", False)


@pytest.mark.slow
def test_it_starts_from_a_notebook_and_under_uv():
    """MPLBACKEND of a Jupyter or Colab kernel is no traceback; workers are started as Ray does without `uv run`."""
    code = (
        "import analysis.report, matplotlib, studies.tuner; from ray._private import ray_constants; "
        "print(matplotlib.get_backend(), ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV)"
    )
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["agg", "False"], done.stderr


def test_list_and_dry_run_write_nothing(tmp_path, monkeypatch, capsys):
    """--list names the stages with their questions; --dry-run shows arms, shares, reasons, and what too few seeds can prove; neither leaves a file."""
    monkeypatch.chdir(tmp_path)
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "baseline" in listed
    assert "Which learning rate and schedule" in listed
    assert "\nall " in listed
    assert main(["--stage", "lr", "--dry-run", "--trials", "10"]) == 0
    planned = capsys.readouterr().out
    assert "constant (4 trials), exponential (3 trials), cosine (3 trials)" in planned
    assert "nuisance   optimiser.lr" in planned
    assert "9 runs of a race among the 4 best, and 8 to 60 runs to decide (at most 20 fresh seeds): 27 to 79" in planned
    assert re.search(r"time: about \d+\.\d to \d+\.\d min on this machine \(an epoch of one network takes", planned)
    assert "note: so few runs cannot rule out that a config dies under 18% of all seeds" in planned
    assert main(["--stage", "lr", "--dry-run", "--repeats", "3"]) == 0
    planned = capsys.readouterr().out
    assert "note: so few runs cannot rule out that a config dies under 34% of all seeds" in planned
    assert not list(tmp_path.iterdir())


def test_a_pipe_that_nobody_reads_is_no_error(tmp_path):
    """`run_search.py --list | head -1` says nothing on standard error and ends as other tools do, by the name of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "run_search.py"), "--list"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        (errno.EMFILE, "a.png", "this process may open no more files; `ulimit -n 8192` before the command lets it"),
        (errno.ENOSPC, None, "a disk or the shared memory is full (No space left on device)"),
        (errno.EADDRINUSE, None, "no port is free (Address already in use)"),
        (errno.EIO, None, "Input/output error"),
        (errno.EROFS, "home/.cache", "home/.cache: Read-only file system"),
    ],
)
def test_an_error_of_the_system_says_what_it_is_about(monkeypatch, capsys, number, name, said):
    """Whatever the system refuses before a study is begun is one line about the file or about what there is no more of, never about a file None."""

    def fail(*_):
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr("run_search.run_stage", fail)
    assert main(["--stage", "lr"]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "None" not in err
    assert "--resume" not in err


def test_all_plans_every_stage(tmp_path, monkeypatch, capsys):
    """--stage all --dry-run shows each stage's arms and shares, in order, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    assert main(["--stage", "all", "--dry-run", "--data", "anything"]) == 0
    planned = capsys.readouterr().out
    places = [planned.index(f"stage {name}:") for name in ("baseline", "loss", "lr", "regularisation", "init", "final")]
    assert places == sorted(places)
    assert "contrastive (6 trials), koch (6 trials), bce on distance (6 trials)" in planned
    assert "time: cannot be estimated (anything: no such file or folder" in planned
    assert not list(tmp_path.iterdir())


def test_the_plan_for_minutes_says_how_many_runs_they_have_room_for(tmp_path, monkeypatch, capsys):
    """--minutes --dry-run names each stage's part, trials and seeds, by a measured epoch; more minutes have room for more."""
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "chips", {"boat": 30, "ship": 30})
    trials = []
    for minutes in ("10", "20"):
        assert main(["--stage", "all", "--data", "chips", "--minutes", minutes, "--dry-run"]) == 0
        time = capsys.readouterr().out.splitlines()[-1]
        assert time.startswith(f"time: {minutes} min, as asked (an epoch of one network takes ")
        trials.append(int(re.search(r"lr (\d+) trials and at most \d+ seeds", time)[1]))
        assert re.search(r"final \d+ seeds$", time)
    assert trials[0] < trials[1]


def test_a_chain_asks_for_the_network_where_it_is_told_to(tmp_path, monkeypatch, capsys):
    """--with network puts that stage between baseline and loss, of the plan too; without it the plan has none."""
    monkeypatch.chdir(tmp_path)
    for arguments, expected in (([], ["baseline", "loss"]), (["--with", "network"], ["baseline", "network", "loss"])):
        assert main(["--stage", "all", "--data", "anything", *arguments, "--dry-run"]) == 0
        planned = capsys.readouterr().out
        named = [line.split()[1].rstrip(":") for line in planned.splitlines() if line.startswith("stage ")]
        assert named[: len(expected)] == expected
        assert named[len(expected)] == "lr"
    made = request(parser().parse_args(["--stage", "all", "--with", "network"]))
    assert made.settings() != request(parser().parse_args(["--stage", "all"])).settings()


def test_a_file_of_weights_lies_beside_the_config_that_names_it(tmp_path):
    """Its path becomes whole, so that it holds wherever a trial runs."""
    (tmp_path / "kept.pth").write_bytes(b"")
    (tmp_path / "mine.json").write_text(json.dumps({"config": {"init": {"weights": "kept.pth"}}}))
    started = request(parser().parse_args(["--stage", "lr", "--start", str(tmp_path / "mine.json")])).typed_start()
    assert started.config.init.weights == str(tmp_path / "kept.pth")


def test_a_later_stage_trains_as_long_as_its_start(tmp_path, monkeypatch, capsys):
    """From regularisation on, a start that was found says how many epochs; --epochs wins; the lr stage asks anew."""
    monkeypatch.chdir(tmp_path)
    config = TrialConfig().override({"epochs": 33}).to_dict()
    (tmp_path / "mine.json").write_text(json.dumps({"config": config}))
    for arguments, epochs in (
        (["--stage", "init", "--start", "mine.json"], 33),
        (["--stage", "init", "--start", "mine.json", "--epochs", "7"], 7),
        (["--stage", "lr", "--start", "mine.json", "--data", "x"], 20),
        (["--stage", "init", "--data", "x"], 20),
    ):
        assert main([*arguments, "--dry-run"]) == 0
        assert f"trials of {epochs} epochs" in capsys.readouterr().out


@pytest.mark.ray
@pytest.mark.slow
def test_another_encoder_at_another_side_goes_all_the_way(tmp_path):
    """`final` from a config of the small encoder at 80 pixels: trained beside the report's, drawn, kept, resumed and used."""
    images(tmp_path / "chips", {"cat": 30, "dog": 30})
    network = {"encoder": "small", "width": 2, "depth": 2, "embedding": 4}
    (tmp_path / "mine.json").write_text(json.dumps({"config": {"network": network, "data": {"side": 80}}}))
    command = ("--stage", "final", "--smoke", *ONE, "--study", "s", "--data", "chips", "--start", "mine.json")
    done = search(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "final" / "s"
    study, verifier = (json.loads((folder / f"{name}.json").read_text()) for name in ("study", "verifier"))
    assert (study["data"]["read"]["side"], verifier["side"]) == (90, 90)
    assert (study["start"]["data"]["side"], study["reference"]["data"]["side"]) == (80, 75)
    assert (folder / "figures" / "saliency.png").is_file()
    roles = [row["role"] for row in json.loads((folder / "report.json").read_text())["tests"]]
    assert {"selected", "baseline"} <= set(roles)
    again = search(*command[:-2], "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    one, other = sorted((tmp_path / "chips" / "cat").iterdir())[:2]
    asked = [sys.executable, "-m", "trainables.compare", "--model", str(folder), str(one), str(other)]
    assert subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.count("\t") == 3


@pytest.mark.ray
@pytest.mark.slow
def test_networks_are_compared_all_the_way(tmp_path):
    """`network` from a tiny encoder: trial 0 and both of the demo's arms trained, timed, on the page, read at the largest side."""
    images(tmp_path / "chips", {"cat": 30, "dog": 30})
    network = {"encoder": "small", "width": 2, "depth": 2, "embedding": 4}
    (tmp_path / "mine.json").write_text(json.dumps({"config": {"network": network, "data": {"side": 20}}}))
    command = ("--stage", "network", "--smoke", *ONE, "--study", "s", "--data", "chips", "--start", "mine.json")
    done = search(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "network" / "s"
    study, report = (json.loads((folder / f"{name}.json").read_text()) for name in ("study", "report"))
    assert study["arms"] == ["start", "report", "small 16", "small 32"]
    assert study["data"]["read"]["side"] == 75
    assert {cost["arm"] for cost in report["costs"]} == {"start", "report", "small 16"}
    assert (folder / "figures" / "costs.png").is_file()
    assert "What each network costs" in (folder / "report.html").read_text()


def test_the_reports_baseline_trains_as_long_as_in_the_report():
    """Whatever --epochs says of the adopted config, `final` measures it beside 20 epochs of the baseline; not in --smoke."""
    stage = stage_named("final")
    for arguments, epochs, reference in ((["--epochs", "40"], 40, 20), ([], 10, 20), (["--smoke"], 2, 2)):
        made = request(parser().parse_args(["--stage", "final", *arguments])).study(stage, Start(), "n")
        assert (made.budget.epochs, made.reference.epochs) == (epochs, reference)


def test_a_stage_starts_from_the_newest_adopted_config_before_it(tmp_path, monkeypatch, capsys):
    """Without --start the lr stage takes the adopted baseline study's config and says so; --start wins over it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "baseline" / "b"
    folder.mkdir(parents=True)
    config = TrialConfig().override({"optimiser.lr": 0.005}).to_dict()
    (folder / "best.json").write_text(json.dumps({"config": config, "adopted": True}))
    write_manifest(folder, MANIFEST)
    assert main(["--stage", "lr", "--dry-run"]) == 0
    assert "start: results/baseline/b/best.json" in capsys.readouterr().out
    (tmp_path / "mine.json").write_text(json.dumps({"config": config}))
    assert main(["--stage", "lr", "--dry-run", "--start", "mine.json"]) == 0
    assert "start: mine.json" in capsys.readouterr().out


def test_a_start_of_a_smoke_run_or_of_other_images_decides_no_length(tmp_path, monkeypatch, capsys):
    """What --smoke adopted is a start for --smoke alone; epochs that were enough for other images are not taken over."""
    monkeypatch.chdir(tmp_path)
    for name, epochs, argv in (("a", 33, []), ("b", 2, ["--smoke"])):
        folder = tmp_path / "results" / "lr" / name
        folder.mkdir(parents=True)
        config = TrialConfig().override({"epochs": epochs, "optimiser.lr": 0.005}).to_dict()
        (folder / "best.json").write_text(json.dumps({"config": config, "adopted": True}))
        data = replace(DATA, options=("--data", "mine"))
        write_manifest(folder, replace(MANIFEST, finished=f"2026-01-01, {name}", argv=tuple(argv), data=data))
    for arguments, name, epochs in (
        (["--data", "mine"], "a", 33),
        (["--data", "others"], "a", 20),
        (["--data", "mine", "--smoke"], "b", 2),
    ):
        assert main(["--stage", "init", *arguments, "--dry-run"]) == 0
        planned = capsys.readouterr().out
        assert f"start: results/lr/{name}/best.json" in planned
        assert f"trials of {epochs} epochs" in planned


# --- a whole study ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """`--stage lr --smoke` on class folders with an awkward name, and what it left."""
    root = tmp_path_factory.mktemp("smoke")
    images(root / "chips", {"<b>cat & co": 30, "dog": 30})
    command = ("--stage", "lr", "--smoke", "--study", "s", "--data", "chips", "--repeats", "2", "--wandb", "offline")
    return root, search(*command, cwd=root)


@pytest.mark.ray
@pytest.mark.slow
class TestSmoke:
    def test_the_last_line_of_standard_output_is_the_report(self, smoke):
        """Exit 0; standard output is the report's path and nothing else; standard error has no noise of Ray's."""
        root, done = smoke
        assert done.returncode == 0, done.stderr
        assert done.stdout == "results/lr/s/report.html\n"
        assert (root / "results/lr/s/report.html").is_file()
        assert not re.search(r"ray|warning|traceback|deprecat", done.stderr, re.IGNORECASE)
        assert "verdict:" in done.stderr

    def test_the_folder_is_the_contracts(self, smoke):
        """Every file of the contract is there, with the keys and columns it promises, and no leftovers beside them."""
        folder = smoke[0] / "results" / "lr" / "s"
        assert sorted(path.name for path in folder.iterdir()) == [
            ".lock", "best.json", "checkpoints", "epochs.csv", "figures", "optuna.journal", "repeat_epochs.csv", "repeats.csv",
            "repeats.jsonl", "report.html", "report.json", "search.jsonl", "study.json", "trials.csv", "verifier.json", "verifier.safetensors", "wandb",
        ]  # fmt: skip
        study, best, report = (
            json.loads((folder / f"{name}.json").read_text()) for name in ("study", "best", "report")
        )
        assert set(study) >= {
            "schema", "stage", "question", "parameters", "arms", "budget", "seed", "sampler", "scheduler", "start",
            "data", "versions", "hardware", "commit", "argv", "started", "finished",
        }  # fmt: skip
        assert set(study["data"]) >= {"source", "digest", "classes", "counts", "split", "groups"}
        assert set(study["parameters"][0]) >= {"path", "role", "domain", "because"}
        assert set(best) == {"config", "trial", "arm", "val", "adopted", "why"}
        assert set(best["val"]) == {"loss", "accuracy", "jaccard"}
        assert TrialConfig.from_dict(best["config"]).to_dict() == best["config"]
        assert set(report) >= {"selected", "baseline", "verdict", "findings", "test", "published", "next"}
        assert set(report["findings"][0]) == {"id", "severity", "evidence", "advice", "remedy"}
        test = report["test"]
        assert set(test) >= {
            "accuracy",
            "jaccard",
            "accuracy_interval",
            "jaccard_interval",
            "tp",
            "tn",
            "fp",
            "fn",
            "threshold",
        }
        assert test["tp"] + test["tn"] + test["fp"] + test["fn"] == test["pairs"] == 5 * study["data"]["split"]["test"]
        assert report["next"].startswith("python run_search.py --stage ")
        assert "--data chips" in report["next"]
        assert len((smoke[0] / "results" / "test_ledger.jsonl").read_text().splitlines()) == 1

    def test_shown_numbers_are_the_files(self, smoke):
        """Each figure of the page's answer, cards, checks and test pairs, and of the terminal's last lines, stands in report.json, rounded or in a sentence."""
        root, done = smoke
        folder = root / "results" / "lr" / "s"
        known = figures_of(json.loads((folder / "report.json").read_text()))
        page = re.sub(
            r"<(style|script).*?</\1>", "", (folder / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL
        )
        page = re.sub(r"<[^>]*>", " ", page.partition("The paper of 2023")[0])
        terminal = done.stderr[done.stderr.index("verdict:") :].partition("offline runs")[0]
        shown = NUMBER.findall(html.unescape(page)) + NUMBER.findall(terminal)
        assert len(shown) > 60
        assert sorted(set(shown) - known) == []

    def test_weights_and_biases_has_a_run_for_every_trial(self, smoke):
        """--wandb offline leaves a run for each trial, each retraining and the study; the end says how to send them."""
        root, done = smoke
        folder = root / "results" / "lr" / "s"
        trials = sum(len(pd.read_csv(folder / name)) for name in ("trials.csv", "repeats.csv"))
        assert len(list((folder / "wandb").glob("offline-run-*"))) == trials + 1
        assert "offline runs for Weights & Biases: wandb sync results/lr/s/wandb/offline-run-*" in done.stderr
        assert "ended early" not in done.stderr

    def test_the_config_to_use_is_one_that_was_trained(self, smoke):
        """best.json is a finished trial, the start or a candidate; its val_loss is the lowest of that trial's epochs."""
        folder = smoke[0] / "results" / "lr" / "s"
        trials = pd.read_csv(folder / "trials.csv").set_index("trial", drop=False)  # rows are in the order of ends
        epochs = pd.read_csv(folder / "epochs.csv")
        best = json.loads((folder / "best.json").read_text())
        assert trials["status"].tolist() == ["finished"] * 3
        repeats = pd.read_csv(folder / "repeats.csv")
        assert ("baseline" if best["trial"] == 0 else f"trial {best['trial']}") in set(repeats["arm"])
        assert best["val"]["loss"] == trials["val_loss"][best["trial"]]
        for _, trial in trials.iterrows():
            own = epochs[epochs["trial"] == trial["trial"]]
            assert own["epoch"].tolist() == [1, 2]
            assert trial["val_loss"] == own["val_loss"].min()
            assert trial["best_epoch"] == own.loc[own["val_loss"].idxmin(), "epoch"]

    def test_a_trial_can_be_trained_again_from_its_row(self, smoke):
        """The best trial's config and the data give its recorded validation loss again, to the last bit."""
        import torch

        from trainables.images.readers import read_chips
        from trainables.preparation import prepare
        from trainables.training import DeviceData, train

        root = smoke[0]
        best = json.loads((root / "results/lr/s/best.json").read_text())
        torch.set_num_threads(1)
        data = DeviceData.of(prepare(read_chips(root / "chips"), "grouped", 0).for_trials())
        losses = [epoch.val_loss for epoch in train(TrialConfig.from_dict(best["config"]), data)]
        assert min(losses) == best["val"]["loss"]

    def test_the_page_stands_alone_and_shows_names_as_text(self, smoke):
        """The page refers to nothing outside itself, has eight pictures, and shows a class name with markup as text."""
        page = Page()
        text = (smoke[0] / "results/lr/s/report.html").read_text(encoding="utf-8")
        page.feed(text)
        assert len(page.links) == 8
        assert all(link.startswith("data:image/png;base64,") for link in page.links)
        assert "<b>cat & co 30" in page.text
        assert "b" not in page.tags[page.tags.index("dl") :]  # the data section: no tag made of a name
        assert page.tags.count("script") == 1  # its own

    def test_the_report_can_be_written_again(self, smoke):
        """`python -m analysis` on the folder gives the same report without data, and without another look at the test."""
        root = smoke[0]
        shutil.copytree(root / "results", root / "moved")
        before = json.loads((root / "moved/lr/s/report.json").read_text())
        again = subprocess.run(
            [sys.executable, "-m", "analysis", "moved/lr/s"],
            cwd=root,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert again.returncode == 0, again.stderr
        assert again.stdout == "moved/lr/s/report.html\n"
        after = json.loads((root / "moved/lr/s/report.json").read_text())
        before.pop("next"), after.pop("next")  # names the folder
        assert after == before
        assert len((root / "moved" / "test_ledger.jsonl").read_text().splitlines()) == 1

    def test_a_study_that_diverges_everywhere_exits_1(self, smoke):
        """If no trial finishes, the exit status is 1, each trial is a row with its reason, and the page says so."""
        root = smoke[0]
        config = TrialConfig().override({"optimiser.lr": 1e30, "init.kind": "he"}).to_dict()
        (root / "wild.json").write_text(json.dumps({"config": config}))
        command = ("--stage", "baseline", "--smoke", *ONE, "--study", "wild", "--data", "chips", "--start", "wild.json")
        done = search(*command, cwd=root)
        assert done.returncode == 1, done.stderr
        assert done.stdout.splitlines()[-1] == "results/baseline/wild/report.html"
        trials = pd.read_csv(root / "results/baseline/wild/trials.csv")
        assert trials["status"].tolist() == ["infeasible"] * 3
        assert trials["reason"].str.contains("not finite").all()
        assert "No trial finished" in (root / "results/baseline/wild/report.html").read_text()
        assert not (root / "results/baseline/wild/best.json").exists()

    def test_sigterm_keeps_what_is_done(self, smoke):
        """One SIGTERM for all of a run's processes, as SLURM sends it, ends it within 30 seconds, exit 143; finished rows and a report remain."""
        root = smoke[0]
        command = ("--stage", "lr", "--data", "chips", "--trials", "400", "--epochs", "2", "--wandb", "offline")
        process = start(root, *command, "--study", "cut")
        rows = root / "results/lr/cut/trials.csv"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (rows.exists() and len(rows.read_text().splitlines()) > 3):
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=30)  # what SLURM waits before it kills
        assert process.returncode == 143, err
        assert "Traceback" not in err
        assert "interrupted; what is done is kept, --resume --study cut goes on" in err
        assert "next: python run_search.py --stage lr --resume --study cut" in err
        assert out.splitlines()[-1] == "results/lr/cut/report.html"
        trials = pd.read_csv(rows)
        assert 3 <= len(trials) < 400
        assert trials["trial"].is_unique
        assert set(pd.read_csv(root / "results/lr/cut/epochs.csv")["trial"]) <= set(trials["trial"])
        assert set(trials["status"]) <= {"finished", "failed"}
        assert set(trials.loc[trials["status"] == "failed", "reason"]) <= {"interrupted"}
        states = [
            trial["state"] for arm in journal_states(root / "results/lr/cut/optuna.journal").values() for trial in arm
        ]
        assert "RUNNING" not in states
