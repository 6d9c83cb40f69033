"""A real local Ray running small trainables with known answers."""

import errno
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from studies.cluster import ray_cluster
from studies.phase import Phase
from studies.resources import Resources, fit_resources
from studies.retry import RETRIES
from studies.suggest import Suggester, journal_states
from studies.tuner import TrialRun, run_trials
from tests.studies.bowl import EPOCHS, Bowl
from trainables.config import TrialConfig
from trainables.errors import Halted

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STUDY = Study(stage_named("lr"), "s", TrialConfig(), Budget(9, EPOCHS))


class Notes:
    """Writes down what it hears."""

    def __init__(self):
        self.heard, self.results = [], {}

    def started(self, trial, ray_id):
        self.heard.append(("started", trial.number))

    def epoch(self, trial, metrics):
        self.heard.append(("epoch", trial.number, metrics.epoch))

    def ended(self, result, epochs):
        self.heard.append(("ended", result.trial.number))
        self.results[result.trial.number] = (result, list(epochs))


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ran(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    suggester = Suggester(STUDY, folder / "journal")
    notes = Notes()
    whole = run_trials(
        TrialRun(
            trainable=Bowl,
            data={"offset": 1.0},
            metric=STUDY.stage.metric,
            resources=fit_resources(Resources(max_concurrent=2), cluster),
            scratch=folder / "ray",
            phases=[Phase(suggester, range(9), [notes, suggester], folder / "states")],
        )
    )
    return notes, whole, folder


def test_every_trial_ends_once_with_its_status(ran):
    """Nine trials end once each: one infeasible, one failed with its reason, the rest finished with every epoch."""
    notes, whole, _ = ran
    assert whole == "whole"
    assert sorted(n for event, n, *_ in notes.heard if event == "ended") == list(range(9))
    status = {number: result.status for number, (result, _) in notes.results.items()}
    assert status == dict.fromkeys(range(9), "finished") | {2: "infeasible", 3: "failed"}
    assert "disk on fire" in notes.results[3][0].reason
    assert notes.results[2][0].reason == "loss not finite in epoch 2"
    for number, (result, epochs) in notes.results.items():
        if status[number] == "finished":
            assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
            assert result.best.epoch == 3
            assert result.best.val_loss == pytest.approx((result.trial.config.optimiser.lr - 0.01) ** 2 + 1 - 0.03)


def test_events_of_a_trial_come_in_order(ran):
    """Started, its epochs one by one, ended: for every trial."""
    notes, _, _ = ran
    for number in (0, 1, 8):
        own = [event for event in notes.heard if event[1] == number]
        assert own == [("started", number), *[("epoch", number, e) for e in (1, 2, 3)], ("ended", number)]


def test_worker_processes_are_reused(ran):
    """Two run at once and an exception costs a process, as each attempt of trial 3 does: no other trial asks for a new one."""
    notes, _, _ = ran
    pids = {epochs[0].seconds for number, (_, epochs) in notes.results.items() if number not in (2, 3)}
    assert len(pids) <= 2 + (1 + RETRIES) < 7


def test_trials_run_at_the_priority_of_the_command(ran):
    """Inside a trial the niceness is the driver's own, not Ray's 15, at which a busy machine hardly runs it."""
    notes, _, _ = ran
    assert {epoch.val_cosine for _, epochs in notes.results.values() for epoch in epochs} == {float(os.nice(0))}


def test_ray_leaves_no_files_behind(ran):
    """The scratch folder of Ray's own state is gone after the run."""
    _, _, folder = ran
    assert sorted(path.name for path in folder.iterdir()) == ["journal"]


def test_asha_stops_weak_trials_which_end_as_stopped(cluster, tmp_path):
    """With ASHA some trials end early, as `stopped` with the epochs they had, PRUNED in Optuna; the next phase's do not."""
    suggester = Suggester(STUDY, tmp_path / "journal")
    notes, whole = Notes(), Notes()
    run_trials(
        TrialRun(
            Bowl,
            {"offset": 0.0},
            STUDY.stage.metric,
            fit_resources(Resources(max_concurrent=1), cluster),
            tmp_path / "ray",
            [
                Phase(
                    suggester, range(9), [notes, suggester], tmp_path / "states", scheduler="asha", max_epochs=EPOCHS
                ),
                Phase(suggester, range(9, 12), [whole], tmp_path / "states"),
            ],
        )
    )
    stopped = [number for number, (result, _) in notes.results.items() if result.status == "stopped"]
    assert stopped
    assert all(0 < notes.results[number][0].epochs < EPOCHS for number in stopped)
    states = {t["trial"]: t["state"] for arm in journal_states(tmp_path / "journal").values() for t in arm}
    assert {states[number] for number in stopped} == {"PRUNED"}
    assert {number: result.epochs for number, (result, _) in whole.results.items()} == {9: 3, 10: 3, 11: 3}


def test_a_phase_follows_from_the_one_before_in_the_same_workers(cluster, tmp_path):
    """A phase is asked for when every trial of the one before has ended, and runs in a process that was there.

    Two run at once: without an exception there are no more processes than that.
    """
    suggester, first, second, heard = Suggester(STUDY, tmp_path / "journal"), Notes(), Notes(), []

    def phases():
        yield Phase(suggester, range(2), [first], tmp_path / "one")
        heard.extend(sorted(first.results))
        yield Phase(suggester, range(4, 7), [second], tmp_path / "two")

    resources = fit_resources(Resources(max_concurrent=2), cluster)
    run = TrialRun(Bowl, {"offset": 1.0}, STUDY.stage.metric, resources, tmp_path / "ray", phases())
    assert run_trials(run) == "whole"
    assert heard == [0, 1]
    assert sorted(second.results) == [4, 5, 6]
    processes = [{epochs[0].seconds for _, epochs in notes.results.values()} for notes in (first, second)]
    assert processes[0] & processes[1]
    assert len(processes[0] | processes[1]) <= 2


def test_workers_that_died_between_phases_cost_no_trial(cluster, tmp_path):
    """The trials that are handed to dead workers are handed to new ones, and finish."""
    suggester, first, second = Suggester(STUDY, tmp_path / "journal"), Notes(), Notes()

    def phases():
        yield Phase(suggester, range(2), [first], tmp_path / "one")
        for worker in {int(epochs[0].seconds) for _, epochs in first.results.values()}:
            os.kill(worker, signal.SIGKILL)
        yield Phase(suggester, range(4, 7), [second], tmp_path / "two")

    resources = fit_resources(Resources(max_concurrent=2), cluster)
    run = TrialRun(Bowl, {"offset": 1.0}, STUDY.stage.metric, resources, tmp_path / "ray", phases())
    assert run_trials(run) == "whole"
    assert {number: result.status for number, (result, _) in second.results.items()} == dict.fromkeys(
        (4, 5, 6), "finished"
    )


# --- what goes wrong -------------------------------------------------------------------------------------------------


class Faulty:
    """An observer that fails once, at the third time that one of its hooks is called, as a full disk would make it."""

    def __init__(self, hook):
        self.calls = 0
        setattr(self, hook, self.fail)

    def fail(self, *_):
        self.calls += 1
        if self.calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "trials.csv")

    def started(self, trial, ray_id):
        pass

    def epoch(self, trial, metrics):
        pass

    def ended(self, result, epochs):
        pass


def recorded(folder, cluster, *others, trainable=Bowl, count=9):
    """Run what the record in `folder` says is left of nine trials; return outcome and record."""
    record = Record(Files.of_search(folder), STUDY.stage.metric, [p.path for p in STUDY.stage.varied])
    suggester = Suggester(STUDY, folder / "journal", record.histories)
    run = TrialRun(
        trainable,
        {"offset": 1.0, "flag": str(folder / "flag")},
        STUDY.stage.metric,
        fit_resources(Resources(max_concurrent=2), cluster),
        folder / "ray",
        [Phase(suggester, record.missing(count), [record, suggester, *others], folder / "states", begun=record.open)],
    )
    return run_trials(run), record


@pytest.mark.parametrize("hook", ["started", "epoch", "ended"])
def test_a_fault_in_any_hook_halts_the_run_and_loses_nothing(cluster, tmp_path, hook):
    """An observer whose hook fails stops the run with one line; the record is whole, and going on ends every trial once."""
    with pytest.raises(Halted, match=r"trials.csv cannot be written \(No space left on device\)"):
        recorded(tmp_path, cluster, Faulty(hook))
    outcome, record = recorded(tmp_path, cluster)
    assert outcome == "whole"
    status = {number: history.result.status for number, history in record.done.items()}
    assert status == dict.fromkeys(range(9), "finished") | {2: "infeasible", 3: "failed"}
    assert all([e.epoch for e in h.epochs] == [1, 2, 3] for n, h in record.done.items() if n not in (2, 3))
    rows = pd.read_csv(tmp_path / "trials.csv")
    assert sorted(rows["trial"]) == list(range(9))
    assert not pd.read_csv(tmp_path / "epochs.csv").duplicated(["trial", "epoch"]).any()
    stored = {t["trial"]: t["state"] for arm in journal_states(tmp_path / "journal").values() for t in arm}
    assert stored == dict.fromkeys(range(9), "COMPLETE") | {2: "FAIL", 3: "FAIL"}


class Broken(Bowl):
    """Breaks in its first step, whatever the config."""

    def step(self):
        raise ValueError("no such device")


def test_a_hopeless_start_is_given_up(cluster, tmp_path):
    """If the first three trials to end have all failed after their retries, the other six are not tried."""
    outcome, record = recorded(tmp_path, cluster, trainable=Broken)
    assert outcome == "hopeless"
    assert len(record.done) == 3
    assert {history.result.status for history in record.done.values()} == {"failed"}
    assert all("no such device" in history.result.reason for history in record.done.values())


class Stumbling(Bowl):
    """Every trial's first worker dies in the second epoch, as out of memory would kill it."""

    def setup(self, config, data, store, threads, device, save_every):
        self.flag = data["flag"]
        super().setup(config, data, store, threads, device, save_every)

    def step(self):
        flag = f"{self.flag}{self.number}"
        if self.epoch == 1 and not Path(flag).exists():
            Path(flag).touch()
            os._exit(1)
        return super().step()


def test_a_dead_worker_s_trial_is_tried_again(cluster, tmp_path):
    """A trial whose worker process dies is started again and finishes, with each epoch once in the record."""
    outcome, record = recorded(tmp_path, cluster, trainable=Stumbling, count=2)
    assert outcome == "whole"
    assert [history.result.status for history in record.done.values()] == ["finished", "finished"]
    assert all([e.epoch for e in history.epochs] == [1, 2, 3] for history in record.done.values())


def test_each_optuna_trial_carries_both_numbers(ran):
    """Every trial in the storage has our number and Ray's id, all different."""
    _, _, folder = ran
    trials = [trial for arm in journal_states(folder / "journal").values() for trial in arm]
    assert sorted(trial["trial"] for trial in trials) == list(range(9))
    assert len({trial["ray"] for trial in trials}) == 9
    assert all(trial["ray"] for trial in trials)
