"""Guards that a training function of one's own gets what the verifier gets: search, seeds that decide, record, page.

It is that of examples/fit_a_curve.py.
"""

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pandas as pd
import pytest

from analysis.commands import next_command
from analysis.summary import write_summary
from search_spaces.domain import LogUniform
from search_spaces.stages import stage_named
from search_spaces.study import Study
from siamese_search import Config, InputError, Metric, Parameter, Session, Stage, TrialConfig, read_study
from storage.data_source import IN_MEMORY, Source
from storage.finding import Finding, Longer, MoreTrials, Narrow
from storage.whole_files import write_json
from studies.own_files import given_stage
from studies.request import Request
from studies.run_study import check_task
from tests.wandb_files import read_back, write_runs
from trainables.base_config import number
from trainables.errors import ConfigError

FILE = Path(__file__).resolve().parents[2] / "examples" / "fit_a_curve.py"


def example():
    """The example as a module, where no worker could import it."""
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    module = sys.modules[FILE.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CURVES = example()
RATE, CurveConfig = CURVES.RATE, CURVES.CurveConfig


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with Session(CURVES.Curve(), results=tmp_path_factory.mktemp("task")) as session:
        yield session


@pytest.fixture(scope="module")
def study(session):
    return session.run(RATE, name="first")


def test_a_start_is_read_from_its_file(tmp_path):
    """--start names a config of the task, and a config of another, or an encoder of the verifier's, is refused in a line."""
    mine = CurveConfig().override({"lr": 0.5})
    write_json(tmp_path / "best.json", {"config": mine.to_dict()})
    asked = Request(Source(IN_MEMORY), tmp_path, start=tmp_path / "best.json")
    assert asked.starting_config(RATE).config == mine
    write_json(tmp_path / "best.json", {"config": TrialConfig().to_dict()})
    with pytest.raises(InputError, match=r"holds a TrialConfig, and .* starts from a CurveConfig"):
        asked.starting_config(RATE)


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
def test_what_comes_next_is_never_a_stage_of_the_verifier(study):
    """Whatever the checks say, the call is one of this task's; and a results folder is summed up without it."""
    calls = set()
    short = Finding("training length", "warn", "evidence", "advice", Longer(2))
    more, less = MoreTrials(2), Narrow("lr", 0.01, 0.1)
    warned = [[Finding("any", "warn", "", remedy=remedy)] for remedy in (more, less)]
    for findings in ([], *warned, [short]):
        calls.add(next_command(study, findings, adopted=True).split("(")[0])
    assert calls == {"read_study", "session.resume", "session.run"}
    assert "stage" in next_command(study, [short], adopted=True)
    with pytest.raises(InputError, match="no finished study"):
        write_summary(study.path.parent.parent)


@pytest.mark.ray
@pytest.mark.slow
def test_weights_and_biases_shows_it_without_its_code(study):
    """The process that writes the runs has no CurveConfig: a run has the config's values and the task's score all the same."""
    assert write_runs(study.path) == ""
    runs = read_back(study.path)
    search = {run["config"]["trial"]: run for run in runs.values() if run["job"] == "search"}
    assert len(runs) == len(study.trials) + len(study.runs) + 1
    for trial, history in study.search.items():
        config = history.trial.config
        assert search[trial]["config"].items() >= {"basis": config.basis, "lr": config.lr, "seed": config.seed}.items()
        assert [step["val_r2"] for step in search[trial]["history"]] == [own.own["val_r2"] for own in history.epochs]


@pytest.mark.ray
@pytest.mark.slow
def test_asha_stops_by_its_own_metric(session):
    """The scheduler finds the score that the stage chooses by, and stops weak trials."""
    stopped = session.run(RATE, name="asha", scheduler="asha", trials=12).trials
    assert "stopped" in set(stopped["status"])
    assert stopped.loc[stopped["status"] == "stopped", "epochs"].max() < RATE.budget.epochs


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


@pytest.mark.parametrize("name", ["val_accuracy", "lr", "status", "val_r2"])
def test_a_score_called_like_a_column_is_refused(name):
    """The tables could not hold both: the line says which name is taken."""
    task = CURVES.Curve()
    task.metrics = ("val_r2", name)
    asked = Study(RATE, "s", CurveConfig(), RATE.budget)
    with pytest.raises(ConfigError, match=f"Curve: `metrics` has '{name}', which the tables have already"):
        check_task(asked, SimpleNamespace(task=task))
    check_task(asked, SimpleNamespace(task=CURVES.Curve()))


@dataclass(frozen=True)
class TimedConfig(CurveConfig, task="timed curve"):
    """A config with a value that is called like a column of trials.csv."""

    seconds: float = number(1.0, 0.0)


def test_a_parameter_called_like_a_column_is_refused():
    """trials.csv could not hold both."""
    varied = (Parameter("seconds", "nuisance", LogUniform(0.1, 1.0), "x"),)
    stage = Stage("r", "q?", varied, RATE.metric, RATE.budget, config=TimedConfig)
    task = CURVES.Curve()
    task.config = TimedConfig
    with pytest.raises(ConfigError, match=r"stage r: seconds is a column of trials\.csv already"):
        check_task(Study(stage, "s", TimedConfig(), RATE.budget), SimpleNamespace(task=task))


def test_a_stage_is_the_same_wherever_its_config_is_defined():
    """A study that a script began is resumed by a notebook that imports the script; other ranges are another stage."""
    as_script = type("CurveConfig", (CurveConfig,), {"__module__": "__main__"})
    one, other = (given_stage(replace(RATE, config=config)).file for config in (CurveConfig, as_script))
    assert one == other
    assert given_stage(replace(RATE, parameters=RATE.parameters[:1])).file != one


def test_a_config_that_came_by_pickle_is_known_by_no_other_name():
    """A class that Ray sends by value, as from a notebook, takes no other config's place where it arrives."""
    made = cloudpickle.loads(cloudpickle.dumps(type("Sent", (CurveConfig,), {"__module__": "__main__"})))
    assert made.task == "curve"
    assert type(Config.from_dict({})) is TrialConfig
    assert type(Config.from_dict({"task": "curve"})) is CurveConfig


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
