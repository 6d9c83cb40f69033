"""One study from start to report: search, retrain the finalists, measure them on the test split, write it up.

Each step takes the study's record and returns it with what it has added. What the record has is not done again, which
is all there is to resuming.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from analysis.commands import sync_command
from search_spaces.stage import Stage
from search_spaces.study import GIVEN, Study
from storage.best_json import GIVEN_START, write_start
from storage.data_source import Source
from storage.folder import StudyRecord, read_study, reading, with_manifest
from storage.lock import held
from storage.study_json import Manifest
from storage.tables import EPOCH_COLUMNS, TRIAL_COLUMNS
from studies import stop
from studies.describe import described_grouping, manifest, notes_on_start, resumed, study_of
from studies.own_files import ENCODER, note_on_encoder, notes_on_arms
from studies.repair import remove_retraining
from studies.request import check_rounds
from studies.resources import describe
from studies.session import Session, Where, beginning, check_writable, open_session, say
from studies.suggest import Suggester
from studies.training import Training
from studies.wandb_process import shown_on_wandb
from trainables.config import TrialConfig, has_own_encoder
from trainables.encoder_path import encoder_path
from trainables.errors import ConfigError, Halted, InputError, what_happened
from trainables.task import TaskData

Ended = Literal["done", "nothing finished", "halted", "interrupted"]


@dataclass(frozen=True)
class Conducted:
    """How a study's command ended, and the study as it is then."""

    ended: Ended
    record: StudyRecord


def carry_out(study: Study, start_from: str, source: Source, where: Where) -> Conducted:
    """Run one study. Raises InputError before anything is written."""
    check_free(study_folder(study, where.results))
    with open_session(source, where) as session:
        return run_study(study, start_from, session)


def run_study(study: Study, start_from: str, session: Session) -> Conducted:
    """Carry out a new study."""
    folder = study_folder(study, session.results)
    check_task(study, session)
    check_encoders(study)
    with contextlib.ExitStack() as holding:
        with beginning(folder):
            folder.mkdir(parents=True, exist_ok=True)  # a folder that was made and nothing more is no study yet
            holding.enter_context(held(folder, say))
        chips, cluster = (session.data, session.trial_data), session.cluster
        described = manifest(study, *chips, session.source, start_from, cluster, session.encoder, session.task.metrics)
        notes = [
            *notes_on_start(start_from, described.data),
            *note_on_encoder(study.own_files.get(ENCODER)),
            *notes_on_arms(study),
        ]
        for note in notes:
            say(f"note: {note}")
        described = replace(described, data=replace(described.data, notes=(*described.data.notes, *notes)))
        with beginning(folder):
            if start_from == GIVEN:
                asked = study.start.override({"epochs": study.budget.epochs})  # which its decay was stretched to
                write_start(folder / GIVEN_START, asked)
            record = with_manifest(StudyRecord.of(folder, described, {}, {}), described)
        say(
            f"{study.stage.name}: {study.stage.question} "
            f"({_size(study)}; start: {start_from}; "
            f"{describe(session.resources, session.cluster)}{_encoder(study, session)})"
        )
        return _carry_out(study, session, record)


def _encoder(study: Study, session: Session) -> str:
    start = study.start
    return (
        f"; encoder: {encoder_path(start.network, session.resources.device)}" if isinstance(start, TrialConfig) else ""
    )


def _size(study: Study) -> str:
    trials, epochs, minutes = study.budget.trials, study.budget.epochs, study.budget.minutes
    return f"{round(minutes, 2):g} minutes of trials of {epochs} epochs" if minutes else f"{trials} x {epochs} epochs"


def resume_study(
    folder: Path, trials: int | None, session: Session, rounds: int | None = None, own: Stage | None = None
) -> Conducted:
    """Go on with the study in `folder`, with `trials` in all, or as many `rounds`, if that is more.

    `own` is its stage where that is a user's.

    Raises InputError where it is no study, another process holds it, or the chips are not those it was started on.
    """
    if not (folder / "study.json").exists():
        raise InputError(f"{folder}: no study to resume (no study.json); start it without --resume")
    with held(folder, say):
        record = read_study(folder)
        _check_same_data(folder, record.manifest, session)
        with reading(folder):
            study = study_of(record.manifest, own)
        check_task(study, session)
        check_encoders(study)
        asked = _asked_for(study, record, trials, rounds)
        if asked != study:
            study, record = asked, _with_more_trials(record, asked)
        elif record.manifest.finished and is_reported(record):
            say(f"{folder}: all {study.budget.trials} trials are done; more of them with --trials")
            with reading(folder):
                from analysis.report import reported

                return Conducted("done", reported(record))
        described, note = resumed(record.manifest, session.encoder)
        if note:
            say(f"note: {note}")
            record = with_manifest(record, described)
        say(f"{study.stage.name}: {study.stage.question} (resuming {folder})")
        return _carry_out(study, session, record)


def _asked_for(study: Study, record: StudyRecord, trials: int | None, rounds: int | None) -> Study:
    """The study with as many trials and rounds as are asked for now; raise InputError for fewer than it has.

    Where its runs under new seeds are there already, more rounds are no more if its checks ask for none.
    """
    folder, has = record.path, study.budget
    if trials and (trials < study.first_trials or study.first_trials < trials < has.trials):
        by_rounds = f", and has {has.trials} by its rounds" if study.rounds else ""
        raise InputError(
            f"--trials {trials}: {folder} was started with {study.first_trials}{by_rounds}; more can be added"
        )
    if rounds and rounds < has.rounds:
        raise InputError(f"--rounds {rounds}: {folder} was started with {has.rounds}; more can be added")
    check_rounds(rounds, study.stage)
    if rounds and has.minutes and record.manifest.pace is None:
        raise InputError(f"--rounds {rounds}: {folder} has not planned its minutes yet; resume it without, first")
    more_trials, more_rounds = (trials or 0) > has.trials, (rounds or 0) > has.rounds
    if more_rounds and not more_trials and record.retraining:
        from analysis.rounds import next_round  # SciPy

        if next_round(record) is None:
            say(f"--rounds {rounds}: the checks ask for nothing that more trials of this study could settle")
            return study
    return study.with_more(trials or 0, rounds or 0) if more_trials or more_rounds else study


def check_task(study: Study, session: Session) -> None:
    """Raise ConfigError where the stage is of another task than the session, or measured by what no table holds."""
    stage, task = study.stage, session.task
    if stage.config is not task.config:
        raise ConfigError(
            f"stage {stage.name}: is of {stage.config.__name__}, and the session trains {task.config.__name__}"
        )
    if stage.config is not TrialConfig and not stage.config.task:
        name = stage.config.__name__
        raise ConfigError(f"{name}: files name configs by their task; write class {name}(Config, task=...)")
    taken = {*TRIAL_COLUMNS, *EPOCH_COLUMNS, *(parameter.path for parameter in stage.varied)}
    for name in task.metrics:
        if name in taken or task.metrics.count(name) > 1:
            raise ConfigError(
                f"{type(task).__name__}: `metrics` has {name!r}, which the tables have already; rename it"
            )
    for path in (parameter.path for parameter in stage.varied):
        if path in TRIAL_COLUMNS:
            raise ConfigError(f"stage {stage.name}: {path} is a column of trials.csv already; call it otherwise")
    stage.metric.check_among(task.metrics)


def check_encoders(study: Study) -> None:
    """Raise InputError for weights or an own encoder that no trial could use: said once, before any of them does."""
    start = study.start
    if isinstance(start, TrialConfig) and (start.init.weights or has_own_encoder(start)):
        from trainables.encoders import check_encoder

        for arm in study.arms():
            check_encoder(start.override(arm.values))


def is_reported(record: StudyRecord) -> bool:
    """Return whether the report has the test figures of what was retrained last: a kill may have come before it."""
    from analysis.report import is_of  # what draws figures takes seconds to load
    from studies.costs import NETWORK

    report = record.report
    if report is None or not is_of(report, record):
        return False
    if record.manifest.test_unseen:  # what networks cost is all that a step of a chain measures
        return NETWORK not in record.manifest.domains or report.measured.costs is not None
    return bool(report.measured.selected or report.measured.scores)


def _with_more_trials(record: StudyRecord, study: Study) -> StudyRecord:
    """The study asked for more trials or rounds, without its runs under new seeds.

    What is asked for is written down last: runs that are left from before would say that the search is over.
    """
    Suggester(study, record.path / "optuna.journal", record.search)  # refuses a record that it would not give again
    record = with_manifest(record, replace(record.manifest, finished=None, finalists={}))
    remove_retraining(record.path)
    described = replace(record.manifest, budget=study.budget, rounds=study.rounds, plan=None)
    return with_manifest(record.with_runs({}), described)


def _check_same_data(folder: Path, described: Manifest, session: Session) -> None:
    before = described.data
    digest = session.data.digest()
    if before.digest != digest:
        now_has = session.data.source if isinstance(session.data, TaskData) else session.chips.chips.source
        raise InputError(
            f"{folder}: was started on {before.source} with digest {before.digest[:12]}; "
            f"{now_has} now has {digest[:12]}: other images, classes or order"
        )
    if isinstance(session.data, TaskData):
        return
    kind = session.chips.split.kind
    if before.split.kind != kind:
        raise InputError(f"{folder}: was started with --split {before.split.kind}, not {kind}")
    if before.grouping and before.grouping != described_grouping(session.chips):
        raise InputError(
            f"{folder}: the images were in other groups when it was started ({before.grouping}); put them back"
        )


def _carry_out(study: Study, session: Session, record: StudyRecord) -> Conducted:
    """Do what the study's records say is left to do, and show it on Weights & Biases if that is wanted."""
    with shown_on_wandb(record.path, session.wandb, say, hurry=lambda: stop.told() is not None):
        done = _to_the_report(study, session, record)
    sync = sync_command(record.path)
    if sync:
        say(f"offline runs for Weights & Biases: {sync}")
    return done


def _to_the_report(study: Study, session: Session, record: StudyRecord) -> Conducted:
    """Take the steps to the report; where they are cut short, write the report of what there is."""
    folder = record.path
    try:
        done = _steps(study, session, record)
    except (Halted, OSError) as error:
        say(f"halted: {what_happened(error) if isinstance(error, OSError) else error}; {_kept(study, folder)}")
        with contextlib.suppress(OSError):  # the disk may be full
            record = _report_from_files(folder)
        return Conducted("halted", record)
    except KeyboardInterrupt:  # between the trials; among them it is how the training ended
        done = Conducted("interrupted", record)
    if done.ended == "interrupted":
        say(f"interrupted; {_kept(study, folder)}")
        with stop.patient():
            done = replace(done, record=_report_from_files(folder))

    from studies import write_up

    write_up.summarise(done.record)
    return done


def _steps(study: Study, session: Session, record: StudyRecord) -> Conducted:
    """Search and retrain, evaluate, report: each as far as the record lacks it."""
    training = Training(study, session, record)
    trained = training.run()
    record = training.record
    if trained == "interrupted":
        return Conducted("interrupted", record)

    from studies import write_up  # it takes seconds to load: begun while the trials train, see `Training`

    if trained == "whole":
        record = write_up.evaluated(study, session, record)
    return Conducted("done" if trained == "whole" else "nothing finished", write_up.shown(session, record))


def _report_from_files(folder: Path) -> StudyRecord:
    """Write the report of a study that was cut short: what was reached, its files know best."""
    from analysis.report import reported

    return reported(read_study(folder))


def _kept(study: Study, folder: Path) -> str:
    epochs = folder / "epochs.csv"
    done = epochs.exists() and epochs.read_bytes().count(b"\n") > 1
    return f"{'what is done is kept' if done else 'no epoch is done yet'}, --resume --study {study.name} goes on"


def study_folder(study: Study, results: Path) -> Path:
    """Return where `study` is kept."""
    return results / study.stage.name / study.name


def check_free(folder: Path) -> None:
    """Find out before any work whether the study folder can be made; leave nothing behind."""
    if (folder / "study.json").exists():
        raise InputError(
            f"{folder}: a study of that name is there already; resume it by --resume, or choose another --study"
        )
    check_writable(folder.parent)
