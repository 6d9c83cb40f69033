"""A search in rounds, for real: what the checks ask for is done, written down, and the same after a kill in any round."""

import json
import shutil

import pandas as pd
import pytest

from run_search import main
from search_spaces.stages import stage_named
from search_spaces.study import Start
from siamese_search import Session
from storage.folder import read_manifest
from studies.describe import study_of
from studies.options import parser, request
from tests.command import images, search

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SIZE = ("--trials", "12", "--epochs", "3", "--repeats", "2", "--rounds", "2")
COMMAND = ("--stage", "lr", "--data", "chips", *SIZE, "--max-concurrent", "1")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A study whose best rate lies at the end of the range: so few epochs want high ones."""
    root = tmp_path_factory.mktemp("rounds")
    images(root / "chips", {"boat": 30, "ship": 30})
    done = search(*COMMAND, "--study", "unbroken", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "round 2 of 2: 6 more trials" in done.stderr
    return root


def figures(folder, table):
    frame = pd.read_csv(folder / table).drop(columns="seconds")
    return frame.sort_values(list(frame.columns[:2]), ignore_index=True)


def test_a_round_does_what_the_checks_asked_for(root):
    """The rate's range is widened, its new trials reach beyond the old end, and study.json and the page say why."""
    folder = root / "results/lr/unbroken"
    study = json.loads((folder / "study.json").read_text())
    (own,) = study["rounds"]
    assert (study["budget"]["trials"], own["first"], own["trials"]) == (18, 12, 6)
    assert own["ranges"]["optimiser.lr"]["high"] == 0.1
    (change,) = own["changes"]
    assert change["check"] == "boundary"
    trials = figures(folder, "trials.csv").set_index("trial")
    assert len(trials) == 18
    assert trials.loc[:11, "optimiser.lr"].max() <= 0.02 < trials.loc[12:, "optimiser.lr"].max() <= 0.1
    assert set(trials["seed"]) == {trials.loc[0, "seed"]}
    page = (folder / "report.html").read_text()
    assert change["what"] in page
    assert change["why"] in page


def test_a_study_with_rounds_is_still_the_one_that_was_asked_for(root):
    """Without what its findings added, study.json describes what the command says: a chain knows its study by that."""
    described = read_manifest(root / "results/lr/unbroken")
    typed = request(parser().parse_args([*COMMAND]))
    assert study_of(described) != typed.study(stage_named("lr"), Start(), "unbroken")
    assert study_of(described).as_asked() == typed.study(stage_named("lr"), Start(), "unbroken")


def copied(root, name):
    """A copy of the study, by another name; return its folder."""
    folder = root / "results/lr" / name
    shutil.copytree(root / "results/lr/unbroken", folder)
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(study | {"name": name}))
    return folder


def cut(root, kept, rounds):
    """A copy of the study as a kill behind so many trials leaves it, so many rounds being asked for; return its folder."""
    folder = copied(root, f"cut{kept}of{rounds}")
    for left in ("repeats.jsonl", "report.json", "report.html", "best.json", "verifier.safetensors", "verifier.json"):
        (folder / left).unlink()
    shutil.rmtree(folder / "checkpoints")
    study = json.loads((folder / "study.json").read_text()) | {"finished": None, "finalists": {}}
    if kept <= 12:  # the round was not planned yet
        study = study | {"rounds": [], "budget": study["budget"] | {"trials": 12, "rounds": rounds}}
    (folder / "study.json").write_text(json.dumps(study))
    events = [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]
    lines = [json.dumps(event) + "\n" for event in events if event["trial"] < kept]
    (folder / "search.jsonl").write_text("".join(lines))
    return folder


def assert_as_unbroken(root, folder):
    """The same trials, runs and answer."""
    whole = root / "results/lr/unbroken"
    for table in ("trials.csv", "epochs.csv", "repeats.csv", "repeat_epochs.csv"):
        pd.testing.assert_frame_equal(figures(folder, table), figures(whole, table), check_exact=True)
    best, before = (json.loads((path / "best.json").read_text()) for path in (folder, whole))
    assert best == before
    rounds, planned = (json.loads((path / "study.json").read_text())["rounds"] for path in (folder, whole))
    assert rounds == planned


def test_another_round_asked_for_later_changes_nothing(root, monkeypatch):
    """A study of one round that is resumed by `--resume --rounds 2` is the one of two."""
    monkeypatch.chdir(root)
    folder = cut(root, 12, rounds=1)
    assert main(["--stage", "lr", "--resume", "--study", folder.name, "--rounds", "2", "--max-concurrent", "1"]) == 0
    assert_as_unbroken(root, folder)


@pytest.fixture(scope="module")
def session(root):
    """One Ray for all that is resumed."""
    with Session(root / "chips", results=root / "results", max_concurrent=1) as session:
        yield session


def test_a_third_round_keeps_the_trials_of_the_second(root, session):
    """Asked for with as many trials as at first, a finished study loses none that a round has added."""
    folder = copied(root, "third")
    before = figures(folder, "trials.csv")
    session.resume("lr", "third", trials=12, rounds=3)
    assert json.loads((folder / "study.json").read_text())["budget"]["trials"] >= 18
    pd.testing.assert_frame_equal(figures(folder, "trials.csv")[:18], before, check_exact=True)


def test_more_rounds_that_nothing_asks_for_remove_nothing(root, session, monkeypatch, capsys):
    """Where the checks of a finished study want no more trials, its runs under new seeds stay, and this is said."""
    folder = copied(root, "settled")
    before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    monkeypatch.setattr("analysis.rounds.next_round", lambda record: None)
    session.resume("lr", "settled", rounds=3)
    assert (
        "--rounds 3: the checks ask for nothing that more trials of this study could settle" in capsys.readouterr().err
    )
    assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == before


def test_trials_asked_for_after_a_round_are_of_all_arms_and_of_the_whole_range(root, session):
    """They are not the round's, whose trials have a part of the range alone; study.json and the page say what they are."""
    folder = copied(root, "more")
    before = figures(folder, "trials.csv")
    session.resume("lr", "more", trials=27)
    study, trials = json.loads((folder / "study.json").read_text()), figures(folder, "trials.csv")
    (own, more), drawn = study["rounds"], trials[18:]
    pd.testing.assert_frame_equal(trials[:18], before, check_exact=True)
    assert (more["first"], more["trials"], more["changes"], more["drawn"]) == (18, 9, [], {})
    assert more["ranges"] == own["ranges"]
    assert set(drawn["arm"]) == set(more["arms"]) == set(study["arms"])
    assert drawn["optimiser.lr"].min() < own["drawn"]["optimiser.lr"]["low"]
    page = (folder / "report.html").read_text()
    assert "All 2 rounds were used." in page
    assert "asked for by the user" in page


@pytest.mark.parametrize("kept", [5, 12, 15], ids=["in the first round", "between two rounds", "in the second"])
def test_a_kill_in_any_round_changes_nothing(root, session, kept):
    """Cut behind so many trials, as a kill leaves it, the study goes on to the same trials, runs and answer.

    It is asked for with as many trials as at first, though a round may have added some.
    """
    folder = cut(root, kept, rounds=2)
    session.resume("lr", folder.name, trials=12, rounds=2)
    assert_as_unbroken(root, folder)
