"""A results folder at one look: each stage's question and answer, and the paper's published figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.page import embedded, render_page
from analysis.paper_figures import PUBLISHED
from analysis.shown import Shown
from search_spaces.stages import STAGES
from storage.best_json import BEST
from storage.folder import StudyRecord, is_of_other_task, read_study
from storage.report_json import REPORT, Published, Report, Selected, TestRow
from storage.study_json import SCHEMA, Manifest
from storage.whole_files import write_json, write_text
from trainables.errors import InputError
from trainables.json_values import to_plain

FIGURES = {
    "pairs.png": "Figure 2: training pairs as the paper's augmentation changes them.",
    "runs.png": "Figures 3, 4 and 6: training and validation loss of the paper's baseline, of the adopted config and "
    "of the same with Koch's initialisation; a moving average over 3 epochs, thin for each seed.",
    "saliency.png": "Figure 5: where the final verifier looks, on validation pairs it judges rightly and wrongly.",
}


def write_summary(results: Path) -> Path:
    """Write summary.json and summary.html of a results folder; return the path of the page.

    Each stage speaks by its newest finished study, and by those of its own that this one started from. Raises
    InputError where there is none at all.
    """
    studies = newest_studies(results)
    if not studies:
        raise InputError(f"{results}: no finished study; give a results folder, or results/<stage>/<study>")
    final = studies.get("final")
    rows = (final.report.measured.rows if final else None) or ()
    who = final.report.measured.identification if final else None
    summary = {
        "schema": SCHEMA,
        "published": [_beside(figure, final, rows) for figure in PUBLISHED],
        "tests": to_plain(rows),
        "identification": to_plain(who),
        "stages": [_stage_row(study, results) for newest in studies.values() for study in _with_earlier_rounds(newest)],
        "notes": _notes(studies),
    }
    write_json(results / "summary.json", summary)
    figures = embedded(final.record.path / "figures", FIGURES, {}) if final else []
    page = render_page("summary.html.jinja", summary=summary, tests=rows, who=who, figures=figures)
    write_text(results / "summary.html", page)
    return results / "summary.html"


@dataclass(frozen=True)
class Answered:
    """A study with its report, and the config that it says to use."""

    record: StudyRecord
    report: Report
    selected: Selected


def newest_studies(results: Path) -> dict[str, Answered]:
    """Return the newest finished study of each stage that has one, in the order of the experiment; own ones last.

    Those of a task of one's own are no part of it.
    """
    newest = {}
    ours = [stage.name for stage in STAGES]
    own = sorted({path.parent.parent.name for path in results.glob("*/*/study.json")} - {*ours})
    for name in (*ours, *own):
        folders = [path.parent for path in sorted((results / name).glob("*/report.json"))]
        studies = [_answered(folder) for folder in folders if not is_of_other_task(folder)]
        finished = [study for study in studies if study and study.record.manifest.finished]
        if finished:  # a smoke run answers nothing: it stands there where there is no other
            newest[name] = max(
                finished, key=lambda study: (not _manifest(study).is_smoke, str(_manifest(study).finished))
            )
    return newest


def _manifest(study: Answered) -> Manifest:
    return study.record.manifest


def _answered(folder: Path) -> Answered | None:
    """A study, None if its report has nothing to use."""
    record = read_study(folder)
    report = record.report
    return Answered(record, report, report.selected) if report and report.selected else None


def _with_earlier_rounds(study: Answered) -> list[Answered]:
    """The studies of the same stage that led to this one, each having adopted what the next started from, and it."""
    rounds = [study]
    stage = study.record.manifest.stage
    while (best := Path(rounds[0].record.manifest.start_from)).parent.parent.name == stage and best.name == BEST:
        folder = study.record.path.parent / best.parent.name  # wherever the results folder lies today
        known = folder in [earlier.record.path for earlier in rounds]
        before = None if known or not (folder / REPORT).exists() else _answered(folder)
        if before is None:
            break
        rounds.insert(0, before)
    return rounds


def _beside(published: Published, final: Answered | None, rows: Sequence[TestRow]) -> dict[str, Any]:
    """A published figure, and ours for the same config and task at the same threshold, 0.5."""
    ours = [
        row
        for row in rows
        if row.role == published.role
        and row.criterion == "0.5"
        and (row.task == "test pairs") == (published.task == "pairs")
    ]
    if not ours or final is None:
        return {**vars(published), "ours": None}
    row, manifest, path = ours[0], final.record.manifest, final.record.path
    return {
        **vars(published),
        "ours": {
            "accuracy": row.accuracy,
            "accuracy_interval": row.accuracy_interval,
            "jaccard": row.jaccard,
            "jaccard_interval": row.jaccard_interval,
            "pairs": row.pairs,
            "task": row.task,
            "seeds": len(row.runs_accuracy),
            "epochs": manifest.finalists.get(row.role, manifest.finalists["selected"]).epochs,
            "mean_accuracy": row.mean_accuracy,
            "mean_jaccard": row.mean_jaccard,
            "data": manifest.data.source,
            "split": manifest.data.split.kind,
            "study": f"{path.parent.name}/{path.name}",
        },
    }


def _stage_row(study: Answered, results: Path) -> dict[str, Any]:
    manifest, report, selected = study.record.manifest, study.report, study.selected
    why, gain = selected.why, report.measured.gain
    if manifest.judged == "test" and gain:
        points = f"{100 * gain.value:+.2f} points over {gain.seeds} seeds"
        why = f"{report.verdict}: {points} (95 % {100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
    return {
        "stage": manifest.stage,
        "study": manifest.name,
        "question": manifest.question,
        "arm": selected.arm,
        "values": Shown(study.record, report).chosen,
        "adopted": None if manifest.judged == "test" else selected.adopted,
        "verdict": report.verdict,
        "why": why,
        "metric": manifest.metric.name,
        "gain": {"gain": selected.gain, "low": selected.low, "high": selected.high},
        "trials": len(study.record.trials),
        "epochs": manifest.budget.epochs,
        "repeats": manifest.budget.repeats,
        "training_length": to_plain(report.training_length),
        "data": manifest.data.source,
        "finished": manifest.finished,
        "page": str((study.record.path / "report.html").relative_to(results)),
    }


def _notes(studies: Mapping[str, Answered]) -> Sequence[str]:
    described = [study.record.manifest.data for study in studies.values()]
    digests = {data.digest: data.source for data in described}
    if len(digests) == 1:
        return []
    return [f"the stages below were not all run on the same data: {', '.join(digests.values())}"]
