"""Guards that every stage is one question whose values all make configs, and that a senseless one is refused."""

from collections import Counter
from pathlib import Path

import pytest

from search_spaces.__main__ import page
from search_spaces.domain import Choice, Uniform
from search_spaces.stage import Budget, Demo, Parameter, Stage
from search_spaces.stages import OPTIONAL, STAGES, chain_with, stage_after, stage_named, stages_before
from search_spaces.study import Study
from trainables.config import TrialConfig
from trainables.errors import ConfigError
from trainables.result import Metric


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_one_question_with_reasons(stage):
    """Every stage asks one question, and every parameter is a legal path with a role and a reason."""
    assert stage.question.endswith("?")
    for parameter in stage.parameters:
        assert parameter.because
        TrialConfig().value(parameter.path)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_value_of_a_stage_makes_a_legal_config(stage):
    """Both ends of every range are accepted by TrialConfig in each arm that searches it, and every arm by some encoder."""
    starts = [TrialConfig().override({"network.encoder": kind}) for kind in ("report", "small")]
    legal = [(start, {arm.name for arm in stage.suited(start).arms()}) for start in starts]
    for arm in stage.arms():
        start = next(start for start, names in legal if arm.name in names)
        for parameter in arm.nuisance:
            for value in (parameter.domain.low, parameter.domain.high):
                start.override({**arm.values, parameter.path: value})


def test_the_lr_stage_has_an_arm_for_each_schedule_with_its_own_constant():
    """constant, exponential and cosine; gamma belongs to exponential alone, floor to cosine alone."""
    arms = {arm.name: [p.path for p in arm.nuisance] for arm in stage_named("lr").arms()}
    shared = ["optimiser.lr", "optimiser.weight_decay"]
    assert arms == {
        "constant": shared,
        "exponential": ["optimiser.lr", "schedule.gamma", "optimiser.weight_decay"],
        "cosine": ["optimiser.lr", "schedule.floor", "optimiser.weight_decay"],
    }


def test_arms_are_all_combinations_of_scientific_values():
    """Two scientific parameters of two options make four arms; none makes one, named after the stage."""
    two = (
        Parameter("schedule.kind", "scientific", Choice(("constant", "cosine")), "x"),
        Parameter("init.kind", "scientific", Choice(("default", "he")), "x"),
    )
    stage = Stage("s", "q?", two, Metric("val_loss", "min"), Budget(4, 2), Demo(4, 2))
    assert [arm.name for arm in stage.arms()] == [
        "constant + default",
        "constant + he",
        "cosine + default",
        "cosine + he",
    ]
    assert [arm.name for arm in stage_named("baseline").arms()] == ["baseline"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Parameter("epochs", "fixed", None, ""),
        lambda: Parameter("epochs", "fixed", Uniform(1, 2), "x"),
        lambda: Parameter("optimiser.lr", "nuisance", None, "x"),
        lambda: Parameter("optimiser.lr", "scientific", Uniform(1, 2), "x"),
        lambda: stage_named("lrr"),
    ],
)
def test_a_senseless_stage_is_refused(make):
    """Missing reasons, roles without ranges and unknown stages raise ConfigError."""
    with pytest.raises(ConfigError):
        make()


def test_stages_follow_one_another():
    """The stages are the report's, in its order; each knows those before it, the nearest first, and the one after."""
    reports = ["baseline", "loss", "lr", "regularisation", "init", "ensemble", "final"]
    assert [stage.name for stage in chain_with()] == reports
    assert [stage.name for stage in stages_before(stage_named("lr"))] == ["loss", "network", "baseline"]
    assert stages_before(stage_named("baseline")) == ()
    assert stage_after(stage_named("ensemble")).name == "final"
    assert stage_after(stage_named("final")) is None
    assert stage_after(stage_named("baseline")).name == "loss"
    assert stage_after(stage_named("baseline"), ["network"]).name == "network"
    assert stage_after(stage_named("network")).name == "loss"
    assert [stage.name for stage in chain_with(["network"])] == [reports[0], "network", *reports[1:]]
    assert {*OPTIONAL} == {stage.name for stage in STAGES} - {*reports}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("trials", ["budget", "demo"])
def test_every_arm_gets_a_trial_of_a_stages_own_budget(stage, trials):
    """The default budgets, a user's and the demo's, reach every arm, the arms' shares differing by one trial at most."""
    asked = stage.for_demo() if trials == "demo" else stage
    assert set(stage.demo.without) <= {arm.name for arm in stage.arms()}
    made = Study(asked, "s", TrialConfig(), getattr(stage, trials))
    counts = Counter(made.arm_of(number).name for number in range(made.budget.trials))
    assert len(counts) == len(made.arms())
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_baseline_belongs_to_an_arm_of_every_stage(stage):
    """Every stage can start from the paper's baseline within its own arms."""
    assert stage.arm_for(TrialConfig()).name != "start"


def test_a_stage_may_fix_what_costs_too_much_in_the_demo():
    """On the embedded chips each ensemble has two members in every arm; the parameter is fixed there, with its reason."""
    made = stage_named("ensemble").for_demo()
    assert "ensemble.members" not in {p.path for p in made.varied}
    assert all(arm.values["ensemble.members"] == 2 for arm in made.arms())
    assert [arm.name for arm in made.arms()] == [arm.name for arm in stage_named("ensemble").arms()]
    assert stage_named("lr").for_demo() == stage_named("lr")


def test_the_regularisation_stages_arms_fix_what_they_do_not_ask():
    """Each arm switches on one regulariser and searches its strength; rate and weight decay are searched in all."""
    shared = {"optimiser.lr", "optimiser.weight_decay"}
    arms = {arm.name: {p.path for p in arm.nuisance} - shared for arm in stage_named("regularisation").arms()}
    assert arms == {
        "none": set(),
        "flips": {"augmentation.theta"},
        "flips and grey": {"augmentation.theta"},
        "framing and light": {"augmentation.theta"},
        "fresh partners": set(),
        "dropout": {"network.dropout_conv", "network.dropout_out"},
        "batch normalisation": set(),
    }
    assert all(shared <= {p.path for p in arm.nuisance} for arm in stage_named("regularisation").arms())


def arms_of(stage, **values):
    """The arms of a study of `stage` whose start has `values`."""
    start = TrialConfig().override({path.replace("__", "."): value for path, value in values.items()})
    return [arm.name for arm in Study(stage_named(stage), "s", start, Budget(12, 5)).arms()]


def test_regularisation_is_asked_of_what_an_encoder_takes():
    """Pictures' augmentations are for other encoders than the report's, batch normalisation for those that lack it."""
    shared = ["none", "flips", "flips and grey", "fresh partners", "dropout"]
    report = Study(stage_named("regularisation"), "s", TrialConfig(), Budget(12, 5))
    assert [arm.name for arm in report.arms()] == [*shared, "batch normalisation"]
    assert not {p.path for p in report.stage.varied} & {"augmentation.crop", "augmentation.turn"}
    small = [*shared[:3], "framing and light", *shared[3:]]
    assert arms_of("regularisation", network__encoder="small") == small
    assert arms_of("regularisation", network__encoder="resnet18") == small
    koch = [*small, "batch normalisation"]
    assert arms_of("regularisation", network__encoder="koch", data__side=105) == koch


def test_a_network_is_asked_where_it_takes_the_side():
    """The report's at 75 whatever the start, resnet18 from 32 on, and images are read at the side of the largest."""
    every = ["report", "small 16", "small 32", "resnet18"]
    assert arms_of("network") == every
    assert arms_of("network", network__encoder="small", data__side=16) == ["small 16", "report", "small 32"]
    for side, read in ((16, 75), (75, 75), (100, 105)):
        start = TrialConfig().override({"network.encoder": "small", "data.side": side})
        study = Study(stage_named("network"), "s", start, Budget(12, 5))
        assert study.read_at == read
        sides = {arm.name: start.override(arm.values).data.side for arm in study.arms()}
        assert sides.pop("report") == 75
        assert set(sides.values()) == {side}
    adopted = {"network__encoder": "small", "augmentation__crop": 0.15, "augmentation__theta": 0.5}
    assert arms_of("network", **adopted) == ["small 16", "report", "small 32", "resnet18"]
    assert arms_of("network", network__batch_norm=True) == every


def test_a_stage_of_which_nothing_fits_is_refused():
    """Where no arm makes a config of the start, the error names the stage and its arms."""
    kind = Parameter("network.encoder", "scientific", Choice(("report", "koch")), "x")
    stage = Stage("s", "q?", (kind,), Metric("val_loss", "min"), Budget(4, 2), Demo(4, 2))
    start = TrialConfig().override({"network.encoder": "small", "data.side": 40})
    with pytest.raises(ConfigError, match=r"stage s: none of its arms fits the start \(report, koch\)"):
        stage.suited(start)


def test_an_arm_must_give_every_scientific_parameter_a_value():
    """A named arm that leaves a scientific parameter open, or gives it a value outside its options, is refused."""
    kind = Parameter("init.kind", "scientific", Choice(("default", "he")), "x")
    for values in ({}, {"init.kind": "koch"}):
        with pytest.raises(ConfigError, match="arm 'a'"):
            Stage("s", "q?", (kind,), Metric("val_loss", "min"), Budget(4, 2), Demo(4, 2), compared={"a": values})


def test_the_page_of_stages_is_up_to_date():
    """docs/stages.md is what `make docs` would write now."""
    assert (Path(__file__).parents[2] / "docs" / "stages.md").read_text(encoding="utf-8") == page()
