import dataclasses

import numpy as np
import pytest
from scipy.stats import qmc

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import SAMPLERS, Study
from search_spaces.suggest import Suggester, journal_states
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, TrialResult

LR = stage_named("lr")
STUDY = Study(LR, "s", TrialConfig(), Budget(30, 5))


def metrics(epoch, loss):
    return EpochMetrics(epoch, loss, loss, 0.5, 0.5, 0.5, 0.1, 1.0)


def result(trial, status="finished", loss=0.5, epochs=5):
    return TrialResult(trial, status, epochs, metrics(1, loss) if epochs else None, 1.0)


def suggestions(study, journal, count, in_flight=1):
    """Ask for `count` trials with `in_flight` of them open at a time; return their overrides."""
    suggester = Suggester(study, journal)
    open_trials, asked = [], []
    for number in range(count):
        if len(open_trials) == in_flight:
            suggester.ended(result(open_trials.pop(0)), [])
        asked.append(suggester.ask(number))
        open_trials.append(asked[-1])
    return [trial.overrides for trial in asked]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_lie_in_their_arms_ranges(tmp_path, sampler):
    """Every suggestion after the incumbent has its arm's parameters, each inside its range."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    for number, overrides in enumerate(suggestions(study, tmp_path / "j", 18)):
        arm = study.arm_of(number)
        assert set(overrides) == {*arm.values, *(p.path for p in arm.nuisance)}
        if number:
            assert all(p.domain.contains(overrides[p.path]) for p in arm.nuisance)


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_suggestions_do_not_depend_on_how_many_run_at_once(tmp_path, sampler):
    """One at a time or eight at once, the k-th trial has the same values."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    assert suggestions(study, tmp_path / "a", 24, 1) == suggestions(study, tmp_path / "b", 24, 8)


def test_quasi_random_points_are_evener_than_random_ones(tmp_path):
    """In every arm, with eight in flight, 40 points from the first on have under half the discrepancy of random ones."""
    spread = {}
    for sampler in ("qmc", "random"):
        study = dataclasses.replace(STUDY, sampler=sampler)
        asked = suggestions(study, tmp_path / sampler, 121, in_flight=8)
        for arm in study.arms():
            points = [
                [p.domain.position(overrides[p.path]) for p in arm.nuisance]
                for overrides in asked[1:]
                if overrides["schedule.kind"] == arm.name
            ]
            spread[sampler, arm.name] = qmc.discrepancy(np.array(points)[:40])
    for arm in STUDY.arms():
        assert spread["qmc", arm.name] < 0.5 * spread["random", arm.name]


def test_an_incumbent_inside_the_space_is_told_to_the_sampler(tmp_path):
    """A start with weight decay in range enters Optuna with its values; the baseline's 0 does not, but is run."""
    inside = TrialConfig().override({"optimiser.weight_decay": 1e-4})
    for start, params in ((inside, {"optimiser.lr": 0.001, "optimiser.weight_decay": 1e-4}), (TrialConfig(), {})):
        journal = tmp_path / f"{len(params)}"
        suggester = Suggester(dataclasses.replace(STUDY, start=start), journal)
        trial = suggester.ask(0)
        suggester.ended(result(trial), [])
        assert trial.config.override({"seed": 0, "epochs": 20}) == start
        assert journal_states(journal)["lr/s/constant"][0]["params"] == params


def test_optuna_is_told_the_truth(tmp_path):
    """Finished is COMPLETE with its best value, stopped PRUNED, diverged and failed FAIL."""
    suggester = Suggester(STUDY, tmp_path / "j")
    trials = [suggester.ask(number) for number in range(8)]
    for trial, status in zip(trials, ["finished", "stopped", "infeasible", "failed"] * 2, strict=True):
        epochs = [metrics(1, 0.9), metrics(2, 0.4)] if status in ("finished", "stopped") else []
        suggester.ended(result(trial, status, loss=0.4), epochs)
    states = {t["trial"]: (t["state"], t["value"]) for arm in journal_states(tmp_path / "j").values() for t in arm}
    expected = {
        "finished": ("COMPLETE", 0.4),
        "stopped": ("PRUNED", 0.4),
        "infeasible": ("FAIL", None),
        "failed": ("FAIL", None),
    }
    for number, status in enumerate(["finished", "stopped", "infeasible", "failed"] * 2):
        assert states[number] == expected[status]


def test_tpe_learns_from_what_it_is_told(tmp_path):
    """On a bowl in log lr, the last 20 of 60 TPE suggestions an arm lie twice as near the bottom as random ones."""
    misses = {}
    for sampler in ("tpe", "random"):
        suggester = Suggester(dataclasses.replace(STUDY, sampler=sampler), tmp_path / sampler)
        late = []
        for number in range(180):
            trial = suggester.ask(number)
            miss = abs(LR.varied[1].domain.position(trial.config.optimiser.lr) - 0.3)
            suggester.ended(result(trial, loss=miss**2), [])
            late += [miss] if number >= 120 else []
        misses[sampler] = np.mean(late)
    assert misses["tpe"] < 0.5 * misses["random"]
