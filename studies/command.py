"""What a command does: one stage, a study resumed, or all stages in turn.

torch and Ray load only once there is something to run: wrong usage and plans answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces.stage import Stage
from search_spaces.study import Study
from storage.data_source import Source
from studies.plan import plan
from studies.request import Request, check_unchanged
from trainables.config import has_own_encoder
from trainables.errors import InputError

if TYPE_CHECKING:
    from studies.run_study import Conducted, Ended
    from studies.session import Where


def plans(asked: Request, where: Where, stage: Stage | None) -> str:
    """Return what would be run, for --dry-run, of one stage or of all, and about how long it would take here."""
    asked_stages = [stage] if stage else list(asked.stages)
    start, name = asked.starting_config(stage) if stage else asked.first_start(), asked.study_name()
    studies = [asked.study(each, start, name) for each in asked_stages]
    _check_own(studies[0])
    if asked.minutes and asked.chain:
        from studies.minutes import shares  # SciPy

        parts = shares(studies, asked.minutes)
        studies = [study.within(minutes) for study, minutes in zip(studies, parts, strict=True)]
    return "\n\n".join([*(plan(study, start) for study in studies), _time_of(studies, asked, where)])


def _time_of(studies: Sequence[Study], asked: Request, where: Where) -> str:
    """About how long the studies would take on this machine, in a line; or why that cannot be said."""
    if where.address:
        return "time: not known before a trial has run on the cluster"
    from studies.estimate import estimate

    try:
        return estimate(studies, _read_for(studies, asked), where)
    except InputError as error:
        return f"time: cannot be estimated ({error})"


def run_stage(asked: Request, where: Where, stage: Stage) -> Conducted:
    """Run one stage; return how that ended."""
    start = asked.starting_config(stage)
    study = asked.study(stage, start, asked.study_name())
    _check_own(study)
    from studies.run_study import carry_out

    return carry_out(study, start.origin, _read_for([study], asked), where)


def run_resumed(asked: Request, where: Where, stage: Stage, typed: Mapping[str, Any]) -> Conducted:
    """Resume a study as it was started, `typed` being the options that were given; return how that ended."""
    from storage.folder import newest_study

    folder = asked.results / stage.name / asked.name if asked.name else newest_study(asked.results, stage.name)
    source = check_unchanged(asked, typed, folder)
    from studies.run_study import resume_study
    from studies.session import open_session

    with open_session(replace(source, path=typed["data"] or source.path), where) as session:
        return resume_study(folder, asked.trials, session, asked.rounds, stage if asked.own_stage else None)


def run_all(asked: Request, where: Where) -> Ended:
    """Run the chain of stages; return how that ended."""
    start = asked.first_start()
    name = asked.study_name()  # one that cannot be one is refused before anything is read
    from studies.chain import Chain, run_chain

    rounds = not (asked.smoke or asked.epochs)  # how long to train is the user's word, or the lr stage's to find out
    settings = asked.settings() | {"cpus_per_trial": where.resources.cpus_per_trial}
    studies = [asked.study(stage, start, name) for stage in asked.stages]
    _check_own(studies[0])
    source = _read_for(studies, asked)
    chain = Chain(asked.study, start, asked.name, rounds, settings, asked.optional, asked.minutes)
    return run_chain(chain, source, where)


def _check_own(study: Study) -> None:
    """Raise InputError for an own encoder that keeps no promise, before images are read or Ray is started."""
    if has_own_encoder(study.start):
        from studies.run_study import check_encoders

        check_encoders(study)


def _read_for(studies: Sequence[Study], asked: Request) -> Source:
    """The images, read at the side of the arm that wants the largest."""
    return replace(asked.source, side=max(study.read_at for study in studies))
