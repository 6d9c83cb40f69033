"""Several Ray nodes on one machine: where trials run, GPUs that are only counted, a node that dies in mid-sweep."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import ray
import torch
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.cluster_utils import Cluster as RayCluster

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.event_record import Files, Record
from studies.cluster import ray_cluster
from studies.phase import Phase
from studies.resources import Resources, fit_resources
from studies.suggest import Suggester
from studies.tuner import TrialRun, run_trials
from tests.command import ROOT
from tests.studies.bowl import Bowl
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.siamese import Siamese
from trainables.trial import TaskTrial

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EPOCHS = 4
STUDY = Study(stage_named("lr"), "s", TrialConfig(), Budget(6, EPOCHS))


class Located(TaskTrial):
    """The real trainable, which also writes down where each epoch was trained, and whether the study's disk is there."""

    def setup(self, config, data, **rest):
        self.log, self.study = Path(data["log"]), Path(data["study"])
        super().setup(config, task=Siamese(), data=data["chips"], **rest)

    def step(self):
        result = super().step()
        node = ray.get_runtime_context().get_node_id()
        with open(self.log, "a") as file:
            file.write(f"{node},{self.number},{self.run.epoch},{int(self.study.exists())}\n")
        time.sleep(0.15)
        return result


class Counted(Bowl):
    """A bowl that writes down which GPU it was given; the first four meet there; for the last its GPU is too small."""

    def setup(self, config, data, store, threads, device, save_every):
        self.log, self.device = Path(data["log"]), device
        super().setup(config, {"offset": 1.0}, store, threads, device, save_every)

    def step(self):
        self.epoch += 1
        if self.number == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        if self.epoch == 1:
            with open(self.log, "a") as file:
                gpus = "+".join(map(str, ray.get_gpu_ids()))
                file.write(f"{self.number},{gpus},{self.device},{os.environ['CUDA_VISIBLE_DEVICES']}\n")
            deadline = time.monotonic() + 60
            while len(self.log.read_text().splitlines()) < 4 and time.monotonic() < deadline:
                time.sleep(0.05)
        measured = dict.fromkeys(("train_loss", "val_loss", "val_accuracy", "val_jaccard", "val_cosine", "lr"), 0.5)
        return measured | {"epoch": self.epoch, "seconds": 0.3, "done": self.epoch == EPOCHS}


def sweep(folder, cluster, trainable, data, wanted, count, *others):
    """Run `count` trials as a study does; return how it ended and the record."""
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(Files.of_search(folder), STUDY.stage.metric, [p.path for p in STUDY.stage.varied])
    suggester = Suggester(STUDY, folder / "optuna.journal", record.histories)
    outcome = run_trials(
        TrialRun(
            trainable,
            data,
            STUDY.stage.metric,
            fit_resources(wanted, cluster),
            folder / "ray",
            [Phase(suggester, range(count), [record, suggester, *others], folder / "states")],
        )
    )
    return outcome, record


@pytest.fixture
def nodes():
    """A head that offers no CPU, as `ray start --head --num-cpus 0` makes it, to which a test adds nodes."""
    made = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield made
    ray.shutdown()
    made.shutdown()


def figures(folder):
    """The study's tables without the times."""
    trials = pd.read_csv(folder / "trials.csv").drop(columns="seconds").sort_values("trial", ignore_index=True)
    epochs = pd.read_csv(folder / "epochs.csv").drop(columns="seconds")
    return trials, epochs.sort_values(["trial", "epoch"], ignore_index=True)


@pytest.fixture(scope="module")
def undisturbed(trial_data, tmp_path_factory):
    """The same six trials on this machine's own Ray."""
    folder = tmp_path_factory.mktemp("undisturbed")
    data = {"chips": trial_data, "log": str(folder / "log"), "study": "nowhere"}
    with ray_cluster() as cluster:
        sweep(folder, cluster, Located, data, Resources(max_concurrent=2), 6)
    return figures(folder)


def kill_in_mid_sweep(nodes, doomed, log):
    """Kill a node once three trials have trained two epochs or more; return the thread that waits for it."""

    def wait_and_kill():
        while not log.exists() or sum(",2," in line for line in log.read_text().splitlines()) < 3:
            time.sleep(0.02)
        nodes.remove_node(doomed, allow_graceful=False)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def test_a_killed_node_costs_no_trial_and_no_epoch(nodes, undisturbed, trial_data, tmp_path):
    """Trials run on both worker nodes and not on the head; one node is killed; every figure is as if it had not been."""
    doomed = nodes.add_node(num_cpus=1)
    nodes.add_node(num_cpus=1)
    log = tmp_path / "log"
    data = {"chips": trial_data, "log": str(log), "study": "nowhere"}
    killer = kill_in_mid_sweep(nodes, doomed, log)
    with ray_cluster(nodes.address) as cluster:
        assert (cluster.cpus, len(cluster.nodes), cluster.joined) == (2.0, 3, True)
        head = ray.get_runtime_context().get_node_id()
        outcome, record = sweep(tmp_path / "s", cluster, Located, data, Resources(save_every=0.0), 6)
    assert not killer.is_alive()
    assert outcome == "whole"
    assert {history.result.status for history in record.done.values()} == {"finished"}
    for ours, theirs in zip(figures(tmp_path / "s"), undisturbed, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    steps = pd.read_csv(log, names=["node", "trial", "epoch", "disk"])
    assert steps["node"].nunique() == 2
    assert head not in set(steps["node"])
    again = steps.groupby(["trial", "epoch"]).size() - 1
    assert again.sum() <= 2  # what the killed node had in hand; no trial began anew


def unshared(mount, address):
    """A Ray node with a file system of its own where `mount` is; None without the right to mount."""
    ray_command = Path(sys.executable).with_name("ray")
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        return None
    command = f"mount -t tmpfs tmpfs {mount} && exec {ray_command} start --address={address} --num-cpus=1 --block"
    return subprocess.Popen(
        ["unshare", "-m", "sh", "-c", command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_node_that_shares_no_disk_trains_all_the_same(nodes, undisturbed, trial_data, tmp_path):
    """A node whose file system does not have the study folder trains, keeps checkpoints and goes on from them."""
    results = tmp_path / "results"
    results.mkdir()
    node = unshared(results, nodes.address)
    if node is None:
        pytest.skip("needs the right to mount a file system")
    try:
        data = {"chips": trial_data, "log": str(tmp_path / "log"), "study": str(results / "s" / "search.jsonl")}
        nodes.wait_for_nodes()
        deadline = time.monotonic() + 60
        cpus = 0
        while cpus < 1 and time.monotonic() < deadline:
            time.sleep(0.5)
            with ray_cluster(nodes.address) as cluster:
                cpus = cluster.cpus
        kept = Kept(results / "s" / "states")
        with ray_cluster(nodes.address) as cluster:
            outcome, _ = sweep(results / "s", cluster, Located, data, Resources(save_every=0.0), 6, kept)
        assert outcome == "whole"
        for ours, theirs in zip(figures(results / "s"), undisturbed, strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        steps = pd.read_csv(tmp_path / "log", names=["node", "trial", "epoch", "disk"])
        assert set(steps["disk"]) == {0}
        assert kept.seen  # on the driver's disk
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(30)


class Kept:
    """An observer that looks whether the driver's disk has checkpoints."""

    def __init__(self, states):
        self.states, self.seen = states, set()

    def started(self, trial, ray_id):
        pass

    def ended(self, result, epochs):
        pass

    def epoch(self, trial, metrics):
        self.seen |= {path.name for path in self.states.glob("*.safetensors")}


def test_trials_lie_evenly_on_counted_gpus(nodes, tmp_path):
    """Four trials at once on a node of two GPUs are two a GPU, each sees its own alone; one out of memory fails by itself."""
    nodes.add_node(num_cpus=4, num_gpus=2)
    log = tmp_path / "log"
    with ray_cluster(nodes.address) as cluster:
        wanted = Resources(gpus_per_trial=0.125)
        outcome, record = sweep(tmp_path / "s", cluster, Counted, {"log": str(log)}, wanted, 6)
    assert outcome == "whole"
    status = {number: history.result.status for number, history in record.done.items()}
    assert status == dict.fromkeys(range(6), "finished") | {5: "failed"}
    assert "out of memory" in record.done[5].result.reason
    begun = pd.read_csv(log, names=["trial", "gpu", "device", "visible"])
    assert Counter(begun["gpu"][:4]) == {0: 2, 1: 2}
    assert (begun["gpu"] == begun["visible"]).all()
    assert set(begun["device"]) == {"cuda"}


def test_waiting_trials_run_on_nodes_that_come_later(nodes, trial_data, tmp_path):
    """On a cluster without a CPU, two trials asked for at once wait, as an autoscaler needs it, and run once a node joins."""
    came, ray_command = [], Path(sys.executable).with_name("ray")
    assert ray_command.exists()  # else the trials would wait for ever

    def join():
        time.sleep(3)
        command = [ray_command, "start", f"--address={nodes.address}", "--num-cpus=2", "--block"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        came.append(subprocess.Popen(command, start_new_session=True, **quiet))

    with ray_cluster(nodes.address) as cluster:
        assert cluster.cpus == 0
        threading.Thread(target=join).start()
        data = {"chips": trial_data, "log": str(tmp_path / "log"), "study": "nowhere"}
        outcome, record = sweep(tmp_path / "s", cluster, Located, data, Resources(max_concurrent=2), 2)
    os.killpg(came[0].pid, signal.SIGTERM)
    came[0].wait(30)
    assert outcome == "whole"
    assert {history.result.status for history in record.done.values()} == {"finished"}


def test_the_cluster_file_of_the_docs_is_one_that_ray_takes():
    """docs/cluster.yaml passes Ray's own check, its head takes no trials, and its workers start from none."""
    described = prepare_config(yaml.safe_load((ROOT / "docs" / "cluster.yaml").read_text()))
    validate_config(described)
    kinds = described["available_node_types"]
    assert kinds[described["head_node_type"]]["resources"]["CPU"] == 0
    assert kinds["worker"]["min_workers"] == 0


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999999999", "no..host:6379", f"{'h' * 70}:6379", "x"])
def test_an_address_where_no_ray_answers_is_one_line(address):
    """A wrong --address is an input error that names it, also where it could be no host's."""
    with pytest.raises(InputError) as caught, ray_cluster(address):
        pass
    assert str(caught.value).startswith(f"--address {address}: no Ray cluster answers there")
