"""One study from start to report: read, search, retrain the finalists, measure them on the test split, write it up."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.evaluate import Finalist, evaluate, examine
from analysis.manifest import manifest
from analysis.report import draw_training_pairs, selected_trial, write_report
from analysis.saliency import draw_examples
from analysis.store import StudyRecord, TrialLog, now, read_json, read_study, write_json
from search_spaces.progress import Progress
from search_spaces.study import Resources, Study
from search_spaces.suggest import Suggester
from search_spaces.tuner import Cluster, Observer, TrialRun, TrialSource, fit_resources, ray_cluster, run_trials
from trainables.config import TrialConfig
from trainables.data import ChipSet, PreparedData, TrialData, prepare
from trainables.errors import InputError
from trainables.fetch import KAGGLE, fetch
from trainables.readers import read_chips
from trainables.result import Metric, Trial
from trainables.siamese import SiameseTrial
from trainables.synthetic import simulate
from trainables.verifier import save_verifier

DONE, NOTHING_FINISHED, INTERRUPTED = 0, 1, 130
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """Which chips, and how they are checked and split."""

    path: str = SYNTHETIC
    split: str = "grouped"
    drop_small_classes: bool = False
    skip_bad: bool = False
    ship_class: str | None = None

    def prepare(self) -> PreparedData:
        """Read and split the chips; raise InputError where they cannot be used."""
        data = prepare(self._read(), self.split, drop_small_classes=self.drop_small_classes)
        if self.ship_class is not None and self.ship_class not in data.chips.classes:
            raise InputError(f"--ship-class {self.ship_class!r}: the classes are {', '.join(data.chips.classes)}")
        return data

    def _read(self) -> ChipSet:
        if self.path == SYNTHETIC:
            return simulate()
        path = fetch(self.path) if self.path.startswith(KAGGLE) else Path(self.path)
        return read_chips(path, self.skip_bad, _reading)

    def options(self) -> list[str]:
        """Return the command-line arguments that give this source again."""
        options = [] if self.path == SYNTHETIC else ["--data", self.path]
        options += [] if self.split == "grouped" else ["--split", self.split]
        options += [] if self.ship_class is None else ["--ship-class", self.ship_class]
        return options + ["--drop-small-classes"] * self.drop_small_classes + ["--skip-bad"] * self.skip_bad


@dataclass(frozen=True)
class Where:
    """Where results go and where trials run."""

    results: Path
    address: str | None
    resources: Resources


@dataclass(frozen=True)
class Workshop:
    """What the studies of one command share: chips, a running Ray, and where results go."""

    source: Source
    data: PreparedData
    trial_data: TrialData
    cluster: Cluster
    resources: Resources
    results: Path


@contextlib.contextmanager
def open_workshop(source: Source, where: Where) -> Iterator[Workshop]:
    """Read the chips and start Ray, once; raise InputError before anything is written."""
    data = source.prepare()
    for note in data.notes:
        say(f"note: {note}")
    with ray_cluster(where.address) as cluster:
        resources = fit_resources(where.resources, cluster)
        yield Workshop(source, data, data.for_trials(), cluster, resources, where.results)


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


def conduct(study: Study, start_from: str, source: Source, where: Where) -> tuple[int, Path]:
    """Run one study; return the exit status and its report's path. Raises InputError before anything is written."""
    check_free(study_folder(study, where.results))
    with open_workshop(source, where) as workshop:
        return run_study(study, start_from, workshop)


def run_study(study: Study, start_from: str, workshop: Workshop) -> tuple[int, Path]:
    """Search, retrain, measure and write up `study`; return the exit status and the path of its report."""
    folder, data = study_folder(study, workshop.results), workshop.data
    folder.mkdir(parents=True)
    description = manifest(study, data, workshop.trial_data, workshop.source.options(), start_from, workshop.cluster)
    write_json(folder / "study.json", description)
    say(
        f"{study.stage.name}: {study.stage.question} "
        f"(start: {start_from}; {workshop.resources.max_concurrent} trials at once)"
    )
    status = _search_and_retrain(Runner(study, workshop.trial_data, workshop.resources, folder))
    draw_training_pairs(data, folder / "figures" / "pairs.png")
    if status == DONE:
        report = _measure_and_report(study, workshop, folder)
    else:
        _finish(folder, status)
        report = write_report(folder)
    _summarise(folder)
    return status, report


def _measure_and_report(study: Study, workshop: Workshop, folder: Path) -> Path:
    """Put the retrained finalists to the test split, keep the selected one as a verifier, and write the report."""
    data, label = workshop.data, f"{study.stage.name}/{study.name}"
    record = read_study(folder)
    finalists = _finalists(record)
    if study.stage.examined and "baseline" not in record.manifest["finalists"] and "selected" in finalists:
        finalists["baseline"] = finalists["selected"]  # nothing was adopted on the way: they are one config
    compared = {role: finalist for role, finalist in finalists.items() if role in ("selected", "baseline")}
    scores, gain = evaluate(data, compared, workshop.results, label)
    tests = None
    if study.stage.examined:
        tests = examine(data, compared, workshop.results, label, workshop.source.ship_class)
    if "selected" in finalists:
        selected = finalists["selected"]
        save_verifier(folder, selected.config, selected.weights[selected.median()], workshop.trial_data)
        if study.stage.examined:
            draw_examples(folder, workshop.trial_data, folder / "figures" / "saliency.png")
    _finish(folder, DONE)
    return write_report(folder, scores, gain, tests)


def _finish(folder: Path, status: int) -> None:
    if status != INTERRUPTED:
        write_json(folder / "study.json", read_json(folder / "study.json") | {"finished": now()})


def study_folder(study: Study, results: Path) -> Path:
    """Return where `study` is kept."""
    return results / study.stage.name / study.name


def check_free(folder: Path) -> None:
    """Find out before any work whether the study folder can be made; leave nothing behind."""
    if folder.exists():
        raise InputError(f"{folder}: a study of that name is there already; choose another --study")
    check_writable(folder.parent)


def check_writable(folder: Path) -> None:
    """Raise InputError where a results folder could not be made or written to."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
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
    finalists = study.finalists(selected_trial(record)[1])
    described = {role: config.to_dict() for role, config in finalists.items()}
    write_json(folder / "study.json", read_json(folder / "study.json") | {"finalists": described})
    runs = study.repeats(finalists)
    log = TrialLog(folder / "repeats.csv", folder / "repeat_epochs.csv")
    whole = runner.run("retrain", _Listed(runs), len(runs), log, weights=folder / "checkpoints")
    return DONE if whole else INTERRUPTED


def _finalists(record: StudyRecord) -> dict[str, Finalist]:
    """The retrained configs whose weights are there, by role."""
    metric = Metric(**record.manifest["metric"])
    configs: Mapping[str, object] = record.manifest["finalists"]
    finalists = {}
    for role, runs in record.repeats[record.repeats["status"] == "finished"].groupby("arm", sort=False):
        config = TrialConfig.from_dict(configs[str(role)])  # type: ignore[arg-type]
        weights = [record.path / "checkpoints" / f"trial_{number:04d}.safetensors" for number in runs["trial"]]
        finalists[str(role)] = Finalist(config, weights, list(runs["seed"]), list(runs[metric.name]))
    return finalists


@dataclass(frozen=True)
class _Listed:
    """A source of trials that are known beforehand."""

    trials: Sequence[Trial]

    def ask(self, number: int) -> Trial:
        return self.trials[number]


def say(text: str) -> None:
    """Tell the user something, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _reading(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 200 == 0 or done == total):
        print(f"\rreading images: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _summarise(folder: Path) -> None:
    """Say the answer on standard error, in the lines a person would read out."""
    report = read_json(folder / "report.json")
    say(f"verdict: {report['verdict']}")
    if report["selected"]:
        say(f"selected: trial {report['selected']['trial']}, {report['selected']['arm']}; {report['selected']['why']}")
    if report["test"]:
        for role, score in (("selected", report["test"]), ("starting", report["baseline"]["test"])):
            if score:
                low, high = score["accuracy_interval"]
                accuracy = f"accuracy {score['accuracy']:.2%} (95 % {low:.2%} to {high:.2%})"
                mean = sum(score["runs_accuracy"]) / len(score["runs_accuracy"])
                say(f"test pairs, {role} config: {accuracy}, Jaccard {score['jaccard']:.2%}; all seeds {mean:.2%}")
    say(f"next: {report['next']}")
