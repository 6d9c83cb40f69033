"""What a study's retrained finalists come to: the test split, a verifier to keep, the report and its answer in words.

It needs torch and what draws figures, which take seconds to load: a run loads it while its trials train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

from analysis.candidates import by_role
from analysis.report import reported
from analysis.scores import Finalist
from analysis.verdict import rival_name
from search_spaces.stage import COMPARED, PAPER, SELECTED
from search_spaces.study import Study
from storage.folder import StudyRecord, with_manifest
from storage.report_json import Gain, Identified, Measured, Report, Settling, TaskScore, TestRow, TestScore
from storage.whole_files import now
from studies.checkpoint_store import trial_file
from studies.costs import costs
from studies.evaluate import evaluate, examine, identify, score_own
from studies.progress import closing
from studies.saliency import draw_examples
from studies.session import Session
from studies.training_pairs import draw_training_pairs
from trainables.config import of_verifier
from trainables.task import TaskData
from trainables.verifier import save_verifier


def evaluated(study: Study, session: Session, record: StudyRecord) -> StudyRecord:
    """Put the retrained finalists to the test split and keep the selected one as a verifier; return what it said."""
    label, folder = f"{study.stage.name}/{study.name}", record.path
    called = by_role(record)
    finalists = _finalists(called)
    if isinstance(session.data, TaskData):
        scores = score_own(session.task, session.data, finalists, session.results, label)
        return _finished(replace(record, measured=Measured(scores=scores)))
    data, seen = session.chips, session.trial_data
    assert seen is not None  # of the verifier
    rivals = {rival.role for rival in study.stage.rivals} if study.stage.judged == "test" else set()
    for role in rivals & {COMPARED, PAPER} - set(called.manifest.finalists):
        if SELECTED in finalists:  # nothing, or just this, was adopted on the way: they are one config
            finalists[role] = finalists[SELECTED]
    if not finalists:
        return _finished(record)
    shown_in_rows = {role: finalists[role] for role in (SELECTED, COMPARED, PAPER) if role in finalists}
    compared = {role: finalist for role, finalist in shown_in_rows.items() if role != PAPER}
    tested: Mapping[str, TestScore] = {}
    gain = rows = who = None
    if not study.test_unseen:
        tested, gain = evaluate(data, compared, session.results, label)
    if study.stage.judged == "test":
        rows = examine(data, shown_in_rows, session.results, label, session.source.ship_class)
        who = identify(data, shown_in_rows, session.results, label)
    if SELECTED in finalists:
        selected = finalists[SELECTED]
        save_verifier(folder, of_verifier(selected.config), selected.weights[selected.median()], seen)
        if study.stage.judged == "test":
            draw_examples(folder, seen, folder / "figures" / "saliency.png")
    said = measured(called, tested, gain, rows)
    said = replace(said, costs=costs(record, seen), identification=who)
    return _finished(replace(record, measured=said))


def measured(
    record: StudyRecord, scores: Mapping[str, TestScore], gain: Gain | None, rows: tuple[TestRow, ...] | None
) -> Measured:
    """Return what the test split said. Where the start is what to use, its figures stand on both sides."""
    start = COMPARED if COMPARED in set(record.repeats["arm"]) else SELECTED
    return Measured(scores.get(SELECTED), scores.get(start), gain, rows)


def shown(session: Session, record: StudyRecord) -> StudyRecord:
    """Write the report of a study whose chips are at hand; return the study with it."""
    if not isinstance(session.data, TaskData):
        draw_training_pairs(session.data, record.path / "figures" / "pairs.png")
    return reported(record)


def _finished(record: StudyRecord) -> StudyRecord:
    return with_manifest(record, replace(record.manifest, finished=now()))


def summarise(record: StudyRecord) -> None:
    """Say the answer on standard error, in the lines a person would read out."""
    report = record.report
    assert report is not None
    lines = [("verdict", report.verdict)]
    if report.selected:
        lines.append(("selected", f"trial {report.selected.trial}, {report.selected.arm}; {report.selected.why}"))
    if report.measured.selected:
        rival = rival_name(record.manifest)
        for name, score in (("the selected config", report.measured.selected), (rival, report.measured.compared)):
            if score:
                low, high = score.accuracy_interval
                accuracy = f"accuracy {score.accuracy:.2%} (95 % {low:.2%} to {high:.2%})"
                jaccard, mean = f"Jaccard {score.jaccard:.2%}", f"all seeds {score.mean_accuracy:.2%}"
                lines.append((f"test pairs, {name}", f"{accuracy}, {jaccard}; {mean}"))
    lines += [(f"held out, {score.role}", f"{score.name} {_values(score)}") for score in report.measured.scores or ()]
    lines += [(f"{row.task}, the selected config", _named_right(row)) for row in _identified(report)]
    if report.settling:
        lines.append(("to settle it", _settled_by(report.settling)))
    closing([*lines, ("next", report.next)])


def _settled_by(settling: Settling) -> str:
    takes = f", about {settling.minutes:.1f} min" if settling.minutes is not None else ""
    return f"{settling.command} (at most {settling.repeats} new seeds{takes})"


def _identified(report: Report) -> list[Identified]:
    who = report.measured.identification
    return [row for row in who.rows if row.role == SELECTED] if who else []


def _named_right(row: Identified) -> str:
    low, high = row.accuracy_interval
    right = f"{row.accuracy:.2%} right (95 % {low:.2%} to {high:.2%})"
    return f"{right}, guessing {row.chance:.2%}; all seeds {row.mean_accuracy:.2%}"


def _values(score: TaskScore) -> str:
    low, high = min(score.values), max(score.values)
    return f"{fmean(score.values):.4g} (mean of {len(score.values)} seeds, {low:.4g} to {high:.4g})"


def _finalists(record: StudyRecord) -> dict[str, Finalist]:
    """The retrained configs whose weights are there, by role."""
    metric = record.manifest.metric
    configs = record.manifest.finalists
    finalists = {}
    for role, runs in record.repeats[record.repeats["status"] == "finished"].groupby("arm", sort=False):
        if role not in configs:  # a candidate that was dropped on the way
            continue
        config = configs[str(role)]
        weights = [trial_file(record.path / "checkpoints", number) for number in runs["trial"]]
        finalists[str(role)] = Finalist(config, weights, list(runs["seed"]), list(runs[metric.name]))
    return finalists
