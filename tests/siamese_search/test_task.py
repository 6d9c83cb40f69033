"""Guards that a training function of one's own gets what the verifier gets: search, seeds that decide, record, page."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from search_spaces.stages import stage_named
from siamese_search import (
    Budget,
    Choice,
    Config,
    EpochMetrics,
    InputError,
    LogUniform,
    Metric,
    Parameter,
    Session,
    Stage,
    Task,
    TaskData,
    number,
    one_of,
    read_study,
)
from trainables.errors import ConfigError


@dataclass(frozen=True)
class CurveConfig(Config, task="curve"):
    """A polynomial, or a sum of cosines, and the rate at which it is fitted."""

    basis: str = one_of("powers", "cosines")
    lr: float = number(0.01, 0.0)
    epochs: int = number(6, 1)
    seed: int = number(0, 0)


class Fit(torch.nn.Module):
    """Coefficients (8,) of a basis."""

    def __init__(self, config):
        super().__init__()
        draw = torch.Generator().manual_seed(config.seed)
        self.weights = torch.nn.Parameter(torch.randn(8, generator=draw) * 0.1)
        self.basis = config.basis

    def forward(self, x):
        degree = torch.arange(8)
        return (x[:, None] ** degree if self.basis == "powers" else torch.cos(x[:, None] * degree)) @ self.weights


class Curve(Task):
    """Fits a noisy cosine, by full-batch gradient descent."""

    config = CurveConfig
    metrics = ("val_r2",)

    def load(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, 90).astype(np.float32)
        points = np.stack([x, np.cos(3 * x) + rng.normal(0, 0.1, 90).astype(np.float32)])
        return TaskData({"train": points[:, :40], "validation": points[:, 40:60]}, points[:, 60:], "a cosine",
                        {"train": 40, "validation": 20, "test": 30})  # fmt: skip

    def start(self, config, data, device):
        return Fit(config)

    def train(self, config, data, run):
        (x, y), (vx, vy) = (map(torch.from_numpy, data[part]) for part in ("train", "validation"))
        for epoch in range(1, config.epochs + 1):
            loss = ((run(x) - y) ** 2).mean()
            loss.backward()
            with torch.no_grad():
                run.weights -= config.lr * run.weights.grad
                run.weights.grad = None
                wrong = ((run(vx) - vy) ** 2).mean()
            yield EpochMetrics(epoch, loss.item(), float(wrong), own={"val_r2": float(1 - wrong / vy.var())})

    @torch.no_grad()
    def score(self, config, weights, held_out):
        run, (x, y) = Fit(config), map(torch.from_numpy, held_out)
        run.load_state_dict(weights)
        return {"test_r2": float(1 - ((run(x) - y) ** 2).mean() / y.var())}


RATE = Stage(
    name="rate",
    question="Which rate fits the curve, on which basis?",
    parameters=(
        Parameter("basis", "scientific", Choice(("powers", "cosines")), "the question"),
        Parameter("lr", "nuisance", LogUniform(1e-3, 1e3), "up to where it diverges"),
    ),
    metric=Metric("val_r2", "max"),
    budget=Budget(trials=8, epochs=40, repeats=4),
    config=CurveConfig,
)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with Session(Curve(), results=tmp_path_factory.mktemp("task")) as session:
        yield session


@pytest.fixture(scope="module")
def study(session):
    return session.run(RATE, name="first")


@pytest.mark.ray
@pytest.mark.slow
def test_its_best_config_is_the_one_of_its_own_metric(study):
    """Cosines fit a cosine; rates at which the loss leaves the finite numbers are infeasible, the others finish."""
    assert isinstance(study.best, CurveConfig)
    assert study.best.basis == "cosines"
    status = study.trials.set_index("trial")["status"]
    rates = study.trials.set_index("trial")["lr"].astype(float)
    assert set(status[rates > 100]) <= {"infeasible"}
    assert set(status) == {"finished", "infeasible"}
    assert "val_r2" in study.runs
    written = pd.read_csv(study.path / "trials.csv")
    assert written.loc[written["status"] == "finished", "val_r2"].notna().all()


@pytest.mark.ray
@pytest.mark.slow
def test_what_was_held_out_is_scored_and_shown(study):
    """Each run of the config to use has a score, on the page and in report.json, and it is a good one."""
    score = next(score for score in study.report.measured.scores if score.role == "selected")
    assert score.name == "test_r2"
    assert min(score.values) > 0.5
    assert "test_r2" in study.page.read_text(encoding="utf-8")
    assert read_study(study.path).report.measured == study.report.measured


@pytest.mark.ray
@pytest.mark.slow
def test_it_goes_on_with_what_it_has(session, study):
    """Resumed with more trials, those that were there are as they were."""
    more = session.resume(RATE, "first", trials=10)
    columns = ["trial", "arm", "lr", "val_r2", "status"]
    pd.testing.assert_frame_equal(more.trials[columns].head(8), study.trials[columns], check_exact=True)
    assert len(more.trials) == 10


@pytest.mark.ray
@pytest.mark.slow
def test_a_stage_of_another_task_is_refused(session, study):
    """The verifier's stages have no business here, nor has a metric that no epoch reports."""
    with pytest.raises(InputError, match="stage lr: is of TrialConfig, and the session trains CurveConfig"):
        session.run(stage_named("lr"))
    wrong = Stage("r", "q?", RATE.parameters, Metric("val_f1", "max"), RATE.budget, config=CurveConfig)
    with pytest.raises(InputError, match=r"metric 'val_f1': one of .*val_r2"):
        session.run(wrong)


def test_a_config_is_read_as_that_of_its_task():
    """What a config writes is read by its class, whoever reads it; a task that is not loaded is named."""
    config = CurveConfig(lr=0.5)
    assert Config.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="task 'surface'; import what defines that first"):
        Config.from_dict({"task": "surface"})


def test_a_path_that_the_config_lacks_is_refused():
    """A stage is checked against the config of its task."""
    with pytest.raises(ConfigError, match=r"unknown configuration path 'optimiser.lr'"):
        Stage("s", "q?", (Parameter("optimiser.lr", "fixed", None, "x"),), RATE.metric, RATE.budget, config=CurveConfig)
