"""The search from Python: a session over one set of images, whose studies share a running Ray."""

from __future__ import annotations

import atexit
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from search_spaces.stage import Stage
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import GIVEN, OwnFile, Sampler, Scheduler, Start
from storage.best_json import BEST
from storage.data_source import BY_FOLDER, IN_MEMORY, SYNTHETIC, Source
from storage.folder import StudyRecord, newest_study, read_manifest
from studies import stop
from studies.own_files import ENCODER, PYTHON, STAGE, check_own_files, given_stage, own_encoder, own_stage
from studies.request import Request
from studies.resources import Resources
from studies.run_study import check_encoders, check_free, resume_study, run_study, study_folder
from studies.session import Session as Opened
from studies.session import Where, check_writable, open_session
from studies.wandb_process import WandbMode
from trainables.base_config import Config
from trainables.config import has_own_encoder
from trainables.errors import InputError
from trainables.images.arrays import Arrays
from trainables.images.files import user_path
from trainables.task import Task


class Session:
    """Studies over one set of images; Ray starts with the first and stays until `close`, or the end of a `with`.

    A process has one Ray: the first study of another session closes it.

    `data` is what `--data` takes (class folders, .zip, .npz, .json; the simulated chips if left out), or `Arrays`; or a
    `Task` of one's own, which loads its data, and whose stages are values of one's own too.
    The other arguments are the command line's options of the same name; `results` is the folder that studies go to.

        with Session("photos/") as session:
            study = session.run("lr", trials=24)
        study.best, study.verdict, study.trials
    """

    _of_this_process: ClassVar[Session | None] = None  # the one whose Ray runs

    def __init__(
        self,
        data: str | Path | Arrays | Task = SYNTHETIC,
        *,
        results: str | Path = "results",
        split: str = "grouped",
        group_by: str = BY_FOLDER,
        merge_splits: bool = False,
        drop_small_classes: bool = False,
        skip_bad: bool = False,
        ship_class: str | None = None,
        address: str | None = None,
        cpus_per_trial: float = 1.0,
        gpus_per_trial: float | None = None,
        max_concurrent: int | None = None,
        wandb: WandbMode = "disabled",
    ) -> None:
        self._given = data if isinstance(data, Arrays | Task) else None
        path = IN_MEMORY if self._given else str(data)
        self._source = Source(path, split, drop_small_classes, skip_bad, ship_class, group_by, merge_splits)
        resources = Resources(cpus_per_trial, gpus_per_trial, max_concurrent)
        self._where = Where(user_path(str(results)), address, resources, wandb)
        self._open: Opened | None = None
        self._closing = contextlib.ExitStack()
        atexit.register(self.close)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session({self._source.path}, results={str(self._where.results)!r})"

    def close(self) -> None:
        """Stop Ray, or leave the cluster; the next study starts it again."""
        self._open = None
        self._closing.close()
        if Session._of_this_process is self:
            Session._of_this_process = None

    def run(
        self,
        stage: str | Stage,
        *,
        trials: int | None = None,
        epochs: int | None = None,
        repeats: int | None = None,
        minutes: float | None = None,
        rounds: int | None = None,
        seed: int = 0,
        sampler: Sampler = "qmc",
        scheduler: Scheduler = "none",
        start: StudyRecord | Config | str | Path | None = None,
        encoder: str | None = None,
        name: str | None = None,
        smoke: bool = False,
    ) -> StudyRecord:
        """Run a stage, by its name, as a value of one's own or from FILE.py; return its study, reported.

        `encoder` is FILE.py:NAME of one of one's own. `start` is an earlier study, whose `best` it starts from, a
        config, or the path of a best.json; left out, the newest adopted config of the stages before. The rest are the
        command line's options of the same name. A study that Ctrl-C cuts short is returned as far as it came, and
        `resume` takes it to its end.

        Raises InputError, before anything is written, for whatever cannot be run.
        """
        asked_stage, own = _stage(stage)
        path = user_path(str(start)) if isinstance(start, str | Path) else None
        asked = Request(
            source=self._source,
            results=self._where.results,
            name=name,
            start=path,
            trials=trials,
            epochs=epochs,
            repeats=repeats,
            minutes=minutes,
            rounds=rounds,
            seed=seed,
            sampler=sampler,
            scheduler=scheduler,
            smoke=smoke,
            encoder=own_encoder(encoder) if encoder else None,
            own_stage=own,
        )
        given = _start(start)
        begin = asked.with_encoder(given) if given else asked.starting_config(asked_stage)
        study = asked.study(asked_stage, begin, asked.study_name())
        check_encoders(study)
        check_free(study_folder(study, self._where.results))
        with stop.heeded():
            return run_study(study, begin.origin, self._at(study.read_at)).record

    def resume(
        self, stage: str | Stage, name: str | None = None, *, trials: int | None = None, rounds: int | None = None
    ) -> StudyRecord:
        """Go on with a study, the newest of its stage if `name` is left out, with `trials` in all; return it reported.

        Raises InputError where there is none, or the images are not those it was started on.
        """
        asked, own = _stage(stage)
        results = self._where.results
        folder = results / asked.name / name if name else newest_study(results, asked.name)
        manifest = read_manifest(folder)
        check_own_files(manifest, {STAGE: own}, folder)
        with stop.heeded():
            session = self._at(manifest.data.asked.side)
            return resume_study(folder, trials, session, rounds, asked if own else None).record

    def _at(self, side: int) -> Opened:
        """Ray with the images read at `side`, started or as the last study left it."""
        running = Session._of_this_process
        if running and (running is not self or running._open is None or running._open.source.side != side):
            running.close()
        if self._open is None:
            Session._of_this_process = self
            check_writable(self._where.results)
            source = replace(self._source, side=side)
            self._open = self._closing.enter_context(open_session(source, self._where, self._given))
            return self._open
        return replace(self._open, opened=time.monotonic())


def _stage(stage: str | Stage) -> tuple[Stage, OwnFile | None]:
    """The stage that is meant, and where it comes from if it is none of ours."""
    if isinstance(stage, str):
        own = own_stage(stage) if stage.endswith(PYTHON) else None
        return (own.stage, own.file) if own else (stage_named(stage), None)
    return (stage, None) if stage in STAGES else (stage, given_stage(stage).file)


def _start(start: StudyRecord | Config | str | Path | None) -> Start | None:
    """What a study starts from, where that is given as a value."""
    if isinstance(start, Config):
        return Start(start, GIVEN, found=True)
    if isinstance(start, StudyRecord):
        if start.best is None:
            raise InputError(f"start: {start.path} has no config to use; leave it out, or give another study")
        encoder = start.manifest.own_files.get(ENCODER) if has_own_encoder(start.best) else None
        return Start(start.best, str(start.path / BEST), found=True, encoder=encoder)
    return None
