"""One study from start to report: search, retrain the finalists, measure them on the test split, write it up.

A study that was cut off goes on from its records; what needs nothing more is not done again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.evaluate import Finalist, evaluate, examine
from analysis.lock import held
from analysis.manifest import described_grouping, manifest, notes_on_start, resumed, study_of
from analysis.mirror import mirrored, sync_command
from analysis.record import Files, Record
from analysis.report import draw_training_pairs, rival_name, selected_trial, write_report
from analysis.saliency import draw_examples
from analysis.store import StudyRecord, now, read_json, read_study, reading, write_json
from analysis.workshop import Source, Where, Workshop, beginning, check_writable, open_workshop, say
from search_spaces import stop
from search_spaces.keeper import trial_file
from search_spaces.progress import Progress
from search_spaces.resources import describe
from search_spaces.study import Scheduler, Study
from search_spaces.suggest import Suggester, disagreements
from search_spaces.tuner import Observer, Outcome, TrialRun, TrialSource, run_trials
from trainables.checkpoint import from_bytes
from trainables.config import TrialConfig
from trainables.errors import Halted, InputError, what_happened
from trainables.result import Metric, Trial
from trainables.siamese import SiameseTrial
from trainables.verifier import save_verifier

DONE, NOTHING_FINISHED, HALTED, INTERRUPTED = 0, 1, 1, 130
STATUS: dict[Outcome, int] = {"whole": DONE, "hopeless": NOTHING_FINISHED, "interrupted": INTERRUPTED}


def conduct(study: Study, start_from: str, source: Source, where: Where) -> tuple[int, Path]:
    """Run one study; return the exit status and its report's path. Raises InputError before anything is written."""
    check_free(study_folder(study, where.results))
    with open_workshop(source, where) as workshop:
        return run_study(study, start_from, workshop)


def run_study(study: Study, start_from: str, workshop: Workshop) -> tuple[int, Path]:
    """Carry out a new study; return the exit status and the path of its report."""
    folder = study_folder(study, workshop.results)
    with contextlib.ExitStack() as holding:
        with beginning(folder):
            folder.mkdir(parents=True, exist_ok=True)  # a folder that was made and nothing more is no study yet
            holding.enter_context(held(folder, say))
        options = workshop.source.options()
        chips, cluster = (workshop.data, workshop.trial_data), workshop.cluster
        described = manifest(study, *chips, options, start_from, cluster, workshop.encoder)
        for note in notes_on_start(start_from, described["data"]):
            say(f"note: {note}")
            described["data"]["notes"].append(note)
        with beginning(folder):
            write_json(folder / "study.json", described)
        say(
            f"{study.stage.name}: {study.stage.question} "
            f"({study.budget.trials} x {study.budget.epochs} epochs; start: {start_from}; "
            f"{describe(workshop.resources, workshop.cluster)}; encoder: {workshop.encoder})"
        )
        return _carry_out(study, workshop, folder)


def resume_study(folder: Path, trials: int | None, workshop: Workshop) -> tuple[int, Path]:
    """Go on with the study in `folder`, with `trials` in all if that is more; return exit status and report's path.

    Raises InputError where it is no study, another process holds it, or the chips are not those it was started on.
    """
    if not (folder / "study.json").exists():
        raise InputError(f"{folder}: no study to go on with (no study.json); start it without --resume")
    with held(folder, say):
        record = read_study(folder)
        described = record.manifest
        _check_same_data(folder, described, workshop)
        with reading(folder):
            study = study_of(described)
        if trials and trials < study.budget.trials:
            raise InputError(f"--trials {trials}: {folder} was started with {study.budget.trials}; more can be added")
        if trials and trials > study.budget.trials:
            study = replace(study, budget=replace(study.budget, trials=trials))
            described = {**described, "budget": described["budget"] | {"trials": trials}, "finished": None}
            write_json(folder / "study.json", described)
        elif described["finished"] and _is_reported(record):
            say(f"{folder}: all {study.budget.trials} trials are done; more of them with --trials")
            with reading(folder):
                return DONE, write_report(folder)
        described, note = resumed(described, workshop.encoder)
        if note:
            say(f"note: {note}")
            write_json(folder / "study.json", described)
        say(f"{study.stage.name}: {study.stage.question} (going on with {folder})")
        return _carry_out(study, workshop, folder)


def _is_reported(record: StudyRecord) -> bool:
    """Whether the report has the test figures of what was retrained last: a kill may have come just before it."""
    selected = record.report.get("selected") or {}
    return bool(record.report.get("test")) and selected.get("config") == record.manifest["finalists"]["selected"]


def _check_same_data(folder: Path, described: Mapping[str, object], workshop: Workshop) -> None:
    before = described["data"]
    assert isinstance(before, dict)
    digest, kind = workshop.data.chips.digest(), workshop.data.split.kind
    if before["digest"] != digest:
        raise InputError(
            f"{folder}: was started on {before['source']} with digest {before['digest'][:12]}; "
            f"{workshop.data.chips.source} now has {digest[:12]}: other images, classes or order"
        )
    if before["split"]["kind"] != kind:
        raise InputError(f"{folder}: was started with --split {before['split']['kind']}, not {kind}")
    grouping = before.get("grouping")
    if grouping and grouping != described_grouping(workshop.data):
        raise InputError(f"{folder}: the images were in other groups when it was started ({grouping}); put them back")


def _carry_out(study: Study, workshop: Workshop, folder: Path) -> tuple[int, Path]:
    """Do what the study's records say is left to do, and show it on Weights & Biases if that is wanted."""
    with mirrored(folder, workshop.wandb, say, hurry=lambda: stop.told() is not None):
        outcome = _to_the_report(study, workshop, folder)
    sync = sync_command(folder)
    if sync:
        say(f"offline runs for Weights & Biases: {sync}")
    return outcome


def _to_the_report(study: Study, workshop: Workshop, folder: Path) -> tuple[int, Path]:
    """Search, retrain, test and report, or as much of it as is left."""
    report = folder / "report.html"
    try:
        status = _search_and_retrain(Runner(study, workshop, folder))
        if status != INTERRUPTED:
            draw_training_pairs(workshop.data, folder / "figures" / "pairs.png")
            report = _measure_and_report(study, workshop, folder) if status == DONE else write_report(folder)
    except (Halted, OSError) as error:
        say(f"halted: {what_happened(error) if isinstance(error, OSError) else error}; {_kept(study, folder)}")
        with contextlib.suppress(OSError):  # the disk may be full
            write_report(folder)
        return HALTED, folder / "report.html"
    except KeyboardInterrupt:  # between the trials; among them it is a status
        status = INTERRUPTED
    if status == INTERRUPTED:
        say(f"interrupted; {_kept(study, folder)}")
        with stop.patient():
            report = write_report(folder)
    _summarise(folder)
    return status, report


def _kept(study: Study, folder: Path) -> str:
    epochs = folder / "epochs.csv"
    done = epochs.exists() and epochs.read_bytes().count(b"\n") > 1
    return f"{'what is done is kept' if done else 'no epoch is done yet'}, --resume --study {study.name} goes on"


@dataclass(frozen=True)
class Runner:
    """What both Ray runs of a study, search and retraining, have in common."""

    study: Study
    workshop: Workshop
    folder: Path

    def search(self, record: Record, suggester: Suggester) -> Outcome:
        """Run what the record lacks of the study's trials; return how it ended."""
        lengths = [self.study.budget.epochs] * self.study.budget.trials
        return self._run("search", suggester, lengths, record, suggester, scheduler=self.study.scheduler)

    def retrain(self, record: Record, runs: Sequence[Trial]) -> Outcome:
        """Run what the record lacks of the finalists' runs, keeping each one's best weights; return how it ended."""
        lengths = [run.config.epochs for run in runs]
        return self._run("retrain", _Listed(runs), lengths, record, weights=self.folder / "checkpoints")

    def _run(
        self,
        title: str,
        source: TrialSource,
        lengths: Sequence[int],
        record: Record,
        *others: Observer,
        scheduler: Scheduler = "none",
        weights: Path | None = None,
    ) -> Outcome:
        metric = self.study.stage.metric
        numbers = [*sorted(record.open), *(number for number in range(len(lengths)) if number not in record.histories)]
        if not numbers:
            return "whole"
        with Progress(title, lengths, metric, before=record.histories) as progress:
            return run_trials(
                TrialRun(
                    trainable=SiameseTrial,
                    data=self.workshop.shared,
                    source=source,
                    numbers=numbers,
                    metric=metric,
                    resources=self.workshop.resources,
                    observers=(record, *others, progress),
                    scratch=self.folder / "ray",
                    states=self.folder / "states" / title,
                    scheduler=scheduler,
                    max_epochs=max(lengths),
                    weights=weights,
                    begun=record.open,
                )
            )


def _search_and_retrain(runner: Runner) -> int:
    """Search, then train the selected config and its rivals again with new seeds; return what became of it."""
    study, folder = runner.study, runner.folder
    paths = [parameter.path for parameter in study.stage.varied]
    record = Record(Files.of_search(folder), study.stage.metric, paths)
    _mend(record, study, folder)
    suggester = Suggester(study, folder / "optuna.journal", record.histories)
    outcome = runner.search(record, suggester)
    if outcome != "whole":
        return _given_up(record, outcome, folder, "search")
    so_far = read_study(folder)
    if so_far.finished.empty:
        return NOTHING_FINISHED
    runs = study.repeats(_settle_finalists(study, so_far))
    repeats = Record(Files.of_repeats(folder), study.stage.metric)
    _drop_damaged_states(repeats, folder / "states" / "retrain")
    ended = [number for number, history in repeats.done.items() if history.result and history.result.best]
    # weights are kept before an end is written down; they may have been lost or removed since
    repeats.reopen([number for number in ended if not trial_file(folder / "checkpoints", number).exists()])
    _reopen_given_up(repeats, folder, "retraining")
    outcome = runner.retrain(repeats, runs)
    if outcome == "whole":
        shutil.rmtree(folder / "states", ignore_errors=True)
    return _given_up(repeats, outcome, folder, "retraining")


def _given_up(record: Record, outcome: Outcome, folder: Path, run: str) -> int:
    """Return the exit status; where the run was given up say why, and write down which trials that cost."""
    if outcome == "hopeless":
        say(
            f"given up: the first {len(record.failed)} trials of this {run} all failed, the last with: "
            f"{record.failed[-1].reason}"
        )
        given_up = {"given_up": {run: [result.trial.number for result in record.failed]}}
        write_json(folder / "study.json", read_json(folder / "study.json") | given_up)
    return STATUS[outcome]


def _reopen_given_up(record: Record, folder: Path, run: str) -> None:
    """Try again what failed when the run was last given up, or if all did: whatever it was may have been mended."""
    given_up = read_json(folder / "study.json").get("given_up", {}).get(run, [])
    failed = [number for number, history in record.done.items() if history.result and history.result.status == "failed"]
    record.reopen([number for number in failed if number in given_up or len(failed) == len(record.done)])


def _settle_finalists(study: Study, so_far: StudyRecord) -> dict[str, TrialConfig]:
    """Write down who is retrained; forget retrainings of others, made before trials were added."""
    finalists = study.finalists(selected_trial(so_far)[1])
    described = {role: config.to_dict() for role, config in finalists.items()}
    content = read_json(so_far.path / "study.json")
    if content.get("finalists", described) != described:
        files = Files.of_repeats(so_far.path)
        for file in (files.record, files.trials, files.epochs):
            file.unlink(missing_ok=True)
        for folder in (so_far.path / "checkpoints", so_far.path / "states"):
            shutil.rmtree(folder, ignore_errors=True)
    write_json(so_far.path / "study.json", content | {"finalists": described})
    return finalists


def _mend(record: Record, study: Study, folder: Path) -> None:
    """Bring everything beside the record to where the record is, and say in one line what was found."""
    if not record.histories:
        return
    _drop_damaged_states(record, folder / "states" / "search")
    _reopen_given_up(record, folder, "search")
    left = study.budget.trials - len(record.histories)
    found = f"record: {len(record.done)} trials ended, {len(record.open)} begun, {left} to begin"
    wrong = disagreements(folder / "optuna.journal", record.histories)
    ray = "Ray's leftovers removed" if (folder / "ray").exists() else "nothing left of Ray"
    shutil.rmtree(folder / "ray", ignore_errors=True)
    say(f"{found}; Optuna's storage made anew from it ({wrong} trials differed); {ray}")


def _drop_damaged_states(record: Record, states: Path) -> None:
    for number, history in record.open.items():
        path = trial_file(states, number)
        try:
            if path.exists():
                run, _ = from_bytes(path.read_bytes(), history.trial.config)
                if run.epoch > len(history.epochs):  # after a power cut: the record's last lines were lost
                    raise ValueError(f"it has {run.epoch} epochs, the record {len(history.epochs)}")
        except ValueError as error:
            say(f"note: {path}: {error}; trial {number} starts again")
            path.unlink()


def _measure_and_report(study: Study, workshop: Workshop, folder: Path) -> Path:
    """Put the retrained finalists to the test split, keep the selected one as a verifier, and write the report."""
    data, label = workshop.data, f"{study.stage.name}/{study.name}"
    record = read_study(folder)
    finalists = _finalists(record)
    if study.stage.examined and "baseline" not in record.manifest["finalists"] and "selected" in finalists:
        finalists["baseline"] = finalists["selected"]  # nothing was adopted on the way: they are one config
    if not finalists:
        _finish(folder)
        return write_report(folder)
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
    _finish(folder)
    return write_report(folder, scores, gain, tests)


def _finish(folder: Path) -> None:
    write_json(folder / "study.json", read_json(folder / "study.json") | {"finished": now()})


def study_folder(study: Study, results: Path) -> Path:
    """Return where `study` is kept."""
    return results / study.stage.name / study.name


def check_free(folder: Path) -> None:
    """Find out before any work whether the study folder can be made; leave nothing behind."""
    if (folder / "study.json").exists():
        raise InputError(
            f"{folder}: a study of that name is there already; go on with it by --resume, or choose another --study"
        )
    check_writable(folder.parent)


def _finalists(record: StudyRecord) -> dict[str, Finalist]:
    """The retrained configs whose weights are there, by role."""
    metric = Metric(**record.manifest["metric"])
    configs: Mapping[str, object] = record.manifest["finalists"]
    finalists = {}
    for role, runs in record.repeats[record.repeats["status"] == "finished"].groupby("arm", sort=False):
        config = TrialConfig.from_dict(configs[str(role)])  # type: ignore[arg-type]
        weights = [trial_file(record.path / "checkpoints", number) for number in runs["trial"]]
        finalists[str(role)] = Finalist(config, weights, list(runs["seed"]), list(runs[metric.name]))
    return finalists


@dataclass(frozen=True)
class _Listed:
    """A source of trials that are known beforehand."""

    trials: Sequence[Trial]

    def ask(self, number: int) -> Trial:
        return self.trials[number]


def _summarise(folder: Path) -> None:
    """Say the answer on standard error, in the lines a person would read out."""
    report = read_json(folder / "report.json")
    say(f"verdict: {report['verdict']}")
    if report["selected"]:
        say(f"selected: trial {report['selected']['trial']}, {report['selected']['arm']}; {report['selected']['why']}")
    if report["test"]:
        rival = rival_name(read_json(folder / "study.json"))
        for name, score in (("the selected config", report["test"]), (rival, report["baseline"]["test"])):
            if score:
                low, high = score["accuracy_interval"]
                accuracy = f"accuracy {score['accuracy']:.2%} (95 % {low:.2%} to {high:.2%})"
                jaccard, mean = f"Jaccard {score['jaccard']:.2%}", f"all seeds {score['mean_accuracy']:.2%}"
                say(f"test pairs, {name}: {accuracy}, {jaccard}; {mean}")
    say(f"next: {report['next']}")
