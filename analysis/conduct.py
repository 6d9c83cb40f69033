"""One study from start to report: read, search, retrain the finalists, measure them on the test split, write it up."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.evaluate import Finalist, evaluate
from analysis.manifest import manifest
from analysis.report import draw_training_pairs, selected_trial, write_report
from analysis.store import StudyRecord, TrialLog, now, read_json, read_study, write_json
from search_spaces.progress import Progress
from search_spaces.study import Resources, Study
from search_spaces.suggest import Suggester
from search_spaces.tuner import Observer, TrialRun, TrialSource, fit_resources, ray_cluster, run_trials
from trainables.config import TrialConfig
from trainables.data import ChipSet, PreparedData, TrialData, prepare
from trainables.errors import InputError
from trainables.readers import read_chips
from trainables.result import Metric, Trial
from trainables.siamese import SiameseTrial
from trainables.synthetic import simulate

DONE, NOTHING_FINISHED, INTERRUPTED = 0, 1, 130
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """Which chips, and how they are checked and split."""

    path: str = SYNTHETIC
    split: str = "grouped"
    drop_small_classes: bool = False
    skip_bad: bool = False

    def prepare(self) -> PreparedData:
        """Read and split the chips; raise InputError where they cannot be used."""
        return prepare(self._read(), self.split, drop_small_classes=self.drop_small_classes)

    def _read(self) -> ChipSet:
        if self.path == SYNTHETIC:
            return simulate()
        return read_chips(Path(self.path), self.skip_bad, _reading)

    def options(self) -> list[str]:
        """Return the command-line arguments that give this source again."""
        options = [] if self.path == SYNTHETIC else ["--data", self.path]
        options += [] if self.split == "grouped" else ["--split", self.split]
        return options + ["--drop-small-classes"] * self.drop_small_classes + ["--skip-bad"] * self.skip_bad


@dataclass(frozen=True)
class Where:
    """Where results go and where trials run."""

    results: Path
    address: str | None
    resources: Resources


@dataclass(frozen=True)
class Runner:
    """What both Ray runs of a study, search and retraining, have in common."""

    study: Study
    data: TrialData
    resources: Resources
    folder: Path

    def run(
        self, title: str, source: TrialSource, count: int, log: Observer, *others: Observer, weights: Path | None = None
    ) -> bool:
        """Run `count` trials, logging them; return False if Ctrl-C ended it early."""
        metric, epochs = self.study.stage.metric, self.study.budget.epochs
        with Progress(title, count, epochs, metric) as progress:
            return run_trials(
                TrialRun(
                    trainable=SiameseTrial,
                    data=self.data,
                    source=source,
                    count=count,
                    metric=metric,
                    resources=self.resources,
                    observers=(log, *others, progress),
                    scratch=self.folder / "ray",
                    scheduler="none" if weights else self.study.scheduler,
                    max_epochs=epochs,
                    weights=weights,
                )
            )


def conduct(study: Study, start_from: str, source: Source, where: Where) -> int:
    """Run `study` and print its report's path; return the exit status. Raises InputError before anything is written."""
    folder = where.results / study.stage.name / study.name
    _check_free(folder)
    data = source.prepare()
    for note in data.notes:
        _say(f"note: {note}")
    with ray_cluster(where.address) as cluster:
        resources = fit_resources(where.resources, cluster)
        trial_data = data.for_trials()
        folder.mkdir(parents=True)
        write_json(folder / "study.json", manifest(study, data, trial_data, source.options(), start_from, cluster))
        _say(
            f"{study.stage.name}: {study.stage.question} "
            f"(start: {start_from}; {resources.max_concurrent} trials at once)"
        )
        status = _search_and_retrain(Runner(study, trial_data, resources, folder))
    if status == DONE:
        roles = _finalists(read_study(folder))
        scores, gain = evaluate(data, roles, where.results, f"{study.stage.name}/{study.name}")
    else:
        scores, gain = None, None
    write_json(
        folder / "study.json", read_json(folder / "study.json") | ({} if status == INTERRUPTED else {"finished": now()})
    )
    draw_training_pairs(data, folder / "figures" / "pairs.png")
    report = write_report(folder, scores, gain)
    _summarise(folder)
    print(report)
    return status


def _check_free(folder: Path) -> None:
    """Find out before any work whether the study folder can be made; leave nothing behind."""
    if folder.exists():
        raise InputError(f"{folder}: a study of that name is there already; choose another --study")
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"--results-dir: {nearest} is no folder that can be written to; choose another")


def _search_and_retrain(runner: Runner) -> int:
    """Search, then train the selected and the starting config again with new seeds; return what became of it."""
    study, folder = runner.study, runner.folder
    suggester = Suggester(study, folder / "optuna.journal")
    log = TrialLog(folder / "trials.csv", folder / "epochs.csv", [p.path for p in study.stage.varied])
    whole = runner.run("search", suggester, study.budget.trials, log, suggester)
    record = read_study(folder)
    if not whole:
        return INTERRUPTED
    if record.finished.empty:
        return NOTHING_FINISHED
    runs = study.repeats(_roles(record, study))
    log = TrialLog(folder / "repeats.csv", folder / "repeat_epochs.csv")
    whole = runner.run("retrain", _Listed(runs), len(runs), log, weights=folder / "checkpoints")
    return DONE if whole else INTERRUPTED


def _roles(record: StudyRecord, study: Study) -> dict[str, TrialConfig]:
    """The configs to retrain: the selected one, and the starting one where it is another."""
    _, selected = selected_trial(record)
    start = study.incumbent().config
    same = selected.override({"seed": 0}) == start.override({"seed": 0})
    return {"selected": selected} if same else {"selected": selected, "baseline": start}


def _finalists(record: StudyRecord) -> dict[str, Finalist]:
    """The retrained configs whose weights are there, by role."""
    metric = Metric(**record.manifest["metric"])
    _, selected = selected_trial(record)
    start = TrialConfig.from_dict(record.manifest["start"])
    configs: Mapping[str, TrialConfig] = {"selected": selected, "baseline": start}
    finalists = {}
    for role, runs in record.repeats[record.repeats["status"] == "finished"].groupby("arm", sort=False):
        weights = [record.path / "checkpoints" / f"trial_{number:04d}.safetensors" for number in runs["trial"]]
        finalists[str(role)] = Finalist(configs[str(role)], weights, list(runs["seed"]), list(runs[metric.name]))
    return finalists


@dataclass(frozen=True)
class _Listed:
    """A source of trials that are known beforehand."""

    trials: Sequence[Trial]

    def ask(self, number: int) -> Trial:
        return self.trials[number]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _reading(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 200 == 0 or done == total):
        print(f"\rreading images: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _summarise(folder: Path) -> None:
    """Say the answer on standard error, in the lines a person would read out."""
    report = read_json(folder / "report.json")
    _say(f"verdict: {report['verdict']}")
    if report["selected"]:
        _say(f"selected: trial {report['selected']['trial']}, {report['selected']['arm']}; {report['selected']['why']}")
    if report["test"]:
        for role, score in (("selected", report["test"]), ("starting", report["baseline"]["test"])):
            if score:
                low, high = score["accuracy_interval"]
                accuracy = f"accuracy {score['accuracy']:.2%} (95 % {low:.2%} to {high:.2%})"
                mean = sum(score["runs_accuracy"]) / len(score["runs_accuracy"])
                _say(f"test pairs, {role} config: {accuracy}, Jaccard {score['jaccard']:.2%}; all seeds {mean:.2%}")
    _say(f"next: {report['next']}")
