"""All stages in turn, each from what the ones before adopted; a chain that was cut off goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.summary import write_summary
from search_spaces.stage import Doubling, Kept, Stage
from search_spaces.stages import chain_with, stage_after, stage_named
from search_spaces.study import Start, Study, name_by_time
from storage.best_json import BEST
from storage.chain_json import ChainRecord, Step, read_chains, write_chain
from storage.data_source import Source
from storage.folder import StudyRecord, read_manifest, read_study
from storage.lock import held
from storage.whole_files import now
from studies.describe import described_grouping, study_of
from studies.run_study import Conducted, Ended, resume_study, run_study, study_folder
from studies.session import Session, Where, beginning, check_writable, open_session, say
from trainables.config import has_own_encoder
from trainables.errors import InputError
from trainables.json_values import to_plain

FOLDER = "all"
LEAST = 0.01  # minutes: what a study still gets where none are left, to train what it must

Plan = Callable[[Stage, Start, str, int | None], Study]


@dataclass(frozen=True)
class Chain:
    """What a chain is asked: how to plan a stage, where to start, its name (None: the unfinished one, or a new one).

    `rounds`: whether a stage may be asked again with twice the epochs, as often as it allows. `settings` decide its
    figures: a chain is resumed only if they, and the data, are equal. `optional` names the stages that it asks
    beyond the paper's. With `minutes` each study plans its own part of them.
    """

    plan: Plan
    start: Start
    name: str | None
    rounds: bool
    settings: Mapping[str, Any]
    optional: tuple[str, ...] = ()
    minutes: float | None = None


def run_chain(chain: Chain, source: Source, where: Where) -> Ended:
    """Run what is left of the chain; print a line for each stage, then the summary's path; return how it ended."""
    check_writable(where.results)
    with open_session(source, where) as session:
        folder, record = _open(chain, session)
        with held(folder, say):
            ended, record = _run_steps(chain, session, folder, record)
            if ended != "done":
                return ended
            write_chain(folder, replace(record, finished=now()))
    print(write_summary(where.results))
    return "done"


def _run_steps(chain: Chain, session: Session, folder: Path, record: ChainRecord) -> tuple[Ended, ChainRecord]:
    """Run what is left of the chain's steps, each from what the ones before adopted; return how that ended."""
    for done in record.steps:
        print(done.line, flush=True)
    carried = sum(step.seconds for step in record.steps)
    while asked := next_asked(record.steps, chain.rounds, chain.optional):
        start = record.steps[-1].start if record.steps else chain.start
        if has_own_encoder(start.config):  # another may have been adopted on the way
            start = replace(start, encoder=chain.start.encoder)
        name = folder.name if asked.round == 1 else f"{folder.name}.{asked.round}"
        began = time.monotonic()
        study = _planned(chain, asked, start, name, carried + began - session.opened)
        before = _trained(study_folder(study, session.results), session)
        carried += before
        stops = f"the chain stops here; the same command resumes it (--study {folder.name})"
        try:
            conducted = _run_or_resume(study, start.origin, replace(session, opened=began))
        except KeyboardInterrupt:  # before its trials or behind them; among them it is how the study ended
            say(stops)
            raise
        if conducted.ended != "done":
            say(stops)
            print(conducted.record.page)
            return conducted.ended, record
        step = _step(study, start, conducted.record, asked.round, before + time.monotonic() - began)
        record = replace(record, steps=(*record.steps, step))
        write_chain(folder, record)
        print(step.line, flush=True)
    return "done", record


def _planned(chain: Chain, asked: Asked, start: Start, name: str, spent: float) -> Study:
    """The step's study; where the chain has minutes, within its part of those that `spent` seconds have left."""
    study = chain.plan(asked.stage, start, name, asked.epochs)
    if chain.minutes is None:
        return study
    from studies.minutes import shares  # SciPy

    stages = chain_with(chain.optional)
    later = [chain.plan(stage, start, name, None) for stage in stages[stages.index(asked.stage) + 1 :]]
    left = max(chain.minutes - spent / 60, LEAST)
    return study.within(round(shares([study, *later], left)[0], 2) or LEAST)


def _trained(folder: Path, session: Session) -> float:
    """How many seconds of its minutes a step that was cut off has trained before, by its record."""
    if not (folder / "study.json").exists():
        return 0.0
    record = read_study(folder)
    runs = (*record.search.values(), *record.retraining.values())
    return sum(epoch.seconds for run in runs for epoch in run.epochs) / (session.resources.max_concurrent or 1)


def _run_or_resume(study: Study, start_from: str, session: Session) -> Conducted:
    """Run a step's study, or resume it where it was cut off."""
    folder = study_folder(study, session.results)
    if not (folder / "study.json").exists():
        return run_study(study, start_from, session)
    known = study_of(read_manifest(folder)).as_asked()
    if study.budget.minutes and known.budget.minutes:  # its part of them was another when it began
        study = replace(study, budget=replace(known.budget, epochs=study.budget.epochs))
    if known != study:
        raise InputError(f"{folder}: a study of that name that this chain did not start; choose --study")
    return resume_study(folder, None, session)


@dataclass(frozen=True)
class Asked:
    """What a chain asks next; `epochs` where that is more than was trained before, None if the plan says how many."""

    stage: Stage
    round: int
    epochs: int | None


def next_asked(steps: Sequence[Step], rounds: bool, optional: Collection[str] = ()) -> Asked | None:
    """Return what comes after `steps`, None after the last stage; `rounds`: whether a stage may be asked again.

    A stage that doubles is asked again, with twice the epochs, while its best epochs come last. Its first round is
    passed over where those of any stage before came last: what is too short for the untuned network is no length to
    tune rates for. A stage that may be prolonged is asked once, with twice the epochs where those of the one before it
    came last.
    """
    if not steps:
        return Asked(chain_with(optional)[0], 1, None)
    last = steps[-1]
    stage, twice = stage_named(last.stage), 2 * last.start.config.epochs
    if last.longer and last.round < _rounds(stage, rounds):
        return Asked(stage, last.round + 1, twice)
    later = stage_after(stage, optional)
    if later is None:
        return None
    if _rounds(later, rounds) > 1 and any(step.longer for step in steps):
        return Asked(later, 2, twice)
    prolonged = rounds and last.longer and isinstance(later.length, Kept) and later.length.prolonged
    return Asked(later, 1, twice if prolonged else None)


def _rounds(stage: Stage, rounds: bool) -> int:
    return stage.length.rounds if rounds and isinstance(stage.length, Doubling) else 1


def _step(study: Study, start: Start, record: StudyRecord, round_: int, seconds: float) -> Step:
    """What a finished study means for the next: its selected config if adopted, else its start, trained as long."""
    report, folder = record.report, record.path
    assert report and report.selected and report.training_length
    selected = report.selected
    adopted = selected.adopted and study.stage.judged != "test"
    config = selected.config if adopted else study.start_trial().config
    return Step(
        stage=study.stage.name,
        round=round_,
        study=study.name,
        adopted=adopted,
        longer=report.training_length.answer == "longer",
        line=f"{study.stage.name}: {report.verdict}; {selected.why} ({folder / 'report.html'})",
        config=config,
        origin=str(folder / BEST) if adopted else start.origin,
        seconds=round(seconds, 1),
    )


def _open(chain: Chain, session: Session) -> tuple[Path, ChainRecord]:
    """The chain's folder, made or found, and what it has behind it; raise InputError if it is another chain's."""
    chains = session.results / FOLDER
    asked = {**chain.settings, "data": session.chips.digest(), "split": session.chips.split.kind}
    if session.chips.chips.groups is not None:
        asked["grouping"] = to_plain(described_grouping(session.chips))
    known = read_chains(chains, chain.name)
    mine = [name for name, record in known.items() if record.asked == asked and not record.finished]
    name = chain.name or (mine[-1] if mine else name_by_time())
    folder = chains / name
    if name not in known:
        with beginning(folder):
            folder.mkdir(parents=True, exist_ok=True)
            begun = ChainRecord(asked, started=now())
            write_chain(folder, begun)
        return folder, begun
    record = known[name]
    if record.asked != asked:
        raise InputError(f"{folder}: a chain on other data or with other settings; choose another --study")
    say(f"resuming {folder}: {len(record.steps)} steps are done")
    return folder, record
