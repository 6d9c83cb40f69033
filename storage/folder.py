"""A study folder: written as the run goes, read back as one `StudyRecord`. The schema is in results/README.md."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from storage.best_json import BEST, Best, read_best
from storage.event_record import Files, read_histories
from storage.finding import Finding
from storage.report_json import Measured, Report, read_report
from storage.study_json import SCHEMA, Manifest
from storage.tables import epoch_frame, trial_frame
from storage.whole_files import read_json, write_json
from trainables.base_config import TASK, Config
from trainables.errors import InputError, SearchError
from trainables.result import History

MANIFEST, PAGE, FIGURES = "study.json", "report.html", "figures"


@dataclass(frozen=True)
class Drawn:
    """A figure of the page, in a file."""

    path: Path

    def _repr_png_(self) -> bytes:
        """What a notebook shows of it."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class StudyRecord:
    """A study in memory: what was asked, and what its records know of the `search` and of its runs under new seeds.

    The frames are views of both, with the columns of the CSV files; runs under new seeds stand in `repeats` once they
    have ended by themselves. `report` is that of the folder, None until there is one; `measured` what this run has
    measured of the test split since.
    """

    path: Path
    manifest: Manifest
    trials: pd.DataFrame
    epochs: pd.DataFrame
    repeats: pd.DataFrame
    repeat_epochs: pd.DataFrame
    search: Mapping[int, History] = field(default_factory=dict)
    retraining: Mapping[int, History] = field(default_factory=dict)
    report: Report | None = None
    measured: Measured | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        manifest: Manifest,
        search: Mapping[int, History],
        retraining: Mapping[int, History],
        report: Report | None = None,
    ) -> StudyRecord:
        """Return the study that these histories are of."""
        metric, varied, own = manifest.metric, list(manifest.domains), manifest.own_scores
        return cls(
            path,
            manifest,
            trial_frame(search, metric, varied, own),
            epoch_frame(search, own),
            _uninterrupted(trial_frame(retraining, metric, own=own)),
            epoch_frame(retraining, own),
            search,
            retraining,
            report,
        )

    def with_runs(self, retraining: Mapping[int, History]) -> StudyRecord:
        """Return the study with these runs under new seeds."""
        own = self.manifest.own_scores
        runs = _uninterrupted(trial_frame(retraining, self.manifest.metric, own=own))
        return replace(self, repeats=runs, repeat_epochs=epoch_frame(retraining, own), retraining=retraining)

    @property
    def finished(self) -> pd.DataFrame:
        """Return the trials that ran to their end, in order: the only ones that may be selected."""
        return self.trials[self.trials["status"] == "finished"]

    @property
    def evidence(self) -> pd.DataFrame:
        """Return the trials that ended by themselves: what Ctrl-C cut off says nothing about its config."""
        return _uninterrupted(self.trials)

    @property
    def best(self) -> Config | None:
        """Return the config to use; None before the report, and where no trial finished."""
        return self.report.selected.config if self.report and self.report.selected else None

    @property
    def verdict(self) -> str:
        """Return whether that config is better than what it was compared with, in a sentence; nothing before that."""
        return self.report.verdict if self.report else ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what the checks found."""
        return self.report.findings if self.report else ()

    @property
    def runs(self) -> pd.DataFrame:
        """Return the runs under new seeds, which decided; the file calls them repeats."""
        return self.repeats

    @property
    def page(self) -> Path:
        """Return where the report's page is: one file that needs no other."""
        return self.path / PAGE

    @property
    def figures(self) -> dict[str, Drawn]:
        """Return the page's figures by name, such as "curves"; a notebook shows them."""
        return {path.stem: Drawn(path) for path in sorted((self.path / FIGURES).glob("*.png"))}

    def _repr_html_(self) -> str:
        """What a notebook shows of a study: its verdict, and its page where there is one."""
        manifest = self.manifest
        head = f"{manifest.stage}: {manifest.question} {self.verdict or 'not finished'}"
        if not self.page.exists():
            return f"<p>{html.escape(head)}</p>"
        page = html.escape(self.page.read_text(encoding="utf-8"))
        return f'<p>{html.escape(head)}</p><iframe srcdoc="{page}" width="100%" height="640"></iframe>'


def read_study(path: str | Path) -> StudyRecord:
    """Read a study folder, finished or not; raise InputError if it is none."""
    path = Path(path).expanduser()
    manifest = read_manifest(path)
    search, retraining = (
        read_histories(files.record, manifest.metric) for files in (Files.of_search(path), Files.of_repeats(path))
    )
    return StudyRecord.of(path, manifest, search, retraining, read_report(path))


def read_manifest(path: Path) -> Manifest:
    """Read the study.json of a study folder; raise InputError if there is none, or for a value that makes no sense."""
    file = path / MANIFEST
    if not file.exists():
        raise InputError(f"{path}: not a study folder (no {MANIFEST}); give results/<stage>/<study>")
    content = read_json(file)
    if content.get("schema") != SCHEMA:
        raise InputError(f"{file}: schema {content.get('schema')!r}; this version reads schema {SCHEMA}")
    try:
        return Manifest.read(content)
    except InputError as error:
        raise InputError(f"{file}: {error}; it was damaged or edited") from error


def is_of_other_task(path: Path) -> bool:
    """Return whether a study trained something else than the verifier: then its configs need the code of that task."""
    start = read_json(path / MANIFEST).get("start")
    return isinstance(start, dict) and TASK in start


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the study.json of a study folder, whole or not at all."""
    write_json(path / MANIFEST, manifest.to_dict())


def with_manifest(study: StudyRecord, manifest: Manifest) -> StudyRecord:
    """Write a study's manifest; return the study with it."""
    write_manifest(study.path, manifest)
    return replace(study, manifest=manifest)


def _uninterrupted(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["status"] != "interrupted"]


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what goes wrong over the content of a kept folder into an InputError: its files are anybody's to edit.

    Only for folders that an earlier run left: in one's own run an unexpected error is a bug and is shown as one.
    """
    try:
        yield
    except (SearchError, OSError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise InputError(f"{folder}: a file in it makes no sense ({said}); it was damaged or edited") from error


def newest_study(results: Path, stage: str) -> Path:
    """Return the study of a stage that was started last; raise InputError if there is none."""
    studies = [path.parent for path in (results / stage).glob("*/study.json")]
    if not studies:
        raise InputError(f"{results / stage}: no study to resume; start one without --resume")
    return max(studies, key=lambda folder: (read_manifest(folder).started, folder.name))


def newest_adopted(results: Path, stage: str, smoke: bool = False) -> tuple[Path, Best] | None:
    """Return the best.json of the newest adopted study of `stage` in a results folder; None if there is none.

    What a run of --smoke adopted answers nothing, except to another one.
    """
    answered = []
    for path in sorted((results / stage).glob(f"*/{BEST}")):
        study = read_manifest(path.parent)
        if study.finished and (smoke or not study.is_smoke):
            answered.append((study.finished, path))
    for _, path in sorted(answered, reverse=True):
        if (best := read_best(path)).adopted:
            return path, best
    return None
