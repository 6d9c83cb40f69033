"""The trainable as Ray drives it, without Ray: setup, steps, reset, checkpoint."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from trainables.checkpoint import from_bytes
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, Metric
from trainables.siamese import Siamese
from trainables.task import Task
from trainables.training import Run, train
from trainables.trial import TaskTrial

A = TrialConfig().override({"epochs": 3, "optimiser.lr": 0.003, "seed": 1, "augmentation.theta": 0.5})
B = TrialConfig().override({"epochs": 2, "optimiser.lr": 0.001, "seed": 2})


class Memory:
    """A store that keeps everything in this process."""

    def __init__(self):
        self.files, self.kept = {}, []

    def read(self, path):
        return self.files.get(path)

    def write(self, path, content):
        self.files[path] = content
        if path.startswith("state"):
            self.kept.append(from_bytes(content, A)[0].epoch)


class Scored(Task):
    """A task whose epochs have the scores that it is made with, as a user's libraries give them."""

    config = TrialConfig

    def __init__(self, *scores):
        self.scores = scores

    def start(self, config, data, device):
        return torch.nn.Linear(1, 1)

    def train(self, config, data, run):
        for number, score in enumerate(self.scores, 1):
            yield EpochMetrics(number, np.float32(0.5), np.float32(0.25), own={"val_f1": score})


def ray_config(config, number=0):
    files = {"state": f"state {number}", "weights": f"weights {number}"}
    return {"number": number, "config": config.to_dict(), "metric": {"name": "val_loss", "goal": "min"}, **files}


def started(config, data, store=None, number=0, task=None):
    made = TaskTrial.__new__(TaskTrial)  # Ray's constructor wants a Ray session
    made.setup(ray_config(config, number), task or Siamese(), data, store or Memory())
    return made


@pytest.fixture
def trial(trial_data):
    return started(A, trial_data)


def run(trial):
    results = [trial.step()]
    while not results[-1]["done"]:
        results.append(trial.step())
    return results


def figures(results):
    return [(r["epoch"], r["train_loss"], r["val_loss"]) for r in results]


def test_steps_are_the_epochs_of_train(trial, device_data):
    """Each step is one epoch of train(config, data), the last one carries done."""
    results = run(trial)
    assert figures(results) == [(m.epoch, m.train_loss, m.val_loss) for m in train(A, device_data)]
    assert [result["done"] for result in results] == [False, False, True]


def test_scores_of_a_task_of_one_s_own_are_plain_numbers_or_end_the_trial():
    """NumPy's numbers are written as any others; one that is not finite makes the trial infeasible, and says which."""
    made = started(B, None, task=Scored(np.float32(0.75), float("nan")))
    first = made.step()
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert (first["own"], first["train_loss"], first["done"]) == ({"val_f1": 0.75}, 0.5, False)
    assert made.step() == {"infeasible": "val_f1 not finite in epoch 2", "done": True}


def test_an_epoch_without_a_score_that_was_declared_says_which_is_missing():
    """Also where the stage chooses by one of the verifier's figures that this task does not measure."""
    task = Scored(0.5)
    task.metrics = ("val_f1", "val_recall")
    with pytest.raises(ValueError, match=r"declares val_recall in `metrics`, and epoch 1 has none"):
        started(B, None, task=task).step()
    made = started(B, None, task=Scored(0.5))
    made.metric = Metric("val_accuracy", "max")
    with pytest.raises(ValueError, match="epoch 1 has no val_accuracy, by which the stage chooses"):
        made.step()


@pytest.mark.parametrize("numbers", [(0, 1), (5, 10), (1, 1), (1, 3)])
def test_epochs_that_are_not_numbered_in_turn_are_refused(numbers):
    """A record of them could not be read: the trial fails with a line that says how to number them."""
    task = Scored()
    task.train = lambda config, data, run: (EpochMetrics(number, 0.5, 0.5) for number in numbers)
    made = started(B, None, task=task)
    with pytest.raises(ValueError, match=r"epoch \d+ after \d: a task numbers its epochs from 1, each once"):
        for _ in numbers:
            made.step()


def test_a_reused_process_trains_as_a_fresh_one(trial, trial_data):
    """Config B after A in one process equals B in a new process, to the bit."""
    run(trial)
    assert trial.reset_config(ray_config(B, 1))
    assert figures(run(trial)) == figures(run(started(B, trial_data)))


def test_the_weights_kept_are_the_best_epoch_s_with_their_config(trial, device_data, tmp_path):
    """The file holds the weights after the epoch of lowest validation loss, as plain tensors, and the config as text."""
    results = run(trial)
    (tmp_path / "weights").write_bytes(trial.store.files["weights 0"])
    best = min(results, key=lambda result: result["val_loss"])["epoch"]
    reference = Run.fresh(A)
    for _ in zip(range(best), train(A, device_data, reference), strict=False):
        pass
    with safe_open(tmp_path / "weights", "pt") as file:
        assert TrialConfig.from_dict(json.loads(file.metadata()["config"])) == A
        for name, weight in reference.networks[0].state_dict().items():
            assert torch.equal(file.get_tensor(name), weight)


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_a_state_is_kept_when_it_is_due_and_never_ahead_of_what_was_reported(trial, seconds):
    """With no time between checkpoints each step begins by keeping the epoch reported before; with much time none does."""
    trial.save_every = seconds
    kept = []
    for step in range(3):
        trial.step()
        kept.append(list(trial.store.kept))
        assert all(epoch <= step for epoch in trial.store.kept)
    assert kept == ([[], [1], [1, 2]] if seconds == 0 else [[], [], []])


def test_a_lost_worker_s_trial_goes_on_elsewhere_to_the_bit(trial, trial_data):
    """Kept after one epoch and taken up in another process, a trial gives the epochs that it would have given."""
    trial.save_every = 0.0
    trial.step(), trial.step()
    store = Memory()
    store.files = dict(trial.store.files)
    elsewhere = started(B, trial_data, store, number=1)
    elsewhere.reset_config(ray_config(A))
    untouched = figures(run(started(A, trial_data)))
    assert figures(run(elsewhere)) == untouched[1:]
    run(trial)
    assert elsewhere.store.files["weights 0"] == trial.store.files["weights 0"]
