"""The trainable as Ray drives it, without Ray: setup, steps, reset, checkpoint."""

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open

from trainables.config import TrialConfig
from trainables.siamese import STATE, WEIGHTS, SiameseTrial
from trainables.training import Run, train

A = TrialConfig().override({"epochs": 3, "optimiser.lr": 0.003, "seed": 1, "augmentation.theta": 0.5})
B = TrialConfig().override({"epochs": 2, "optimiser.lr": 0.001, "seed": 2})


def ray_config(config):
    return {"config": config.to_dict(), "metric": {"name": "val_loss", "goal": "min"}}


@pytest.fixture
def trial(trial_data, monkeypatch):
    made = SiameseTrial.__new__(SiameseTrial)  # Ray's constructor wants a Ray session
    made.setup(ray_config(A), trial_data)
    return made


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


def test_a_reused_process_trains_as_a_fresh_one(trial, trial_data):
    """Config B after A in one process equals B in a new process, to the bit."""
    run(trial)
    assert trial.reset_config(ray_config(B))
    fresh = SiameseTrial.__new__(SiameseTrial)
    fresh.setup(ray_config(B), trial_data)
    assert figures(run(trial)) == figures(run(fresh))


def test_the_checkpoint_is_the_best_epoch_with_its_config(trial, device_data, tmp_path):
    """The file holds the weights after the epoch of lowest validation loss, as plain tensors, and the config as text."""
    results = run(trial)
    trial.save_checkpoint(str(tmp_path))
    best = min(results, key=lambda result: result["val_loss"])["epoch"]
    reference = Run.fresh(A)
    for _ in zip(range(best), train(A, device_data, reference), strict=False):
        pass
    with safe_open(tmp_path / WEIGHTS, "pt") as file:
        assert TrialConfig.from_dict(json.loads(file.metadata()["config"])) == A
        for name, weight in reference.networks[0].state_dict().items():
            assert torch.equal(file.get_tensor(name), weight)


def test_a_diverged_trial_reports_a_reason_and_no_number(trial):
    """Divergence ends the trial with `infeasible` and `done`, and without any metric."""
    config = dataclasses.replace(A, optimiser=dataclasses.replace(A.optimiser, lr=1e30))
    trial.reset_config(ray_config(config.override({"init.kind": "he"})))
    last = run(trial)[-1]
    assert last["done"]
    assert "not finite" in last["infeasible"]
    assert "val_loss" not in last


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_a_checkpoint_is_asked_for_when_it_is_due(trial, seconds):
    """With no time between checkpoints every step but the last asks for one; with much time none does."""
    trial.save_every = seconds
    asked = [result["should_checkpoint"] for result in run(trial)]
    assert asked == ([True, True, False] if seconds == 0 else [False] * 3)


def test_a_lost_worker_s_trial_goes_on_elsewhere_to_the_bit(trial, trial_data, tmp_path):
    """Saved after one epoch and loaded in another process, a trial gives the epochs that it would have given."""
    trial.step()
    trial.save_checkpoint(str(tmp_path))
    assert (tmp_path / STATE).exists()
    elsewhere = SiameseTrial.__new__(SiameseTrial)
    elsewhere.setup(ray_config(B), trial_data)
    elsewhere.reset_config(ray_config(A))
    elsewhere.load_checkpoint(str(tmp_path))
    assert figures(run(elsewhere)) == figures(run(trial))
    assert elsewhere.best.epoch.val_loss == trial.best.epoch.val_loss
