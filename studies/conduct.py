"""One study from start to report: search, retrain the finalists, measure them on the test split, write it up.

A study that was cut off goes on from its records; what needs nothing more is not done again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from analysis.commands import sync_command
from search_spaces.stage import SELECTED
from search_spaces.study import Study
from storage.folder import StudyRecord, read_manifest, read_study, reading, write_manifest
from storage.lock import held
from storage.manifest import Manifest
from storage.record import Files, Record
from storage.source import Source
from studies import stop
from studies.keeper import trial_file
from studies.manifest import described_grouping, manifest, notes_on_start, resumed, study_of
from studies.mirror import mirrored
from studies.progress import Progress
from studies.resources import describe
from studies.suggest import Suggester, disagreements
from studies.tuner import Outcome, Phase, TrialRun, run_trials
from studies.workshop import Where, Workshop, beginning, check_writable, open_workshop, say
from trainables.config import TrialConfig
from trainables.errors import Halted, InputError, what_happened
from trainables.result import Metric, Trial

if TYPE_CHECKING:
    from studies.repeats import Repeats

DONE, NOTHING_FINISHED, HALTED, INTERRUPTED = 0, 1, 1, 130
STATUS: dict[Outcome, int] = {"whole": DONE, "hopeless": NOTHING_FINISHED, "interrupted": INTERRUPTED}


def conduct(study: Study, start_from: str, source: Source, where: Where) -> tuple[int, Path]:
    """Run one study; return the exit status and its report's path. Raises InputError before anything is written."""
    check_free(study_folder(study, where.results))
    with open_workshop(source, where) as workshop:
        return run_study(study, start_from, workshop)


def run_study(study: Study, start_from: str, workshop: Workshop) -> tuple[int, Path]:
    """Carry out a new study; return the exit status and the path of its report."""
    folder = study_folder(study, workshop.results)
    with contextlib.ExitStack() as holding:
        with beginning(folder):
            folder.mkdir(parents=True, exist_ok=True)  # a folder that was made and nothing more is no study yet
            holding.enter_context(held(folder, say))
        chips, cluster = (workshop.data, workshop.trial_data), workshop.cluster
        described = manifest(study, *chips, workshop.source, start_from, cluster, workshop.encoder)
        notes = notes_on_start(start_from, described.data)
        for note in notes:
            say(f"note: {note}")
        described = replace(described, data=replace(described.data, notes=(*described.data.notes, *notes)))
        with beginning(folder):
            write_manifest(folder, described)
        say(
            f"{study.stage.name}: {study.stage.question} "
            f"({study.budget.trials} x {study.budget.epochs} epochs; start: {start_from}; "
            f"{describe(workshop.resources, workshop.cluster)}; encoder: {workshop.encoder})"
        )
        return _carry_out(study, workshop, folder)


def resume_study(folder: Path, trials: int | None, workshop: Workshop) -> tuple[int, Path]:
    """Go on with the study in `folder`, with `trials` in all if that is more; return exit status and report's path.

    Raises InputError where it is no study, another process holds it, or the chips are not those it was started on.
    """
    if not (folder / "study.json").exists():
        raise InputError(f"{folder}: no study to go on with (no study.json); start it without --resume")
    with held(folder, say):
        record = read_study(folder)
        described = record.manifest
        _check_same_data(folder, described, workshop)
        with reading(folder):
            study = study_of(described)
        if trials and trials < study.budget.trials:
            raise InputError(f"--trials {trials}: {folder} was started with {study.budget.trials}; more can be added")
        if trials and trials > study.budget.trials:
            study = replace(study, budget=replace(study.budget, trials=trials))
            write_manifest(folder, replace(described, budget=study.budget, finished=None))
            _forget(folder)
            described = read_manifest(folder)
        elif described.finished and _is_reported(record):
            say(f"{folder}: all {study.budget.trials} trials are done; more of them with --trials")
            with reading(folder):
                return DONE, _conclusions().write_report(folder)
        described, note = resumed(described, workshop.encoder)
        if note:
            say(f"note: {note}")
            write_manifest(folder, described)
        say(f"{study.stage.name}: {study.stage.question} (going on with {folder})")
        return _carry_out(study, workshop, folder)


def _is_reported(record: StudyRecord) -> bool:
    """Whether the report has the test figures of what was retrained last: a kill may have come just before it."""
    selected = record.report.get("selected") or {}
    measured = bool(record.report.get("test")) and "config" in selected
    return measured and TrialConfig.from_dict(selected["config"]) == record.manifest.finalists["selected"]


def _check_same_data(folder: Path, described: Manifest, workshop: Workshop) -> None:
    before = described.data
    digest, kind = workshop.data.chips.digest(), workshop.data.split.kind
    if before.digest != digest:
        raise InputError(
            f"{folder}: was started on {before.source} with digest {before.digest[:12]}; "
            f"{workshop.data.chips.source} now has {digest[:12]}: other images, classes or order"
        )
    if before.split.kind != kind:
        raise InputError(f"{folder}: was started with --split {before.split.kind}, not {kind}")
    if before.grouping and before.grouping != described_grouping(workshop.data):
        raise InputError(
            f"{folder}: the images were in other groups when it was started ({before.grouping}); put them back"
        )


def _carry_out(study: Study, workshop: Workshop, folder: Path) -> tuple[int, Path]:
    """Do what the study's records say is left to do, and show it on Weights & Biases if that is wanted."""
    with mirrored(folder, workshop.wandb, say, hurry=lambda: stop.told() is not None):
        outcome = _to_the_report(study, workshop, folder)
    sync = sync_command(folder)
    if sync:
        say(f"offline runs for Weights & Biases: {sync}")
    return outcome


def _to_the_report(study: Study, workshop: Workshop, folder: Path) -> tuple[int, Path]:
    """Search, retrain, test and report, or as much of it as is left."""
    report = folder / "report.html"
    try:
        status = _search_and_retrain(study, workshop, folder)
        if status == DONE:
            report = _conclusions().conclude(study, workshop, folder)
        elif status != INTERRUPTED:
            report = _conclusions().show(workshop, folder)
    except (Halted, OSError) as error:
        say(f"halted: {what_happened(error) if isinstance(error, OSError) else error}; {_kept(study, folder)}")
        with contextlib.suppress(OSError):  # the disk may be full
            _conclusions().write_report(folder)
        return HALTED, folder / "report.html"
    except KeyboardInterrupt:  # between the trials; among them it is a status
        status = INTERRUPTED
    if status == INTERRUPTED:
        say(f"interrupted; {_kept(study, folder)}")
        with stop.patient():
            report = _conclusions().write_report(folder)
    _conclusions().summarise(folder)
    return status, report


def _conclusions() -> ModuleType:
    """What writes a study up. It takes seconds to load, so not before it is needed: see `Workshop`."""
    import studies.conclude

    return studies.conclude


def _kept(study: Study, folder: Path) -> str:
    epochs = folder / "epochs.csv"
    done = epochs.exists() and epochs.read_bytes().count(b"\n") > 1
    return f"{'what is done is kept' if done else 'no epoch is done yet'}, --resume --study {study.name} goes on"


def _search_and_retrain(study: Study, workshop: Workshop, folder: Path) -> int:
    """Search, then race the best and decide under new seeds; return what became of it."""
    from trainables.siamese import SiameseTrial

    reached: list[tuple[str, Record]] = []
    metric, resources, scratch = study.stage.metric, workshop.resources, folder / "ray"
    with contextlib.closing(_phases(study, folder, reached)) as phases:
        outcome = run_trials(TrialRun(SiameseTrial, workshop.shared, metric, resources, scratch, phases))
    name, record = reached[-1]
    if outcome == "hopeless":
        _give_up(record, folder, name)
    if outcome == "whole" and name == "search":
        return NOTHING_FINISHED
    if outcome == "whole":
        shutil.rmtree(folder / "states", ignore_errors=True)
    return STATUS[outcome]


def _phases(study: Study, folder: Path, reached: list[tuple[str, Record]]) -> Generator[Phase, None, None]:
    """What the records lack of the search, then of the runs under new seeds; tell in `reached` how far it came."""
    metric = study.stage.metric
    record = Record(Files.of_search(folder), metric, [parameter.path for parameter in study.stage.varied])
    reached.append(("search", record))
    _mend(record, study, folder)
    suggester = Suggester(study, folder / "optuna.journal", record.histories)
    lengths, states = [study.budget.epochs] * study.budget.trials, folder / "states" / "search"
    search = Phase(suggester, record.missing(len(lengths)), (record, suggester), states, begun=record.open)
    search = replace(search, scheduler=study.scheduler, max_epochs=study.budget.epochs)
    yield from _shown(search, lengths, record, metric)
    if read_study(folder).finished.empty:
        return
    from studies.repeats import Repeats  # SciPy: loaded while trials train

    repeats = _open_repeats(study, folder)
    reached.append(("retraining", repeats))
    asked = Repeats(study, folder, record.histories)
    yield from _asked_phases(asked, repeats, folder, metric)
    asked.settle()


def _asked_phases(asked: Repeats, repeats: Record, folder: Path, metric: Metric) -> Iterator[Phase]:
    """The runs under new seeds, round by round as each says what the next needs, under one progress bar."""
    states, weights = folder / "states" / "retrain", folder / "checkpoints"
    trials = asked.missing(repeats)
    if not trials:
        return
    lengths = [history.trial.config.epochs for _, history in sorted(repeats.histories.items())]
    with Progress("retrain", lengths, metric, before=repeats.histories) as progress:
        while trials:
            progress.extend([trial.config.epochs for trial in trials if trial.number not in repeats.histories])
            numbers = [trial.number for trial in trials]
            yield Phase(_Listed(trials), numbers, (repeats, progress), states, weights, repeats.open)
            trials = asked.missing(repeats)


def _open_repeats(study: Study, folder: Path) -> Record:
    """The record of the runs under new seeds; those that left less behind than they should have are open again."""
    repeats = Record(Files.of_repeats(folder), study.stage.metric)
    if study.stage.varied and any(history.trial.arm == SELECTED for history in repeats.histories.values()):
        _forget(folder)  # begun before candidates were raced
        repeats = Record(Files.of_repeats(folder), study.stage.metric)
    _drop_damaged_states(repeats, folder / "states" / "retrain")
    ended = [number for number, history in repeats.done.items() if history.result and history.result.best]
    # weights are kept before an end is written down; they may have been lost or removed since
    repeats.reopen([number for number in ended if not trial_file(folder / "checkpoints", number).exists()])
    _reopen_given_up(repeats, folder, "retraining")
    return repeats


def _shown(phase: Phase, lengths: Sequence[int], record: Record, metric: Metric) -> Iterator[Phase]:
    """The phase, with its progress to be seen; none if it has nothing to do."""
    if phase.numbers:
        with Progress(phase.states.name, lengths, metric, before=record.histories) as progress:
            yield replace(phase, observers=(*phase.observers, progress))


def _give_up(record: Record, folder: Path, name: str) -> None:
    """Say why a phase was given up, and write down which trials that cost."""
    say(
        f"given up: the first {len(record.failed)} trials of this {name} all failed, the last with: "
        f"{record.failed[-1].reason}"
    )
    given_up = {name: tuple(result.trial.number for result in record.failed)}
    write_manifest(folder, replace(read_manifest(folder), given_up=given_up))


def _reopen_given_up(record: Record, folder: Path, run: str) -> None:
    """Try again what failed when the run was last given up, or if all did: whatever it was may have been mended."""
    given_up = read_manifest(folder).given_up.get(run, ())
    failed = [number for number, history in record.done.items() if history.result and history.result.status == "failed"]
    record.reopen([number for number in failed if number in given_up or len(failed) == len(record.done)])


def _forget(folder: Path) -> None:
    """Remove the runs under new seeds: with more trials other candidates are raced, and seeds mean something else."""
    files = Files.of_repeats(folder)
    for file in (files.record, files.trials, files.epochs):
        file.unlink(missing_ok=True)
    for kept in (folder / "checkpoints", folder / "states"):
        shutil.rmtree(kept, ignore_errors=True)
    write_manifest(folder, replace(read_manifest(folder), finalists={}))


def _mend(record: Record, study: Study, folder: Path) -> None:
    """Bring everything beside the record to where the record is, and say in one line what was found."""
    if not record.histories:
        return
    _drop_damaged_states(record, folder / "states" / "search")
    _reopen_given_up(record, folder, "search")
    left = study.budget.trials - len(record.histories)
    found = f"record: {len(record.done)} trials ended, {len(record.open)} begun, {left} to begin"
    wrong = disagreements(folder / "optuna.journal", record.histories)
    ray = "Ray's leftovers removed" if (folder / "ray").exists() else "nothing left of Ray"
    shutil.rmtree(folder / "ray", ignore_errors=True)
    say(f"{found}; Optuna's storage made anew from it ({wrong} trials differed); {ray}")


def _drop_damaged_states(record: Record, states: Path) -> None:
    from trainables.checkpoint import from_bytes

    for number, history in record.open.items():
        path = trial_file(states, number)
        try:
            if path.exists():
                run, _ = from_bytes(path.read_bytes(), history.trial.config)
                if run.epoch > len(history.epochs):  # after a power cut: the record's last lines were lost
                    raise ValueError(f"it has {run.epoch} epochs, the record {len(history.epochs)}")
        except ValueError as error:
            say(f"note: {path}: {error}; trial {number} starts again")
            path.unlink()


def study_folder(study: Study, results: Path) -> Path:
    """Return where `study` is kept."""
    return results / study.stage.name / study.name


def check_free(folder: Path) -> None:
    """Find out before any work whether the study folder can be made; leave nothing behind."""
    if (folder / "study.json").exists():
        raise InputError(
            f"{folder}: a study of that name is there already; go on with it by --resume, or choose another --study"
        )
    check_writable(folder.parent)


@dataclass(frozen=True)
class _Listed:
    """A source of trials that are known beforehand."""

    trials: Sequence[Trial]

    def ask(self, number: int) -> Trial:
        """Return trial `number`."""
        return next(trial for trial in self.trials if trial.number == number)
