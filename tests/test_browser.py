"""The report in a real browser."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from analysis.report import write_report
from analysis.store import TrialLog, write_json
from search_spaces.stages import stage_named
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, Trial, TrialResult

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
]

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of three trials whose class names, notes and reasons are full of markup."""
    folder = tmp_path_factory.mktemp("study")
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
        "budget": {"trials": 3, "epochs": 2, "repeats": 1},
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
    write_json(folder / "study.json", manifest)
    log = TrialLog(folder / "trials.csv", folder / "epochs.csv", [p.path for p in stage.varied])
    for number, arm in enumerate(["constant", "exponential", "cosine"]):
        trial = Trial(
            number, arm, {"schedule.kind": arm, "optimiser.lr": 0.01, "optimiser.weight_decay": 1e-3}, TrialConfig()
        )
        epochs = [EpochMetrics(e, 0.5, 0.5 - 0.1 * e, 0.9, 0.8, 0.9, 0.01, 1.0) for e in (1, 2)]
        for epoch in epochs:
            log.epoch(trial, epoch)
        status = "failed" if number == 2 else "finished"
        log.ended(TrialResult(trial, status, 2, epochs[1], 2.0, EVIL if number == 2 else ""), epochs)
    return write_report(folder)


def chromium(report, *flags):
    command = [
        CHROMIUM,
        *FLAGS.split(),
        f"--user-data-dir={report.parent / 'browser'}",
        *flags,
        report.resolve().as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_markup_in_names_is_shown_and_never_run(report):
    """After the page has loaded its title is still its own, and every name stands there as text."""
    page = chromium(report, "--dump-dom")
    assert "<title>lr / s</title>" in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;document.title='owned'&lt;/script&gt;") >= 5


@pytest.mark.parametrize("width", [420, 1280])
def test_the_page_is_drawn_at_phone_and_desktop_width(report, width):
    """A screenshot shows a page that is not blank and fills its width."""
    picture = report.parent / f"{width}.png"
    chromium(report, f"--window-size={width},1600", f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
    assert pixels.shape[1] == width
    assert pixels.std() > 20
    assert (pixels[:, width // 8 : -width // 8] < 128).any(axis=1).mean() > 0.1
