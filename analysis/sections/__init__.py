"""The sections of the page, a template each, and what all of them are given: a study and its report."""

from __future__ import annotations

import shlex
from typing import Any

from analysis.commands import sync_command
from analysis.curve_chart import curve_chart
from analysis.figures import pictures
from analysis.page import render_page
from analysis.selection import ranked
from analysis.shown import Shown
from analysis.verdict import rival_name
from storage.folder import StudyRecord

SECTIONS = (  # in the order of the page; each is NAME.html.jinja, and says nothing where it has nothing to say
    "answer",
    "scores",
    "arms",
    "costs",
    "new_seeds",
    "checks",
    "rounds",
    "test_pairs",
    "examination",
    "task_scores",
    "identification",
    "curves",
    "figures",
    "trials",
    "parameters",
    "making",
)


def page_of(shown: Shown) -> str:
    """Return the page of a study, section by section."""
    study, report, varied = shown.study, shown.report, list(shown.domains)
    return render_page(
        "report.html.jinja",
        sections=SECTIONS,
        manifest=study.manifest,
        report=report,
        selected=report.selected,
        measured=report.measured,
        metric=shown.metric.name,
        varied=varied,
        chosen=shown.chosen,
        trials=_best_first(study),
        figures=pictures(shown, study.path / "figures"),
        path=study.path,
        rival=rival_name(study.manifest),
        command=shlex.join(study.manifest.argv),
        sync=sync_command(study.path),
        chart=curve_chart(study, shown.metric, varied),
    )


def _best_first(study: StudyRecord) -> list[dict[Any, Any]]:
    """The rows of all trials, those that did not finish last; None where a cell is empty."""
    trials = study.trials
    if len(study.finished):
        order = list(ranked(study.finished, study.manifest.metric)["trial"])
        rest = [trial for trial in trials["trial"] if trial not in set(order)]
        trials = trials.set_index("trial").loc[[*order, *rest]].reset_index()
    return trials.astype(object).where(trials.notna(), None).to_dict("records")
