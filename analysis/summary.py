"""A results folder at one look: each stage's question and answer, and the report's published figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.page import embedded, render_page
from analysis.published import PUBLISHED
from analysis.report import chosen_values
from search_spaces.stages import STAGES
from storage.folder import StudyRecord, read_study
from storage.manifest import SCHEMA
from storage.whole import write_json, write_text
from trainables.errors import InputError

FIGURES = {
    "pairs.png": "Figure 2: training pairs as the report's augmentation changes them.",
    "runs.png": "Figures 3, 4 and 6: training and validation loss of the report's baseline, of the adopted config and "
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
    summary = {
        "schema": SCHEMA,
        "published": [_beside(row, final) for row in PUBLISHED],
        "tests": (final.report.get("tests") if final else None) or [],
        "stages": [_stage_row(study, results) for newest in studies.values() for study in _with_earlier_rounds(newest)],
        "notes": _notes(studies),
    }
    write_json(results / "summary.json", summary)
    figures = embedded(final.path / "figures", FIGURES, {}) if final else []
    write_text(results / "summary.html", render_page("summary.html.jinja", summary=summary, figures=figures))
    return results / "summary.html"


def newest_studies(results: Path) -> dict[str, StudyRecord]:
    """Return the newest finished study of each stage that has one, in the order of the experiment."""
    newest = {}
    for stage in STAGES:
        studies = [read_study(path.parent) for path in sorted((results / stage.name).glob("*/report.json"))]
        finished = [study for study in studies if study.manifest.finished and study.report.get("selected")]
        if finished:
            newest[stage.name] = max(finished, key=lambda study: str(study.manifest.finished))
    return newest


def _with_earlier_rounds(study: StudyRecord) -> list[StudyRecord]:
    """The studies of the same stage that led to this one, each having adopted what the next started from, and it."""
    rounds = [study]
    while (best := Path(rounds[0].manifest.start_from)).parent.parent.name == study.manifest.stage:
        folder = study.path.parent / best.parent.name  # wherever the results folder lies today
        if not (folder / "report.json").exists() or folder in [earlier.path for earlier in rounds]:
            break
        rounds.insert(0, read_study(folder))
    return rounds


def _beside(published: Mapping[str, Any], final: StudyRecord | None) -> dict[str, Any]:
    """A published figure, and ours for the same config and task at the same threshold, 0.5."""
    rows = (final.report.get("tests") if final else None) or []
    ours = [
        row
        for row in rows
        if row["role"] == published["role"]
        and row["criterion"] == "0.5"
        and (row["task"] == "test pairs") == (published["task"] == "pairs")
    ]
    if not ours or final is None:
        return {**published, "ours": None}
    row, data = ours[0], final.manifest.data
    names = ("accuracy", "accuracy_interval", "jaccard", "jaccard_interval", "pairs")
    return {
        **published,
        "ours": {name: row[name] for name in names}
        | {
            "task": row["task"],
            "seeds": len(row["runs_accuracy"]),
            "epochs": final.manifest.finalists.get(row["role"], final.manifest.finalists["selected"]).epochs,
            "mean_accuracy": fmean(row["runs_accuracy"]),
            "mean_jaccard": fmean(row["runs_jaccard"]),
            "data": data.source,
            "split": data.split.kind,
            "study": f"{final.path.parent.name}/{final.path.name}",
        },
    }


def _stage_row(study: StudyRecord, results: Path) -> dict[str, Any]:
    manifest, report = study.manifest, study.report
    selected, why = report["selected"], report["selected"]["why"]
    if manifest.examined and report.get("gain"):
        low, value, high = (100 * report["gain"][name] for name in ("low", "value", "high"))
        points = f"{value:+.2f} points over {report['gain']['seeds']} seeds (95 % {low:+.2f} to {high:+.2f})"
        why = f"{report['verdict']}: {points}"
    return {
        "stage": manifest.stage,
        "study": manifest.name,
        "question": manifest.question,
        "arm": selected["arm"],
        "values": chosen_values(study, report),
        "adopted": None if manifest.examined else selected["adopted"],
        "verdict": report["verdict"],
        "why": why,
        "metric": manifest.metric.name,
        "gain": {name: selected[name] for name in ("gain", "low", "high")},
        "trials": len(study.trials),
        "epochs": manifest.budget.epochs,
        "repeats": manifest.budget.repeats,
        "training_length": report.get("training_length"),
        "data": manifest.data.source,
        "finished": manifest.finished,
        "page": str((study.path / "report.html").relative_to(results)),
    }


def _notes(studies: Mapping[str, StudyRecord]) -> Sequence[str]:
    digests = {study.manifest.data.digest: study.manifest.data.source for study in studies.values()}
    if len(digests) == 1:
        return []
    return [f"the stages below were not all run on the same data: {', '.join(digests.values())}"]
