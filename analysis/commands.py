"""The commands that a reader may type next, or the calls where a study was run from Python on images in memory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.stages import STAGES, stage_after, stage_named
from search_spaces.study import IN_PYTHON, OwnFile
from storage.data_source import IN_MEMORY
from storage.folder import StudyRecord
from trainables.config import TrialConfig, has_own_encoder

if TYPE_CHECKING:
    from storage.finding import Finding

ROUNDS = 2  # that a command proposes beyond those that a study had
SEARCHED = {"boundary", "feasibility", "unstable edge", "density"}  # what a round of the search may settle


def is_cut_off(study: StudyRecord) -> bool:
    """Return whether there is something to go on with: not measured yet, and its trials do not all fail."""
    return not study.manifest.finished and (study.evidence.empty or not study.finished.empty)


def next_command(study: StudyRecord, findings: Sequence[Finding], adopted: bool) -> str:
    """Return the command that goes on: with what is left, this study with one thing changed, or the next stage.

    Of a study that no command can name it is a call in Python.
    """
    options = _next(study, findings, adopted)
    manifest, results = study.manifest, study.path.parent.parent
    if not options and not isinstance(manifest.start, TrialConfig):
        return f"read_study({str(study.path)!r}).best"
    if not options:
        return shlex.join(["python", "-m", "analysis", str(results)])
    if "--resume" not in options and (encoder := _encoder(study, adopted)):
        options["--encoder"] = encoder.typed
    if manifest.data.asked.path == IN_MEMORY or options["--stage"] == IN_PYTHON:
        return _call(options)
    options["--results-dir"] = None if results == Path("results") else results
    given = [(option, value) for option, value in options.items() if value is not None]
    words = [str(word) for option, value in given for word in ((option,) if value is True else (option, value))]
    return shlex.join(["python", "run_search.py", *words, *manifest.data.asked.options()])


def _next(study: StudyRecord, findings: Sequence[Finding], adopted: bool) -> dict[str, object]:
    """What to run next, by option; nothing where there is nothing more to ask."""
    from analysis.checks import longer  # SciPy
    from analysis.rounds import next_round

    manifest, budget = study.manifest, study.manifest.budget
    warned = {finding.id for finding in findings if finding.severity in ("warn", "fail")}
    own, verifier = manifest.own_files.get("stage"), isinstance(manifest.start, TrialConfig)
    follows = stage_named("final") if own else stage_after(stage_named(manifest.stage))
    later = follows if verifier else None
    cut_off, too_short = is_cut_off(study), longer(findings)
    if later is None and verifier and not (cut_off or too_short):
        return {}
    again = _again(study, adopted)
    more: dict[str, object] = {"--stage": again["--stage"], "--resume": True, "--study": manifest.name}
    if cut_off:
        return more
    if study.finished.empty:  # nothing trained: find out whether the plain baseline does
        return {"--stage": STAGES[0].name} if verifier else again
    if too_short:
        return {**again, "--epochs": 2 * budget.epochs}
    if warned & SEARCHED and next_round(study):  # what is known is kept
        return {**more, "--rounds": len(manifest.rounds) + 1 + ROUNDS}
    if warned & {"boundary", "feasibility"}:  # a person changes the ranges first, which makes another study of it
        return {**again, "--trials": 2 * budget.trials}
    if warned & {"density", "retraining", "early best epochs"}:
        return {**more, "--trials": 2 * budget.trials}
    if later is None:
        return {}
    kept = {"--start": again["--start"], "--epochs": budget.epochs}
    return {"--stage": later.name, **({} if adopted and not own else kept)}  # what was adopted is found by itself


def _again(study: StudyRecord, adopted: bool) -> dict[str, object]:
    """The options of the same study once more, from what it adopted."""
    manifest, own = study.manifest, study.manifest.own_files.get("stage")
    start = str(study.path / "best.json") if adopted and manifest.judged != "test" else manifest.start_from
    return {
        "--stage": own.path if own else manifest.stage,
        "--start": start if start.endswith(".json") else None,
        "--trials": manifest.first_trials,
        "--epochs": manifest.budget.epochs,
        "--repeats": manifest.budget.repeats,
        "--rounds": manifest.budget.rounds if manifest.budget.rounds > 1 else None,
        "--seed": manifest.seed or None,
        "--sampler": manifest.sampler if manifest.sampler != "qmc" else None,
        "--scheduler": manifest.scheduler if manifest.scheduler != "none" else None,
    }


def _call(options: Mapping[str, object]) -> str:
    """The same in Python, where no command can name the images or the stage."""
    named = {option.removeprefix("--"): value for option, value in options.items() if value is not None}
    method = "resume" if named.pop("resume", False) else "run"
    if "study" in named:
        named["name"] = named.pop("study")
    stage = named.pop("stage")
    words = ["stage" if stage == IN_PYTHON else repr(stage), *(f"{name}={value!r}" for name, value in named.items())]
    return f"session.{method}({', '.join(words)})"


def _encoder(study: StudyRecord, adopted: bool) -> OwnFile | None:
    """The file of the own encoder that a next study starts from, if it does: a stage may have chosen another."""
    from analysis.candidates import settled

    config, answer = study.manifest.start, settled(study) if adopted else None
    if answer is not None:
        config = study.search[answer.use].trial.config
    return study.manifest.own_files.get("encoder") if has_own_encoder(config) else None


def sync_command(folder: Path) -> str | None:
    """Return the command that sends a study's offline runs to a server; None if there are none."""
    there = any((folder / "wandb").glob("offline-run-*"))
    return f"wandb sync {shlex.quote(str(folder / 'wandb'))}/offline-run-*" if there else None
