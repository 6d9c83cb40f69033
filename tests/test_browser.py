"""The report, and Optuna's dashboard, in a real browser."""

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.report import write_report
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from storage.whole_files import write_json
from studies.suggest import Suggester
from tests.chromium import CHROMIUM, Page
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, Trial, TrialResult, trial_result

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
]

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of three trials whose class names, notes and reasons are full of markup."""
    return made_report(tmp_path_factory.mktemp("study"), 3, 2)


def made_report(folder, count, length):
    """A report of so many trials of so many epochs, the last of which failed."""
    stage = stage_named("lr")
    parts = {"count": 50, "similar": 0.5}
    manifest = {
        "schema": 1,
        "stage": "lr",
        "name": "s",
        "question": stage.question,
        "metric": {"name": "val_loss", "goal": "min"},
    }
    manifest |= {
        "parameters": stage.describe(),
        "arms": ["constant", "exponential", "cosine"],
        "arm_values": {arm: {"schedule.kind": arm} for arm in ("constant", "exponential", "cosine")},
        "examined": False,
        "reference": TrialConfig().to_dict(),
        "seed": 0,
        "sampler": "qmc",
    }
    manifest |= {
        "budget": {"trials": count, "epochs": length, "repeats": 1},
        "scheduler": "none",
        "start": TrialConfig().to_dict(),
    }
    manifest |= {
        "start_from": EVIL,
        "versions": {"python": "3"},
        "hardware": {"CPUs": 2},
        "commit": None,
        "argv": [EVIL],
    }
    manifest |= {"started": "now", "finished": None}
    manifest["data"] = {
        "source": EVIL,
        "digest": "0",
        "counts": {EVIL: 9},
        "groups": 9,
        "notes": [EVIL],
        "options": ["--data", EVIL],
    }
    manifest["data"] |= {
        "pairs": {"train": parts, "validation": parts},
        "split": {"kind": "grouped", "train": 6, "validation": 1, "test": 2},
    }
    folder.mkdir(exist_ok=True)
    write_json(folder / "study.json", manifest)
    log = Record(Files.of_search(folder), stage.metric, [p.path for p in stage.varied])
    for number in range(count):
        arm = ("constant", "exponential", "cosine")[number % 3]
        values = {"schedule.kind": arm, "optimiser.lr": 0.01 * (number + 1), "optimiser.weight_decay": 1e-3}
        trial = Trial(number, arm, values, TrialConfig())
        worth = 0.3 * number / count
        epochs = [
            EpochMetrics(e, 0.5, 0.6 - 0.2 * e / length - worth, 0.9, 0.8, 0.9, 0.01, 1.0) for e in range(1, length + 1)
        ]
        log.started(trial, "ray")
        for epoch in epochs:
            log.epoch(trial, epoch)
        status = "failed" if number == count - 1 else "finished"
        reason = EVIL if status == "failed" else ""
        log.ended(TrialResult(trial, status, length, epochs[-1], 2.0, reason), epochs)
    return write_report(folder)


@pytest.fixture(scope="module")
def page(report):
    with Page() as page:
        page.open(report.resolve().as_uri())
        yield page


def test_markup_in_names_is_shown_and_never_run(page):
    """The title stays the page's own, every name stands there as text, and the page's script is the only one."""
    assert page.run("document.title") == "lr / s"
    assert page.run("document.scripts.length") == 1
    assert page.text().count("<script>document.title='owned'</script>") >= 5


def test_not_even_markup_that_slipped_through_would_run(page):
    """A script or handler that stands in the page as markup does nothing: the content policy knows one script."""
    page.run("document.querySelector('h1').insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.run("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 2'}))")
    page.wait("document.querySelector('h1 img').complete")
    assert page.run("document.title") == "lr / s"
    page.run("document.querySelector('h1 img').remove()")
    page.errors.clear()


def test_the_page_needs_nobody(report):
    """Opening the page asks for nothing but itself and what it carries inside, and no script fails."""
    with Page() as page:
        page.open(report.resolve().as_uri())
        assert {address.partition(":")[0] for address in page.requests} <= {"file", "data"}
        assert sum(address.startswith("file:") for address in page.requests) == 1
        assert page.errors == []


def column(page, number):
    return page.run(
        f"[...document.querySelectorAll('table.sortable tbody tr')].map(r => r.cells[{number}].textContent.trim())"
    )


def test_a_click_on_a_heading_sorts_the_trials(page):
    """By number, not by letter: up, then down; what is missing comes last both times."""
    heading = "table.sortable th:nth-child(3) button"
    before = column(page, 0)
    page.click(heading)
    losses = [float(text) for text in column(page, 2)]
    assert losses == sorted(losses)
    assert page.run("document.querySelector('table.sortable th:nth-child(3)').ariaSort") == "ascending"
    page.click(heading)
    assert [float(text) for text in column(page, 2)] == losses[::-1]
    page.click("table.sortable th:nth-child(9) button")  # gamma, which two of three trials lack
    assert column(page, 8)[-1] == ""
    assert sorted(column(page, 0)) == sorted(before)


def test_a_curve_that_is_pointed_at_says_whose_it_is(page):
    """The mouse on a curve shows its trial's number, arm, best value and parameters, and marks its row; off it, no more."""
    x, y = page.run(
        "(line => { line.scrollIntoView({block: 'center'}); const p = line.points[0], m = line.getScreenCTM();"
        "return [m.a * p.x + m.e, m.d * p.y + m.f + 1]; })(document.querySelector('.curve[data-trial=\"1\"] .reach'))"
    )
    page.move(x + 2, y)
    said = page.run("document.querySelector('#pointed').textContent")
    assert said.startswith("trial 1, exponential: val_loss 0.3000 in epoch 2 of 2; ")
    assert "optimiser.lr 0.02" in said
    assert page.run("document.querySelector('tr[data-trial=\"1\"]').classList.contains('pointed')")
    page.move(1, 1)
    assert not page.run("document.querySelector('tr[data-trial=\"1\"]').classList.contains('pointed')")


def test_a_row_that_is_pointed_at_shows_its_curve(page):
    """The mouse on a row of the table makes its curve the thick one."""
    page.hover('tr[data-trial="0"] td')
    width = "getComputedStyle(document.querySelector('.curve[data-trial=\"0\"] polyline:not(.reach)')).strokeWidth"
    assert page.run(width) == "4px"


def luminance(path):
    return np.asarray(Image.open(path).convert("L"), dtype=float)


@pytest.mark.parametrize("width", [420, 1280])
def test_the_page_is_drawn_at_phone_and_desktop_width(page, tmp_path, width):
    """A screenshot shows a page that is not blank, and nothing but tables of their own scrolls sideways."""
    page.size(width, 1600)
    page.run("scrollTo(0, 0)")
    page.screenshot(tmp_path / "page.png")
    pixels = luminance(tmp_path / "page.png")
    assert pixels.shape[1] == width
    assert pixels.std() > 20
    assert (pixels[:, width // 8 : -width // 8] < 128).any(axis=1).mean() > 0.1
    assert page.run("document.documentElement.scrollWidth") <= width


def test_the_page_is_light_or_dark_as_the_reader_likes(page, tmp_path):
    """With a dark scheme most of the page is dark and its text light, with a light one the reverse; figures stay legible."""
    page.size(1280, 1000)
    page.run("scrollTo(0, 0)")
    brightness = {}
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme)
        page.screenshot(tmp_path / f"{scheme}.png")
        brightness[scheme] = np.median(luminance(tmp_path / f"{scheme}.png"))
        background = page.run("getComputedStyle(document.querySelector('figure img')).backgroundColor")
        assert scheme == "light" or background == "rgb(255, 255, 255)"
    page.media()
    assert brightness["light"] > 230
    assert brightness["dark"] < 40


def test_the_page_prints(page, tmp_path):
    """Printed from a dark screen it is dark on white, and the widest table fits the paper."""
    page.media(media="print", prefers_color_scheme="dark")
    page.size(720, 1000)
    assert page.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 39, 51)"
    assert page.run("document.querySelector('table.sortable').getBoundingClientRect().right") <= 720
    page.pdf(tmp_path / "page.pdf")
    page.media()
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


# --- for everyone ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, which finds what keeps people out of a page (https://github.com/dequelabs/axe-core)."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    fetched = npm and subprocess.run([npm, "pack", "axe-core@4.14.1"], cwd=folder, capture_output=True, timeout=120)
    if not fetched or fetched.returncode:
        pytest.skip("needs axe-core from the npm registry")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_people_out(page, axe, scheme, width):
    """Contrast, names, roles and keyboard access, light and dark, on a phone and on a desk."""
    page.size(width, 1000)
    page.media(prefers_color_scheme=scheme)
    page.run(axe)
    found = page.run(
        "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 90) + n.any.map(a => a.message).join())]))"
    )
    page.media()
    assert found == []


def test_the_keyboard_reaches_what_the_mouse_does(page):
    """Tab and arrow keys go to curves and rows, which say and mark the same as under the mouse; Enter sorts; tables scroll."""
    page.size(1280, 1000)
    page.run("document.querySelector('.curve[tabindex=\"0\"]').focus()")
    first = page.run("document.activeElement.dataset.trial")
    page.key("ArrowUp")
    second = page.run("document.activeElement.dataset.trial")
    assert {first, second} == {"0", "1"}
    assert page.run("document.querySelector('#pointed').textContent").startswith(f"trial {second}, ")
    assert page.run(f"document.querySelector('tr[data-trial=\"{second}\"]').classList.contains('pointed')")
    page.run("document.querySelector('table.sortable tbody tr[tabindex=\"0\"]').focus()")
    places = []
    for key in ("Home", "ArrowDown", "End", "Home"):
        page.key(key)
        places.append(page.run("document.activeElement.rowIndex"))
    assert places == [1, 2, 3, 1]
    page.run("document.querySelector('table.sortable th:nth-child(3) button').focus()")
    before = page.run("document.querySelector('table.sortable th:nth-child(3)').ariaSort")
    page.key("Enter")
    assert page.run("document.querySelector('table.sortable th:nth-child(3)').ariaSort") != before


def test_figures_say_what_is_seen_in_them(page):
    """An alternative text of a figure has the figure's numbers, not its caption."""
    alternatives = page.run(
        "[...document.querySelectorAll('figure')].filter(f => f.querySelector('img')).map(f => [f.querySelector('img').alt, f.innerText])"
    )
    assert alternatives
    said = " ".join(alt for alt, _ in alternatives)
    assert "The best val_loss goes from 0.4 after the first trial to 0.3, reached with trial 1, number 2 of 2." in said
    assert "validation loss from 0.5 to 0.4" in said
    assert not [alt for alt, caption in alternatives if alt == caption.strip()]


def test_a_page_of_500_trials_is_small_and_fits_a_phone(tmp_path):
    """500 trials of 40 epochs make a page of less than 1.5 MB, of which only tables scroll sideways on a phone."""
    path = made_report(tmp_path / "many", 500, 40)
    assert path.stat().st_size < 1_500_000
    with Page(360, 800) as page:
        page.open(path.resolve().as_uri())
        assert page.run("document.documentElement.scrollWidth") <= 360
        assert page.run("document.querySelectorAll('table.sortable tbody tr').length") == 500


# --- Optuna's dashboard ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """`make dashboard` on a study of four trials with their curves; its address."""
    folder = tmp_path_factory.mktemp("results") / "lr" / "s"
    folder.mkdir(parents=True)
    stage = stage_named("lr")
    suggester = Suggester(Study(stage, "s", TrialConfig(), Budget(4, 3, 1)), folder / "optuna.journal")
    for number in range(4):
        trial = suggester.ask(number)
        suggester.started(trial, f"ray_{number}")
        epochs = [EpochMetrics(e, 0.5, 0.5 / e + number / 10, 0.9, 0.8, 0.9, 0.01, 1.0) for e in (1, 2, 3)]
        suggester.ended(trial_result(trial, "finished", epochs, stage.metric), epochs)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("optuna-dashboard")
    if not command.exists():
        pytest.skip("needs optuna-dashboard")
    told = subprocess.run(
        ["make", "-n", "dashboard", f"STUDY={folder}", f"PORT={port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (recipe,) = [line for line in told.splitlines() if "bin/optuna-dashboard" in line]
    started = recipe.replace(".venv/bin/optuna-dashboard", str(command))
    process = subprocess.Popen(shlex.split(started), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def test_the_dashboard_lists_the_study_s_arms_and_trials(dashboard):
    """Optuna's own dashboard shows a study an arm; of a trial its parameters, its curve, our number and Ray's."""
    wait_for(dashboard)
    with Page() as page:
        page.open(f"{dashboard}/dashboard/")
        for arm in ("constant", "exponential", "cosine"):
            page.wait(f"document.body.innerText.includes('lr/s/{arm}')")
        page.open(f"{dashboard}/dashboard/studies/1/trials?numbers=0")
        page.wait("document.body.innerText.includes('exponential')")
        shown = page.text()
    assert "lr/s/exponential" in shown
    for words in ("optimiser.lr", "schedule.gamma", "ray_1", "trial", "status"):
        assert words in shown
    detail = json.loads(urllib.request.urlopen(f"{dashboard}/api/studies/1").read())
    (trial,) = detail["trials"]
    assert [value["value"] for value in trial["intermediate_values"]] == [0.6, 0.35, 0.5 / 3 + 0.1]


def wait_for(address):
    """Wait until somebody answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{address}/api/studies", timeout=5)
        time.sleep(0.2)
    raise TimeoutError(address)


def test_a_dashboard_of_nothing_is_one_line():
    """Without a study `make dashboard` says what to give."""
    done = subprocess.run(
        ["make", "-s", "dashboard", "STUDY=nowhere", "READY="], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "STUDY=nowhere is no study folder; give STUDY=results/<stage>/<study>" in done.stdout + done.stderr
