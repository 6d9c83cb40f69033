"""`--stage all` as a user types it, cut off and resumed; the summary; the verifier that it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.paper_figures import PUBLISHED
from analysis.summary import write_summary
from run_search import main
from search_spaces.stages import chain_with
from storage.folder import read_study
from studies.run_study import is_reported
from tests import chromium
from tests.chromium import CHROMIUM
from tests.command import ROOT, images, search, start
from tests.page import Page
from trainables.compare import main as compare
from trainables.config import TrialConfig
from trainables.errors import InputError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

COMMAND = ("--stage", "all", "--smoke", "--data", "chips", "--results-dir", "r", "--max-concurrent", "1")
NAMES = [stage.name for stage in chain_with()]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The chain on ten scenes a class, ended by Ctrl-C in its third stage and resumed; what both runs left."""
    root = tmp_path_factory.mktemp("all")
    images(root / "chips", {"boat": 30, "ship": 30})
    for place, image in enumerate(sorted((root / "chips").glob("*/*.png"))):
        scene = image.parent / f"scene {place % 10}"
        scene.mkdir(exist_ok=True)
        image.rename(scene / image.name)
    process = start(root, *COMMAND)
    while process.poll() is None and not list(root.glob("r/lr/*/epochs.csv")):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    cut = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return root, cut, search(*COMMAND, cwd=root)


def record(root):
    (path,) = root.glob("r/all/*/chain.json")
    return json.loads(path.read_text())


def test_ctrl_c_ends_the_chain_and_says_how_to_go_on(chain):
    """Exit 130 without a traceback, and the line on going on names the chain."""
    root, cut, _ = chain
    assert cut.returncode == 130, cut.stderr
    assert "Traceback" not in cut.stderr
    (folder,) = root.glob("r/all/*")
    assert f"the same command resumes it (--study {folder.name})" in cut.stderr


def test_the_same_command_goes_on_where_it_stopped(chain):
    """The second run says what is done, repeats neither baseline nor loss, and resumes the cut-off stage's study."""
    root, _, done = chain
    assert done.returncode == 0, done.stderr
    assert "2 steps are done" in done.stderr
    assert "(resuming r/lr/" in done.stderr
    assert {name: len(list(root.glob(f"r/{name}/*/study.json"))) for name in NAMES} == dict.fromkeys(NAMES, 1)
    assert [step["stage"] for step in record(root)["steps"]] == NAMES


def test_what_the_chain_has_done_is_not_tested_again(chain):
    """Each of its studies has a report of what it selected: of the start, of a trial, or of one of several equal runs."""
    for name in NAMES:
        (folder,) = chain[0].glob(f"r/{name}/*/study.json")
        assert is_reported(read_study(folder.parent)), name


def test_it_prints_a_line_for_each_stage_and_the_summary_last(chain):
    """Standard output has the seven stages in order, then the path of the summary, and nothing else."""
    root, _, done = chain
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == NAMES
    assert lines[-1] == "r/summary.html"
    assert (root / lines[-1]).is_file()


def test_each_stage_starts_from_the_last_adopted_config(chain):
    """A study's start is the selected config of the last adopted one before it, the paper's baseline before any."""
    root = chain[0]
    expected = TrialConfig()
    for step in record(root)["steps"]:
        folder = root / "r" / step["stage"] / step["study"]
        start = TrialConfig.from_dict(json.loads((folder / "study.json").read_text())["start"])
        same = {"seed": 0, "epochs": 1}
        assert start.override(same) == expected.override(same)
        if step["adopted"]:
            expected = TrialConfig.from_dict(json.loads((folder / "best.json").read_text())["config"])


def test_other_data_are_refused_by_a_chains_name(chain, capsys, monkeypatch):
    """Going on with a chain by name, with another seed than it had, exits 2 in one line."""
    root = chain[0]
    monkeypatch.chdir(root)
    (folder,) = root.glob("r/all/*")
    assert main([*COMMAND, "--study", folder.name, "--seed", "5"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        said
        == f"run_search.py: r/all/{folder.name}: a chain on other data or with other settings; choose another --study"
    )


def test_a_finished_chain_has_nothing_left_to_do(chain):
    """Asked for by name once more it prints the same lines in seconds and trains nothing."""
    root, _, done = chain
    (folder,) = root.glob("r/all/*")
    again = search(*COMMAND, "--study", folder.name, cwd=root)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert len(list(root.glob("r/*/*/study.json"))) == len(NAMES)


def test_more_rounds_of_a_stage_that_searches_nothing_are_refused(chain, capsys, monkeypatch):
    """`final` has no trials that checks could ask for: --rounds exits 2, and its runs under new seeds are still there."""
    monkeypatch.chdir(chain[0])
    (folder,) = Path("r/final").iterdir()
    before = (folder / "repeats.jsonl").read_bytes()
    assert main(["--stage", "final", "--resume", "--rounds", "3", "--data", "chips", "--results-dir", "r"]) == 2
    assert (
        "--rounds 3: asks a search for more trials; final searches nothing" in capsys.readouterr().err.splitlines()[-1]
    )
    assert (folder / "repeats.jsonl").read_bytes() == before


def test_no_study_before_the_final_one_knows_the_test_split(chain):
    """Their reports have no test figure, their pages say why, and each keeps a verifier all the same."""
    for name in [name for name in NAMES if name != "final"]:
        (folder,) = chain[0].glob(f"r/{name}/*")
        report = json.loads((folder / "report.json").read_text())
        assert report["test"] is None
        assert report["gain"] is None
        assert "Not looked at" in (folder / "report.html").read_text()
        assert (folder / "verifier.safetensors").exists()


def test_the_final_study_has_the_whole_examination(chain):
    """A row for each of two tasks, four criteria and three configs, the report's own among them; figures of runs and saliency.

    A line for each look, and none for which class a chip is of: of two classes that is not asked.
    """
    root = chain[0]
    (folder,) = root.glob("r/final/*")
    report = json.loads((folder / "report.json").read_text())
    assert len(report["tests"]) == 2 * 4 * 3
    assert {row["role"] for row in report["tests"]} == {"selected", "baseline", "paper"}
    assert {row["criterion"] for row in report["tests"]} == {"0.5", "cosine", "best F1", "ROC"}
    assert {row["task"] for row in report["tests"]} == {"test pairs", "ship task"}
    assert {path.name for path in (folder / "figures").iterdir()} >= {"runs.png", "saliency.png", "pairs.png"}
    looks = [json.loads(line) for line in (root / "r" / "test_ledger.jsonl").read_text().splitlines()]
    assert [look["study"] for look in looks] == [f"final/{folder.name}"] * 3
    assert report["identification"] is None
    assert report["next"] == "python -m analysis r" or "--stage final" in report["next"]
    repeats = pd.read_csv(folder / "repeats.csv")
    assert "koch" in set(repeats["arm"])


def test_the_summary_has_each_published_figure_and_each_stage(chain):
    """A row for each published figure, ours of the same config from the final examination at 0.5, and a row for each stage."""
    root = chain[0]
    summary = json.loads((root / "r" / "summary.json").read_text())
    assert [row["run"] for row in summary["published"]] == [figure.run for figure in PUBLISHED]
    (folder,) = root.glob("r/final/*")
    tests = json.loads((folder / "report.json").read_text())["tests"]
    final = next(r for r in tests if (r["task"], r["criterion"], r["role"]) == ("ship task", "0.5", "paper"))
    ours = summary["published"][2]["ours"]
    assert (ours["accuracy"], ours["jaccard"], ours["seeds"]) == (final["accuracy"], final["jaccard"], 1)
    assert ours["data"] == "chips"
    assert [row["stage"] for row in summary["stages"]] == NAMES
    assert all(row["question"].endswith("?") and row["why"] for row in summary["stages"])


def test_the_summary_page_stands_alone(chain):
    """The page links only to the studies' own pages, which are there, and holds its three pictures."""
    root = chain[0]
    page = Page()
    page.feed((root / "r" / "summary.html").read_text(encoding="utf-8"))
    pictures = [link for link in page.links if link.startswith("data:image/png;base64,")]
    pages = [link for link in page.links if link not in pictures]
    assert len(pictures) == 3
    assert len(pages) == len(NAMES)
    assert all((root / "r" / link).is_file() for link in pages)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")
@pytest.mark.parametrize("page", ["summary.html", "final/*/report.html"])
def test_the_pages_are_drawn(chain, page):
    """In a real browser summary and final report are not blank and no part of the page sticks out to the right."""
    (path,) = (chain[0] / "r").glob(page)
    picture = chain[0] / "page.png"
    with chromium.Page(1280, 2400) as browser:
        browser.open(path.resolve().as_uri())
        browser.screenshot(picture)
        assert browser.run("document.documentElement.scrollWidth") <= 1280
        assert browser.errors == []
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
    assert pixels.shape == (2400, 1280)
    assert (pixels[:, 200:-200] < 128).any(axis=1).mean() > 0.1
    assert (pixels[:, -120:-20] > 240).all()


def test_the_figures_beside_the_selected_config_are_its_rivals(chain):
    """The baseline's validation figures in a report are those of trial 0, and only where that is the baseline's config."""
    root = chain[0]
    for name in NAMES:
        (folder,) = root.glob(f"r/{name}/*")
        baseline = json.loads((folder / "report.json").read_text())["baseline"]
        study = read_study(folder)
        first = study.search[0].trial.config.override({"seed": 0})
        same = TrialConfig.from_dict(baseline["config"]).override({"seed": 0}) == first
        assert (baseline["val"] is not None) == same
        alone = baseline["config"]["ensemble"]["members"] == 1  # and trial 0 was one network
        assert same if name in ("baseline", "loss", "lr") else alone or not same


def test_the_summary_can_be_written_again(chain):
    """`python -m analysis` on the results folder gives the same summary; on a folder without studies, one line and exit 2."""
    root = chain[0]
    before = (root / "r" / "summary.json").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "analysis", "r"],
        cwd=root,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (again.returncode, again.stdout) == (0, "r/summary.html\n"), again.stderr
    assert (root / "r" / "summary.json").read_text() == before
    with pytest.raises(InputError, match="no finished study"):
        write_summary(root / "chips")


def test_the_final_verifier_compares_the_users_own_images(chain, capsys, monkeypatch):
    """The folder of the final study is a --model: every pair of two folders gets an answer with a probability."""
    root = chain[0]
    monkeypatch.chdir(root)
    (folder,) = Path("r/final").iterdir()
    assert compare(["--model", str(folder), "chips/boat/scene 0/0.png", "chips/ship"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 30
    assert {line[2] for line in lines} <= {"similar", "different"}
    assert all(0 <= float(line[3]) <= 1 for line in lines)


def test_minutes_are_split_planned_by_and_recorded(tmp_path):
    """--minutes gives each stage a part; it plans trials and repeats, says both, keeps them, and runs as many.

    Cut off once a stage has planned, the chain goes on by that plan, though other minutes are left by then.
    """
    images(tmp_path / "chips", {"boat": 40, "ship": 40})
    command = ("--stage", "all", "--data", "chips", "--results-dir", "r", "--epochs", "1", "--minutes", "0.3")
    process = start(tmp_path, *command)
    while process.poll() is None and not any(planned(path) for path in tmp_path.glob("r/loss/*/study.json")):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    done = search(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plans = re.findall(r"planned for (\S+) minutes.* --trials (\d+) --repeats (\d+)", said + done.stderr)
    assert len(plans) == len(NAMES)
    for name, (minutes, trials, repeats) in zip(NAMES, plans, strict=True):
        (folder,) = tmp_path.glob(f"r/{name}/*")
        budget = json.loads((folder / "study.json").read_text())["budget"]
        assert (budget["minutes"], budget["trials"], budget["repeats"]) == (float(minutes), int(trials), int(repeats))
        assert sorted(pd.read_csv(folder / "trials.csv")["trial"]) == list(range(int(trials)))
        runs = pd.read_csv(folder / "repeats.csv")["arm"].value_counts()
        assert runs.max() == int(repeats) if name in ("baseline", "final") else runs.max() >= int(repeats)
    assert sum(float(minutes) for minutes, *_ in plans[:2]) < 0.3


def planned(manifest):
    return json.loads(manifest.read_text())["pace"]
