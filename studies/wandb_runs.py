"""Weights & Biases: a process beside the study that reads its records and writes a run for every trial.

    python -m studies.wandb_runs results/lr/20261125-120000 offline

It only reads the study, so whatever becomes of it, or of a server, training does not notice. `--follow` keeps reading
until standard input ends. What is wrong is one line on standard output, once; what a server does not take is written
offline. Runs have ids made from the study and the trial: a study that goes on goes on in its runs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("WANDB_SILENT", "true")

import wandb

from storage.event_record import Files, fold
from storage.folder import MANIFEST, is_of_other_task, read_manifest, read_study
from storage.report_json import Report, Selected, read_report
from storage.whole_files import append_line, read_json
from trainables.base_config import stand_in
from trainables.errors import InputError
from trainables.images.files import user_path
from trainables.result import EpochMetrics, History

Mode = Literal["offline", "online"]

PROJECT = "siamese-search"  # unless WANDB_PROJECT says another
PAUSE = 0.5  # seconds between looks at a record
TAKES_TOO_LONG = 30.0  # seconds for a server to answer, or to take what a run has left


class Lines:
    """The whole lines that were appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def replaced(self) -> bool:
        """Return whether the file is gone or shorter than what was read of it: then it is read from its start again."""
        if (self._path.stat().st_size if self._path.exists() else 0) >= self._read:
            return False
        self._read = 0
        return True

    def new(self) -> Iterator[str]:
        """Yield the new lines; what a writer has not finished yet waits for the next look."""
        if not self._path.exists():
            return
        with open(self._path, "rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from whole.decode("utf-8").splitlines()


@dataclass
class Trials:
    """The trials of one record: what is known of each, and the runs that are being written."""

    kind: str  # search or retrain
    lines: Lines
    histories: dict[int, History] = field(default_factory=dict)
    runs: dict[int, wandb.Run] = field(default_factory=dict)


class Writer:
    """Writes the runs of one study: one for each trial of the search and of the retraining, and one for the study."""

    def __init__(self, folder: Path, mode: Mode) -> None:
        if (folder / MANIFEST).exists() and is_of_other_task(folder):
            stand_in(read_json(folder / MANIFEST)["start"])
        manifest = read_manifest(folder)
        self._folder, self._mode = folder, mode
        self._stage, self._name = manifest.stage, manifest.name
        self._metric = manifest.metric
        self._key = _digest(f"{self._stage}/{self._name}/{manifest.started}")
        self._told = False
        self._written_file = folder / "wandb" / "written.jsonl"
        self._written = {line["run"]: line for line in _json_lines(self._written_file)}
        self._trials = [
            Trials(kind, Lines(files.record))
            for kind, files in (("search", Files.of_search(folder)), ("retrain", Files.of_repeats(folder)))
        ]

    def catch_up(self) -> None:
        """Write what the records hold and the runs do not."""
        for trials in self._trials:
            if trials.lines.replaced():
                for number in list(trials.runs):
                    self._try(functools.partial(self._leave, trials, number))
                trials.histories.clear()
            touched: dict[int, int] = {}
            for line in trials.lines.new():
                event = json.loads(line)
                before = trials.histories.get(event["trial"])
                touched.setdefault(event["trial"], len(before.epochs) if before else 0)
                fold(trials.histories, event, self._metric)
            for number, epochs_before in touched.items():
                self._try(functools.partial(self._bring_up, trials, number, epochs_before))

    def _bring_up(self, trials: Trials, number: int, epochs_before: int) -> None:
        """Write a trial's new epochs, in a run that is opened if need be, and its end if it has one."""
        history = trials.histories[number]
        run_id = self._id(trials.kind, history)
        if number not in trials.runs:
            if history.result and self._is_written(run_id, history):
                return
            epochs_before = 0  # a run is opened anew from its first epoch; a server passes over those that it has
            described = {"trial": number, "arm": history.trial.arm, "study": f"{self._stage}/{self._name}"}
            trials.runs[number] = self._open(
                run_id,
                f"{self._stage} {trials.kind} {number}, {history.trial.arm}",
                trials.kind,
                [self._stage, history.trial.arm],
                {**described, **history.trial.config.by_path()},
            )
        for metrics in history.epochs[epochs_before:]:
            trials.runs[number].log(_logged(metrics), step=metrics.epoch)
        if history.result:
            self._close(trials, number)

    def _close(self, trials: Trials, number: int) -> None:
        """End a trial's run: with its best epoch if it ended, as crashed if it did not."""
        run, history = trials.runs.pop(number), trials.histories[number]
        result = history.result
        run.summary["status"] = result.status if result else "interrupted"
        if result and result.best:
            run.summary.update({f"best.{name}": value for name, value in _logged(result.best).items()})
        if result and result.reason:
            run.summary["reason"] = result.reason
        run.finish(exit_code=0 if result and result.status in ("finished", "stopped") else 1)
        if result:
            self._written[run.id] = {"run": run.id, "as": _as_written(history), "mode": self._mode}
            append_line(self._written_file, self._written[run.id])

    def _is_written(self, run_id: str, history: History) -> bool:
        """Whether the trial stands there as it is; what was written offline is still to be sent to a server."""
        line = self._written.get(run_id, {})
        return line.get("as") == _as_written(history) and line.get("mode") in ("online", self._mode)

    def close(self) -> None:
        """Write what is missing, end every run that is open, then write the study's own."""
        for trials in self._trials:
            for number in trials.histories:
                self._try(functools.partial(self._leave, trials, number))
        report = read_report(self._folder)
        if report and report.selected:
            self._try(functools.partial(self._write_study, report, report.selected))

    def _leave(self, trials: Trials, number: int) -> None:
        self._bring_up(trials, number, len(trials.histories[number].epochs))
        if number in trials.runs:
            self._close(trials, number)

    def _write_study(self, report: Report, selected: Selected) -> None:
        """The report, its figures and tables, the best config, and the verifier as artefacts."""
        study = read_study(self._folder)
        manifest, score = study.manifest, report.measured.selected
        config = {"question": manifest.question, "budget": asdict(manifest.budget), "data": manifest.data.source}
        best = selected.config.by_path()
        run = self._open(
            f"{self._key}-study", f"{self._stage}/{self._name}", "study", [self._stage], {**config, **best}
        )
        told = {"verdict": report.verdict, "why": selected.why, "next": report.next, "adopted": selected.adopted}
        run.summary.update(told)
        if score:
            run.summary.update({"test.accuracy": score.accuracy, "test.jaccard": score.jaccard})
        shown = {path.stem: wandb.Image(str(path)) for path in sorted((self._folder / "figures").glob("*.png"))}
        page = wandb.Html((self._folder / "report.html").read_text(encoding="utf-8"), inject=False)
        table = study.trials.astype(object).where(study.trials.notna(), None)
        run.log({"report": page, "trials": wandb.Table(dataframe=table), **shown})
        self._log_files(
            run, "study", ["study.json", "best.json", "report.json", "report.html", "trials.csv", "epochs.csv"]
        )
        self._log_files(run, "model", ["verifier.safetensors", "verifier.json"])
        run.finish(exit_code=0)

    def _log_files(self, run: wandb.Run, kind: str, names: list[str]) -> None:
        there = [self._folder / name for name in names if (self._folder / name).exists()]
        if there:
            artefact = wandb.Artifact(f"{kind}-{self._key}", type=kind)
            for path in there:
                artefact.add_file(str(path))
            run.log_artifact(artefact)

    def _open(self, run_id: str, name: str, kind: str, tags: list[str], config: Mapping[str, Any]) -> wandb.Run:
        """Start a run, or go on with it."""
        for old in (self._folder / "wandb").glob(f"offline-run-*-{run_id}"):
            shutil.rmtree(old, ignore_errors=True)  # written again as a whole: offline files of one run do not add up
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run_id,
            name=name,
            group=f"{self._stage}/{self._name}",
            job_type=kind,
            tags=[tag[:64] for tag in tags],
            config=dict(config),
            dir=self._folder,
            resume="allow",
            settings=wandb.Settings(
                mode=self._mode,
                reinit="create_new",
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_disable_stats=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=TAKES_TOO_LONG,
                login_timeout=TAKES_TOO_LONG,
                finish_timeout=TAKES_TOO_LONG,
                finish_timeout_raises=True,
            ),
        )
        run.define_metric("*", step_metric="epoch")
        return run

    def _try(self, write: Callable[[], None]) -> None:
        """Write something online; where the server does not take it, write it offline, as all that follows."""
        try:
            write()
        except Exception as error:
            if self._mode == "offline":
                raise
            self._give_up_on_the_server(error)
            write()

    def _give_up_on_the_server(self, error: Exception) -> None:
        """Say what is wrong, and write everything from now on offline, in a wandb started anew."""
        self._tell(error)
        self._mode = "offline"
        with contextlib.suppress(Exception):
            wandb.teardown()  # an id that could not be started stays taken otherwise; and wandb may have died
        for trials in self._trials:
            trials.runs.clear()  # ended by this; each is written again as a whole when more of it is heard

    def _tell(self, error: Exception) -> None:
        """Say once what went wrong, in a line without the key."""
        if self._told:
            return
        self._told = True
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        key = os.environ.get("WANDB_API_KEY")
        said = said.replace(key, "...") if key else said
        print(
            f"Weights & Biases does not take the runs ({said}); they are kept in {self._folder / 'wandb'}", flush=True
        )

    def _id(self, kind: str, history: History) -> str:
        config = _digest(json.dumps(history.trial.config.identity(), sort_keys=True))
        return f"{self._key}-{kind}-{history.trial.number:04d}-{config[:6]}"


def _logged(epoch: EpochMetrics) -> dict[str, Any]:
    """An epoch as W&B takes it: a curve for each number, own scores among them."""
    return {**{name: value for name, value in epoch.to_dict().items() if name != "own"}, **epoch.own}


def _as_written(history: History) -> str:
    return f"{len(history.epochs)} epochs, {history.result.status if history.result else 'open'}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _wait_for_end_of_input(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main(argv: list[str] | None = None) -> int:
    """Write the runs of the study named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m studies.wandb_runs", description=__doc__)
    parser.add_argument("folder", type=user_path, metavar="STUDY", help="results/<stage>/<study>")
    parser.add_argument("mode", choices=("offline", "online"))
    parser.add_argument("--follow", action="store_true", help="go on reading until standard input ends")
    args = parser.parse_args(argv)
    os.environ.setdefault("WANDB_DATA_DIR", str(args.folder.absolute() / "wandb" / "data"))
    ended = threading.Event()
    if args.follow:
        os.nice(10)  # trials first
        threading.Thread(target=_wait_for_end_of_input, args=(ended,), daemon=True).start()
    else:
        ended.set()
    try:
        writer = Writer(args.folder, args.mode)
        while not ended.wait(PAUSE):
            writer.catch_up()
        writer.catch_up()
        writer.close()
    except InputError as error:
        print(f"python -m studies.wandb_runs: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        what = error.strerror or error
        print(f"python -m studies.wandb_runs: {error.filename or args.folder}: {what}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
