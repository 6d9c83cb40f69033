"""Before a study goes on: what lies beside its records is brought to where the records are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from search_spaces.study import Study
from storage.event_record import Files, Record
from studies.checkpoint_store import trial_file
from studies.session import say
from studies.suggest import disagreements
from trainables.task import Task


def repair_search(record: Record, study: Study, folder: Path, given_up: Sequence[int], task: Task) -> None:
    """Bring everything beside the record of the search to where it is, and say in one line what was found."""
    if not record.histories:
        return
    drop_damaged_states(record, folder / "states" / "search", task)
    reopen_given_up(record, given_up)
    left = max(0, study.budget.trials - len(record.histories))  # by minutes, not planned yet, as many as fill the CPUs
    found = f"record: {len(record.done)} trials ended, {len(record.open)} begun, {left} to begin"
    wrong = disagreements(folder / "optuna.journal", record.histories)
    ray = "Ray's leftovers removed" if (folder / "ray").exists() else "nothing left of Ray"
    shutil.rmtree(folder / "ray", ignore_errors=True)
    say(f"{found}; Optuna's storage made anew from it ({wrong} trials differed); {ray}")


def repair_retraining(record: Record, folder: Path, given_up: Sequence[int], task: Task) -> None:
    """Open again those runs under new seeds that left less behind than they should have."""
    drop_damaged_states(record, folder / "states" / "retrain", task)
    ended = [n for n, history in record.done.items() if history.result and history.result.status == "finished"]
    # weights are kept before an end is written down; they may have been lost or removed since
    record.reopen([number for number in ended if not trial_file(folder / "checkpoints", number).exists()])
    reopen_given_up(record, given_up)


def reopen_given_up(record: Record, given_up: Sequence[int]) -> None:
    """Try again what failed when the run was last given up, or if all did: whatever it was may have been mended."""
    failed = [number for number, history in record.done.items() if history.result and history.result.status == "failed"]
    record.reopen([number for number in failed if number in given_up or len(failed) == len(record.done)])


def drop_damaged_states(record: Record, states: Path, task: Task) -> None:
    """Remove checkpoints of open trials that cannot be gone on from, and say which."""
    for number, history in record.open.items():
        path = trial_file(states, number)
        try:
            if path.exists():
                run, best = task.resume(path.read_bytes(), history.trial.config, "cpu")
                reached = task.reached(run, best)
                if reached > len(history.epochs):  # after a power cut: the record's last lines were lost
                    raise ValueError(f"it has {reached} epochs, the record {len(history.epochs)}")
        except ValueError as error:
            say(f"note: {path}: {error}; trial {number} starts again")
            path.unlink()


def remove_retraining(folder: Path) -> None:
    """Remove the runs under new seeds: with more trials other candidates are raced, and seeds mean something else."""
    files = Files.of_repeats(folder)
    for file in (files.record, files.trials, files.epochs):
        file.unlink(missing_ok=True)
    for kept in (folder / "checkpoints", folder / "states" / "retrain"):
        shutil.rmtree(kept, ignore_errors=True)
