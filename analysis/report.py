"""From a study folder to its answer: best.json, report.json, the figures and one self-contained page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analysis.arms import arm_answers
from analysis.candidates import by_role, leading, settled
from analysis.checks import Finding, diagnose, training_length
from analysis.commands import is_cut_off, next_command
from analysis.figures import draw_figures
from analysis.paper_figures import PUBLISHED
from analysis.procedure import START
from analysis.sections import page_of
from analysis.settling import settling
from analysis.shown import Shown
from analysis.verdict import adoption, candidates, overtuning, verdict
from search_spaces.stage import COMPARED, SELECTED
from storage.best_json import BEST, Best, write_best
from storage.folder import FIGURES, PAGE, StudyRecord, read_study
from storage.report_json import (
    REPORT,
    Compared,
    Measured,
    Report,
    SeedRun,
    Selected,
    Validation,
)
from storage.study_json import Manifest
from storage.tables import BEST_COLUMNS
from storage.whole_files import write_json, write_text
from trainables.base_config import Config


def write_report(folder: Path) -> Path:
    """Judge the study in `folder` and write its answer; return the path of report.html."""
    return reported(read_study(folder)).page


def reported(study: StudyRecord) -> StudyRecord:
    """Judge a study, write its answer, and return it with its report.

    Where nothing was measured since (a report written again, or a run cut short) earlier test figures are kept as they
    are: nothing here looks at the test split. A study without a finished trial gets a report that says so, and no
    best.json.
    """
    report = judge(study, study.measured or measured_before(study))
    folder, shown = study.path, Shown(study, report)
    if report.selected:
        write_best(folder / BEST, Best.of(report.selected))
        draw_figures(shown, folder / FIGURES)
    write_json(folder / REPORT, report.to_dict())
    write_text(folder / PAGE, page_of(shown))
    return replace(study, report=report)


def judge(study: StudyRecord, measured: Measured) -> Report:
    """Return the answer of a study; `measured` is what the test split says of its selected config."""
    findings = tuple(diagnose(study, study.manifest.metric))
    if study.finished.empty:
        report = Report("no trial finished: nothing can be said", "", findings=findings, published=PUBLISHED)
    else:
        report = _judged(study, measured, findings)
    if is_cut_off(study):
        report = replace(report, verdict=_so_far(study))
    return replace(report, next=next_command(study, findings, report.adopted))


def _so_far(study: StudyRecord) -> str:
    """What an unfinished study has behind it."""
    manifest = study.manifest
    is_planned = manifest.budget.minutes is None or manifest.pace is not None
    trials = f"{len(study.evidence)}{f' of {manifest.budget.trials}' if is_planned else ''} trials"
    under = f" and {runs} run{'s' if runs > 1 else ''} under new seeds" if (runs := len(study.repeats)) else ""
    return f"not finished: {trials}{under} have ended"


def measured_before(study: StudyRecord) -> Measured:
    """Return the test figures of an earlier report on the same selection, as far as there is one."""
    before = study.report
    if before is None or before.selected is None or study.finished.empty:
        return Measured()
    return before.measured if before.selected.trial == selected_trial(study)[0] else Measured()


def is_of(report: Report, study: StudyRecord) -> bool:
    """Return whether a report speaks of the config to use, and of its runs under new seeds, that the study has now."""
    if report.selected is None or study.finished.empty:
        return False
    now = (*selected_trial(study), _runs(by_role(study), SELECTED))
    return (report.selected.trial, report.selected.config, report.selected.runs) == now


def selected_trial(study: StudyRecord) -> tuple[int, Config]:
    """Return number and config of the trial to use; before that is settled, of the one that leads.

    Of a start that was trained with a candidate's values (as many networks) it is the start's own.
    """
    trial = leading(study)
    assert trial is not None
    if settled(study) is None or (trial == START and trial in study.search):
        return trial, study.search[trial].trial.config
    return trial, study.manifest.finalists.get(SELECTED) or study.search[trial].trial.config


def _judged(study: StudyRecord, measured: Measured, findings: tuple[Finding, ...]) -> Report:
    """The answer of a study of which a trial finished; what comes next is not known yet."""
    trial, config = selected_trial(study)
    called, grounds = by_role(study), adoption(study, findings)
    selected = Selected(
        **vars(grounds),
        trial=trial,
        arm=study.search[trial].trial.arm,
        config=config,
        val=_val(study, trial),
        runs=_runs(called, SELECTED),
    )
    return Report(
        verdict=verdict(study, grounds, trial, findings, measured),
        next="",
        selected=selected,
        baseline=_compared(study, called),
        candidates=candidates(study),
        arms=arm_answers(study),
        overtuning=overtuning(study),
        settling=settling(study, findings) if not grounds.adopted else None,
        training_length=training_length(study, findings),
        findings=findings,
        measured=measured,
        published=PUBLISHED,
    )


def _compared(study: StudyRecord, called: StudyRecord) -> Compared:
    config = compared_config(study.manifest)
    # it may be no trial of this study: the paper's baseline, or the start with more networks
    seen = 0 in study.search and _same_but_seed(study.search[0].trial.config, config)
    return Compared(config, _val(study, 0) if seen else None, _runs(called, COMPARED))


def _val(study: StudyRecord, trial: int) -> Validation | None:
    """The best epoch of a trial of the search, None where it did not finish."""
    result = study.search[trial].result if trial in study.search else None
    if result is None or result.status != "finished" or result.best is None:
        return None
    best = result.best
    return Validation(best.val_loss, best.val_accuracy, best.val_jaccard, best.val_cosine, best.own)


def compared_config(manifest: Manifest) -> Config:
    """Return what stands beside the selected config: its rival, itself without one, the start if none was retrained."""
    start = manifest.start.override({"epochs": manifest.budget.epochs})
    return manifest.finalists.get(COMPARED) or manifest.finalists.get(SELECTED) or start


def _same_but_seed(one: Config, other: Config) -> bool:
    return one == other.override({"seed": one.seed})


def _runs(study: StudyRecord, role: str) -> tuple[SeedRun, ...]:
    """The finished new-seed runs of a finalist."""
    runs = study.repeats[(study.repeats["arm"] == role) & (study.repeats["status"] == "finished")]
    measured, own = ["seed", "best_epoch", *BEST_COLUMNS], list(study.manifest.own_scores)
    known = runs.astype(object).where(runs.notna(), None)
    return tuple(
        SeedRun(**dict(zip(measured, row[measured], strict=True)), own={name: float(row[name]) for name in own})
        for _, row in known.iterrows()
    )
