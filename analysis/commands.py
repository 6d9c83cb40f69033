"""The commands that a reader may type next, or the calls where a study was run from Python on images in memory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.stages import STAGES, stage_after, stage_named
from search_spaces.study import BASELINE, GIVEN, IN_PYTHON, OwnFile, Sampler, Scheduler
from storage.best_json import BEST, GIVEN_START
from storage.data_source import IN_MEMORY
from storage.finding import Clip, Finding, MoreTrials, Narrow, WarmUp, Widen
from storage.folder import StudyRecord
from trainables.config import TrialConfig, has_own_encoder

ROUNDS = 2  # that a command proposes beyond those that a study had
CARRIED_OUT = Widen | Narrow | WarmUp | Clip | MoreTrials  # remedies that a round of the search may carry out


@dataclass(frozen=True)
class Command:
    """What may be run next: a stage, and of the other options of run_search.py those that are not None."""

    stage: str
    resume: bool | None = None
    study: str | None = None
    start: str | None = None
    trials: int | None = None
    epochs: int | None = None
    repeats: int | None = None
    rounds: int | None = None
    seed: int | None = None
    sampler: Sampler | None = None
    scheduler: Scheduler | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the options that are given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def is_cut_off(study: StudyRecord) -> bool:
    """Return whether there is something to resume: not measured yet, and its trials do not all fail."""
    manifest = study.manifest
    is_searched = len(study.evidence) >= manifest.budget.trials or bool(manifest.given_up)
    return not manifest.finished and not (is_searched and study.finished.empty)


def next_command(study: StudyRecord, findings: Sequence[Finding], adopted: bool) -> str:
    """Return the command that goes on: with what is left, this study with one thing changed, or the next stage.

    Of a study that no command can name it is a call in Python.
    """
    command = _next(study, findings, adopted)
    if command:
        return typed(study, command, adopted)
    if not isinstance(study.manifest.start, TrialConfig):
        return f"read_study({str(study.path)!r}).best"
    return shlex.join(["python", "-m", "analysis", str(study.path.parent.parent)])


def typed(study: StudyRecord, command: Command, adopted: bool) -> str:
    """Return a command as it is typed after a study, on its images and into its results; or the call in Python."""
    manifest, results = study.manifest, study.path.parent.parent
    encoder = None if command.resume else _encoder(study, adopted)
    options = command.given | ({"encoder": encoder.typed} if encoder else {})
    if manifest.data.asked.path == IN_MEMORY or command.stage == IN_PYTHON:
        return _call(options)
    options |= {} if results == Path("results") else {"results-dir": results}
    words = ["python", "run_search.py"]
    for name, value in options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return shlex.join([*words, *manifest.data.asked.options()])


def _next(study: StudyRecord, findings: Sequence[Finding], adopted: bool) -> Command | None:
    """What to run next, by the remedies of the findings; None where there is nothing more to ask."""
    from analysis.checks import longer  # SciPy
    from analysis.rounds import next_round

    manifest, budget = study.manifest, study.manifest.budget
    warned = [finding.remedy for finding in findings if finding.severity in ("warn", "fail")]
    own, verifier = manifest.own_files.get("stage"), isinstance(manifest.start, TrialConfig)
    follows = stage_named("final") if own else stage_after(stage_named(manifest.stage))
    later = follows if verifier else None
    cut_off, too_short = is_cut_off(study), longer(findings)
    if later is None and verifier and not (cut_off or too_short or study.finished.empty):
        return None
    again = once_more(study, adopted)
    more = Command(again.stage, resume=True, study=manifest.name)
    if cut_off:
        return more
    if study.finished.empty:  # nothing trained: find out whether the plain baseline does
        return Command(STAGES[0].name) if verifier else again
    if too_short:
        return replace(again, epochs=2 * budget.epochs)
    carried_out = [remedy for remedy in warned if isinstance(remedy, CARRIED_OUT)]
    if carried_out and next_round(study):  # what is known is kept
        return replace(more, rounds=manifest.rounds_taken + ROUNDS)
    if any(isinstance(remedy, Widen | Narrow) for remedy in carried_out):
        return replace(again, trials=2 * budget.trials)  # a person changes the ranges first: that is another study
    if carried_out:
        return replace(more, trials=2 * budget.trials)
    if later is None:
        return None
    if adopted and not own:
        return Command(later.name)  # what was adopted is found by itself
    return Command(later.name, start=again.start, epochs=budget.epochs)


def once_more(study: StudyRecord, adopted: bool) -> Command:
    """Return the same study once more, from what it adopted."""
    manifest, own = study.manifest, study.manifest.own_files.get("stage")
    start = str(study.path / BEST) if adopted and manifest.judged != "test" else _start(study)
    return Command(
        own.path if own else manifest.stage,
        start=start,
        trials=manifest.first_trials,
        epochs=manifest.budget.epochs,
        repeats=manifest.budget.repeats,
        rounds=manifest.budget.rounds if manifest.budget.rounds > 1 else None,
        seed=manifest.seed or None,
        sampler=manifest.sampler if manifest.sampler != "qmc" else None,
        scheduler=manifest.scheduler if manifest.scheduler != "none" else None,
    )


def _start(study: StudyRecord) -> str | None:
    """The file that a study's start is in; None for the one that is taken where none is named."""
    origin = study.manifest.start_from
    if origin == GIVEN:
        return str(study.path / GIVEN_START)
    return None if origin == BASELINE else origin


def _call(options: Mapping[str, Any]) -> str:
    """The same in Python, where no command can name the images or the stage."""
    named = dict(options)
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
