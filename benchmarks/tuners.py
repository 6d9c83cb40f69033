"""Other tuners on the `lr` stage's space, as a user would call them: runs in, the config that they recommend out.

Each knows one thing, `Task.train`: train a config once and return its best validation loss. A run has a training seed
of its own, as in a script that sets none; a diverged run is worth what guessing is.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from analysis.candidates import chance_value
from search_spaces.domain import Choice, LogUniform, Uniform
from search_spaces.stage import Parameter
from search_spaces.stages import stage_named
from storage.distributions import distribution
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig
from trainables.data import PreparedData, TrialData
from trainables.encoder_path import encoder_path
from trainables.errors import Diverged
from trainables.images.synthetic import embedded
from trainables.preparation import prepare
from trainables.result import Metric
from trainables.training import DeviceData, train

METRIC = Metric("val_loss", "min")
PARAMETERS = stage_named("lr").for_demo().varied
Values = Mapping[str, Any]


@functools.cache
def chips() -> PreparedData:
    """Return the embedded chips, split and paired; made once a process."""
    return prepare(embedded(), "grouped")


@functools.cache
def loaded() -> DeviceData:
    """Return what trials see of them."""
    return DeviceData.of(chips().for_trials())


@dataclass(frozen=True)
class Task:
    """What is tuned: `runs` trainings of `epochs` epochs, under `seed` of the tuner."""

    runs: int
    epochs: int
    seed: int

    def config(self, values: Values, run: int) -> TrialConfig:
        """Return the config of a run, with a training seed of its own."""
        seed = int(np.random.SeedSequence([self.seed, 77, run]).generate_state(1, np.uint32)[0])
        return TrialConfig().override({**values, "epochs": self.epochs, "seed": seed})

    def train(self, values: Values, run: int) -> float:
        """Return the best validation loss of one training."""
        config = self.config(values, run)
        share_threads(1, encoder_path(config.network))
        chance = chance_value(METRIC, config.loss, float(np.mean(chips().for_trials().validation.pairs.target == 0)))
        losses = [chance]
        with contextlib.suppress(Diverged):
            for epoch in train(config, loaded()):
                losses.append(epoch.val_loss)
        return min(losses)


Tuner = Callable[[Task], Values]


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    """Ask for the stage's values as in Optuna's tutorials: each where its parent has the value it depends on."""
    for parameter in PARAMETERS:
        if _exists(parameter, trial.params) and parameter.domain is not None:
            trial._suggest(parameter.path, distribution(parameter.domain))
    return dict(trial.params)


def _exists(parameter: Parameter, values: Values) -> bool:
    return all(values.get(path) == value for path, value in parameter.only_if.items())


def _optuna(task: Task, sampler: optuna.samplers.BaseSampler) -> Values:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(lambda trial: task.train(suggested(trial), trial.number), n_trials=task.runs)
    return dict(study.best_params)


def optuna_tpe(task: Task) -> Values:
    """Optuna's TPE with its defaults; the best trial."""
    return _optuna(task, optuna.samplers.TPESampler(seed=task.seed))


def optuna_random(task: Task) -> Values:
    """Random search; the best trial."""
    return _optuna(task, optuna.samplers.RandomSampler(seed=task.seed))


def ray_asha(task: Task) -> Values:
    """Ray Tune's ASHA over random configs, with as many epochs in all as the others have; the best epoch's trial."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    def trained(config: dict[str, Any], data: TrialData) -> None:
        own = task.config(config["values"], config["run"])
        share_threads(1, encoder_path(own.network))
        try:
            for epoch in train(own, DeviceData.of(data)):
                tune.report({"val_loss": epoch.val_loss})
        except Diverged:
            tune.report({"val_loss": math.log(2)})

    class Spent(tune.Stopper):
        epochs = 0

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            self.epochs += 1
            return False

        def stop_all(self) -> bool:
            return self.epochs >= task.runs * task.epochs

    sampled = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=task.seed))
    many = [{"values": suggested(sampled.ask()), "run": run} for run in range(4 * task.runs)]
    ray.init("local", num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tune.Tuner(
                tune.with_resources(tune.with_parameters(trained, data=chips().for_trials()), {"cpu": 1}),
                param_space=tune.grid_search(many),
                tune_config=tune.TuneConfig(
                    metric="val_loss", mode="min", scheduler=ASHAScheduler(max_t=task.epochs, reduction_factor=2)
                ),
                run_config=tune.RunConfig(storage_path=folder, verbose=0, stop=Spent()),
            )
            best = tuner.fit().get_best_result(scope="all")
            return dict((best.config or {})["values"])
    finally:
        ray.shutdown()


def smac(task: Task) -> Values:
    """SMAC3 with its defaults for hyperparameters, which race challengers against the incumbent over seeds."""
    import ConfigSpace
    from smac.facade.hyperparameter_optimization_facade import HyperparameterOptimizationFacade
    from smac.scenario import Scenario

    space = ConfigSpace.ConfigurationSpace(seed=task.seed)
    made = {parameter.path: _smac_parameter(parameter) for parameter in PARAMETERS}
    space.add(list(made.values()))
    conditions = [
        ConfigSpace.EqualsCondition(made[p.path], made[path], value)
        for p in PARAMETERS
        for path, value in p.only_if.items()
    ]
    space.add(conditions)
    runs = iter(range(10**6))
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, output_directory=folder, n_trials=task.runs, seed=task.seed, deterministic=False)
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: task.train(dict(config), next(runs)), logging_level=False, overwrite=True
        )
        return {str(path): value for path, value in dict(facade.optimize()).items()}


def _smac_parameter(parameter: Parameter) -> Any:
    import ConfigSpace

    match parameter.domain:
        case Choice(options):
            return ConfigSpace.CategoricalHyperparameter(parameter.path, options)
        case Uniform(low, high):
            return ConfigSpace.UniformFloatHyperparameter(parameter.path, low, high)
        case LogUniform(low, high):
            return ConfigSpace.UniformFloatHyperparameter(parameter.path, low, high, log=True)
    raise TypeError(f"{parameter.path}: no such range is in this stage")


OTHERS: dict[str, Tuner] = {"optuna-tpe": optuna_tpe, "optuna-random": optuna_random, "ray-asha": ray_asha}
if importlib.util.find_spec("smac"):  # not one of our dependencies
    OTHERS["smac"] = smac
ON_ALL_CORES = ("ray-asha",)
