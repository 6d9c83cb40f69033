"""Guards the search from Python: a session's studies are those of the command, and say what they found."""

import signal
import threading
import time

import numpy as np
import pytest

import siamese_search
from analysis.commands import once_more
from search_spaces.study import stretched
from siamese_search import Arrays, InputError, Session, TrialConfig, read_study
from storage.best_json import read_best
from storage.study_json import Manifest

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 30)
IMAGES = RNG.integers(0, 90, (60, 24, 24)).astype(np.uint8)
IMAGES[LABELS == 1, 6:18, 6:18] += 120
CHIPS = Arrays(IMAGES, LABELS, classes=["sea", "ship"])


def on_ray(test):
    return pytest.mark.ray(pytest.mark.slow(test))


def test_the_public_names_are_few_and_there():
    """`siamese_search` exports under 25 names, and has each."""
    assert len(siamese_search.__all__) < 25
    assert all(hasattr(siamese_search, name) for name in siamese_search.__all__)


def test_what_cannot_be_run_is_refused_before_anything_is_written(tmp_path):
    """An unknown stage, a path that is not there, a budget against a budget: InputError, and no results folder."""
    session = Session(tmp_path / "nowhere", results=tmp_path / "results")
    for wrong in ({"stage": "learning"}, {"stage": "lr"}, {"stage": "lr", "minutes": 2.0, "trials": 3}):
        with pytest.raises(InputError):
            session.run(**wrong)
    for name, value in {"sampler": "TPE", "scheduler": "ASHA"}.items():
        with pytest.raises(InputError, match=f"^{name} '{value}': one of "):
            session.run("lr", **{name: value})
    for name, value in {"seed": -1, "epochs": 0, "trials": 2.5, "repeats": True, "minutes": -1}.items():
        with pytest.raises(InputError, match=f"^{name}: '{value}' is not a "):
            session.run("lr", **{name: value})
    with pytest.raises(InputError, match=r"^split 'Classes': one of grouped, random, classes"):
        Session(tmp_path / "nowhere", split="Classes", results=tmp_path / "results").run("lr")
    with pytest.raises(InputError, match="no study to resume"):
        session.resume("lr")
    assert not (tmp_path / "results").exists()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    """In every path that is given, as on the command line, where no shell has seen to it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"{tmp_path}/mine/lr"):
        Session(results="~/mine").resume("lr")
    with pytest.raises(InputError, match=f"{tmp_path}/start.json"):
        Session(results=tmp_path).run("lr", start="~/start.json")
    with pytest.raises(InputError, match=f"{tmp_path}/study"):
        read_study("~/study")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def session(results):
    with Session(CHIPS, results=results) as session:
        yield session


@pytest.fixture(scope="module")
def study(session):
    return session.run("lr", smoke=True, name="first")


@on_ray
def test_a_study_comes_with_its_answer(study, results):
    """Config, verdict, findings, tables, figures and page are there, and the folder holds the same study."""
    assert isinstance(study.best, TrialConfig)
    assert study.verdict == study.report.verdict
    assert len(study.trials) == 3
    assert len(study.runs) > 0
    assert {finding.id for finding in study.findings} >= {"density"}
    assert study.page == results / "lr" / "first" / "report.html"
    assert study.figures["losses"]._repr_png_().startswith(b"\x89PNG")
    again = read_study(str(study.path))
    assert (again.verdict, again.best) == (study.verdict, study.best)


@on_ray
def test_a_notebook_shows_the_page(study):
    """The page stands whole in the study's HTML, below the verdict."""
    shown = study._repr_html_()
    assert shown.startswith(f"<p>lr: {study.manifest.question}")
    assert "&lt;!doctype html&gt;" in shown.lower()


@on_ray
def test_it_says_in_python_how_to_go_on(study):
    """Images in memory are named by no command."""
    assert study.report.next.startswith("session.run(")


@on_ray
def test_the_next_stage_starts_from_a_study(session, study):
    """`start` is the study's config, and the manifest says where it came from."""
    after = session.run("init", smoke=True, name="after", start=study)
    assert after.manifest.start == study.best.override({"epochs": 2})
    assert after.manifest.start_from == str(study.path / "best.json")


@on_ray
def test_ctrl_c_returns_what_there_is(session, results):
    """A study that is cut short comes back unfinished, and says how to resume it."""
    record, main = results / "loss" / "cut" / "search.jsonl", threading.main_thread().ident

    def press():
        while not (record.exists() and '"epoch"' in record.read_text()):
            time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    mine = TrialConfig().override({"optimiser.lr": 0.002, "schedule.kind": "exponential", "schedule.gamma": 0.9})
    cut = session.run("loss", trials=12, epochs=60, repeats=1, name="cut", start=mine)
    assert isinstance(cut.manifest, Manifest)
    assert cut.manifest.finished is None
    assert "session.resume('loss', name='cut')" in cut.report.next
    kept = read_best(cut.path / "start.json").config  # what the next call can name
    assert kept == stretched(mine, 60).override({"epochs": 60}) == stretched(kept, 60)
    assert once_more(cut, adopted=False).start == str(cut.path / "start.json")


@on_ray
def test_other_images_are_refused(session, study, results):
    """A study goes on with its own images alone, and no command can go on with images in memory."""
    other = Session(Arrays(255 - IMAGES, LABELS), results=results)  # a process has one Ray: this takes its place
    with other, pytest.raises(InputError, match="other images"):
        other.resume("lr", "first", trials=9)
