"""What a study's retrained finalists come to: the test split, a verifier to keep, the report and its answer in words.

It needs torch and what draws figures, which take seconds to load: a run loads it while its trials train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis.candidates import by_role
from analysis.report import write_report
from analysis.scores import Finalist
from analysis.verdict import rival_name
from search_spaces.stage import BASELINE
from search_spaces.study import Study
from storage.folder import StudyRecord, read_manifest, read_study, write_manifest
from storage.report import Gain, Measured, TestRow, TestScore, read_report
from storage.whole import now
from studies.evaluate import evaluate, examine
from studies.keeper import trial_file
from studies.saliency import draw_examples
from studies.training_pairs import draw_training_pairs
from studies.workshop import Workshop, say
from trainables.verifier import save_verifier


def conclude(study: Study, workshop: Workshop, folder: Path) -> Path:
    """Put the retrained finalists to the test split, keep the selected one as a verifier, and write the report."""
    data, label = workshop.data, f"{study.stage.name}/{study.name}"
    record = by_role(read_study(folder))
    finalists = _finalists(record)
    if study.stage.examined and "baseline" not in record.manifest.finalists and "selected" in finalists:
        finalists["baseline"] = finalists["selected"]  # nothing was adopted on the way: they are one config
    if not finalists:
        _finish(folder)
        return show(workshop, folder)
    compared = {role: finalist for role, finalist in finalists.items() if role in ("selected", "baseline")}
    scores, gain = evaluate(data, compared, workshop.results, label)
    rows = None
    if study.stage.examined:
        rows = examine(data, compared, workshop.results, label, workshop.source.ship_class)
    found = measured(record, scores, gain, rows)
    if "selected" in finalists:
        selected = finalists["selected"]
        save_verifier(folder, selected.config, selected.weights[selected.median()], workshop.trial_data)
        if study.stage.examined:
            draw_examples(folder, workshop.trial_data, folder / "figures" / "saliency.png")
    _finish(folder)
    return show(workshop, folder, found)


def measured(
    record: StudyRecord, scores: Mapping[str, TestScore], gain: Gain | None, rows: tuple[TestRow, ...] | None
) -> Measured:
    """Return what the test split said. Where the start is what to use, its figures stand on both sides."""
    start = "selected" if BASELINE not in set(record.repeats["arm"]) else BASELINE
    return Measured(scores.get("selected"), scores.get(start), gain, rows)


def show(workshop: Workshop, folder: Path, found: Measured | None = None) -> Path:
    """Write the report of a study whose chips are at hand, with what was measured (see `write_report`)."""
    draw_training_pairs(workshop.data, folder / "figures" / "pairs.png")
    return write_report(folder, found)


def is_reported(record: StudyRecord) -> bool:
    """Whether the report has the test figures of what was retrained last: a kill may have come just before it."""
    report = record.report
    if report is None or report.selected is None or report.measured.selected is None:
        return False
    return report.selected.config == record.manifest.finalists["selected"]


def _finish(folder: Path) -> None:
    write_manifest(folder, replace(read_manifest(folder), finished=now()))


def summarise(folder: Path) -> None:
    """Say the answer on standard error, in the lines a person would read out."""
    report = read_report(folder)
    assert report is not None
    say(f"verdict: {report.verdict}")
    if report.selected:
        say(f"selected: trial {report.selected.trial}, {report.selected.arm}; {report.selected.why}")
    if report.measured.selected:
        rival = rival_name(read_manifest(folder))
        for name, score in (("the selected config", report.measured.selected), (rival, report.measured.compared)):
            if score:
                low, high = score.accuracy_interval
                accuracy = f"accuracy {score.accuracy:.2%} (95 % {low:.2%} to {high:.2%})"
                jaccard, mean = f"Jaccard {score.jaccard:.2%}", f"all seeds {score.mean_accuracy:.2%}"
                say(f"test pairs, {name}: {accuracy}, {jaccard}; {mean}")
    say(f"next: {report.next}")


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
