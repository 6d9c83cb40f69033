"""Guards the trials, arms, seeds and finalists that follow from a study."""

import dataclasses
from collections import Counter

import pytest

from search_spaces.stage import Budget
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import Study, repeat_seed, stretched, trial_seed
from trainables.config import TrialConfig
from trainables.ensemble import member_configs


def study(start=None, trials=12, seed=0):
    return Study(stage_named("lr"), "s", start or TrialConfig(), Budget(trials, 7, 3), seed)


@pytest.mark.parametrize("kind", ["constant", "exponential", "cosine"])
def test_trial_zero_is_the_start_in_its_own_arm(kind):
    """Whatever schedule the starting config has, trial 0 is that config at the study's epochs, and its arm comes first."""
    start = TrialConfig().override({"schedule.kind": kind, "optimiser.lr": 0.007, "epochs": 99})
    trial = study(start).start_trial()
    assert trial.arm == kind
    assert trial.config == start.override({"epochs": 7, "seed": trial.config.seed})
    assert study(start).arm_of(0).name == kind


@pytest.mark.parametrize("trials", [3, 10, 12])
def test_arms_share_the_trials_equally(trials):
    """Arms take turns: their shares differ by one trial at most."""
    counts = Counter(study().arm_of(number).name for number in range(trials))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(counts) == 3


def test_every_run_of_a_study_has_its_own_seed():
    """10,000 trials and 100 repeats have different seeds, the same ones each time, others under another study seed."""
    made = Study(stage_named("lr"), "s", TrialConfig(), Budget(24, 20), seed=3)
    trials, repeats = [trial_seed(3, n) for n in range(10_000)], [made.repeat_seed(n) for n in range(100)]
    assert len({*trials, *repeats}) > 0.9999 * 10_100 - 1  # 32 bits: one collision has odds of about 1 in 85
    assert not set(trials) & set(repeats)
    assert trials == [trial_seed(3, n) for n in range(10_000)]
    assert repeats == [dataclasses.replace(made, name="t").repeat_seed(n) for n in range(100)]
    assert trial_seed(4, 0) != trial_seed(3, 0)


def test_no_two_studies_of_a_chain_retrain_with_a_common_seed():
    """What was adopted in one stage, or round, meets seeds in the next that it was not adopted for."""
    starts = [TrialConfig(), TrialConfig().override({"optimiser.lr": 0.002}), TrialConfig().override({"epochs": 40})]
    studies = [Study(stage, "s", start, Budget(24, 20)) for stage in STAGES for start in starts]
    seeds = [made.repeat_seed(repeat) for made in studies for repeat in range(10)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_stay_what_they_were():
    """A config path that was added later changes no seed of a config that leaves it at its default: old studies go on."""
    start = TrialConfig().override({"optimiser.lr": 0.004, "schedule.kind": "cosine", "epochs": 7})
    assert repeat_seed(0, "lr", TrialConfig(), 0) == 2109202052
    assert repeat_seed(3, "loss", start, 2) == 4178856361
    assert repeat_seed(3, "loss", start.override({"schedule.warmup": 1.0}), 2) != 4178856361


def test_finalists_are_retrained_with_the_same_new_seeds():
    """Each finalist gets every repeat seed once, both the same ones, and none that the search used."""
    configs = {"selected": TrialConfig().override({"optimiser.lr": 0.01}), "baseline": TrialConfig()}
    runs = study().repeats(configs)
    assert [run.number for run in runs] == list(range(6))
    seeds = {role: [run.config.seed for run in runs if run.arm == role] for role in configs}
    assert seeds["selected"] == seeds["baseline"]
    assert len(set(seeds["selected"])) == 3
    assert not set(seeds["selected"]) & {trial_seed(0, number) for number in range(1000)}


def test_a_start_that_fits_no_arm_gets_an_arm_of_its_own():
    """A config with dropout and augmentation together runs as trial 0 of an arm "start", which keeps both as they are."""
    start = TrialConfig().override({"augmentation.theta": 0.4, "network.dropout_out": 0.2})
    made = Study(stage_named("regularisation"), "s", start, Budget(12, 5))
    assert [arm.name for arm in made.arms()][:2] == ["start", "none"]
    assert made.start_trial().config == start.override({"epochs": 5, "seed": made.start_trial().config.seed})
    assert {p.path for p in made.arms()[0].nuisance} == {"optimiser.lr", "optimiser.weight_decay"}
    suggested = made.trial(7, {"optimiser.lr": 0.002, "optimiser.weight_decay": 1e-4})
    assert suggested.arm == "start"
    assert suggested.config.network == start.network
    assert suggested.config.augmentation == start.augmentation


@pytest.mark.parametrize("stage", ["regularisation", "ensemble", "network"])
def test_a_trial_has_its_arms_values_and_searches_the_rest(stage):
    """In stages that name their arms each trial holds its arm's values, and its row names those that vary and what was searched."""
    made = Study(stage_named(stage), "s", TrialConfig(), Budget(12, 5))
    for number in range(1, 8):
        arm = made.arm_of(number)
        trial = made.trial(number, {p.path: p.domain.high for p in arm.nuisance})
        assert arm.holds(trial.config)
        varied = {p.path for p in made.stage.varied}
        assert set(trial.overrides) == {*arm.values, *(p.path for p in arm.nuisance)} & varied
        assert all(trial.config.value(path) == value for path, value in trial.overrides.items())


def test_an_ensembles_rival_trains_as_many_networks():
    """The starting config is retrained with the selected one's number of members, the best of them kept."""
    made = Study(stage_named("ensemble"), "s", TrialConfig(), Budget(5, 5))
    selected = TrialConfig().override({"ensemble.members": 4, "ensemble.combine": "average", "epochs": 5})
    finalists = made.finalists(selected)
    assert finalists["baseline"].ensemble.members == 4
    assert finalists["baseline"].ensemble.combine == "best"
    assert list(made.finalists(finalists["baseline"])) == ["selected"]


def test_the_final_stages_rivals_are_the_reports_configs_and_kochs_initialisation():
    """Baseline and final config are the report's own at their own lengths; Koch's is a single network of one seed."""
    adopted = TrialConfig().override({"optimiser.lr": 0.01, "epochs": 8, "ensemble.members": 3})
    made = Study(stage_named("final"), "s", adopted, Budget(1, 8, 3))
    finalists = made.finalists(made.start_trial().config)
    assert finalists["baseline"].override({"seed": 0}) == TrialConfig()
    assert (finalists["koch"].init.kind, finalists["koch"].ensemble.members) == ("koch", 1)
    runs = [run.arm for run in made.repeats(finalists)]
    assert (runs.count("selected"), runs.count("baseline"), runs.count("koch")) == (3, 3, 1)
    own = finalists["paper"]
    assert (own.optimiser.lr, own.optimiser.weight_decay, own.epochs) == (0.01, 2.5e-4, 30)
    assert (own.schedule.kind, own.schedule.gamma, own.augmentation.theta) == ("exponential", 0.9, 0.7)
    assert (own.init.kind, own.loss.kind, own.batch_size, own.ensemble.members) == ("he", "bce", 64, 1)
    assert "paper" not in made.finalists(own)
    plain = Study(stage_named("final"), "s", TrialConfig(), Budget(1, 20, 3))
    assert "baseline" not in plain.finalists(plain.start_trial().config)
    shorter = Study(stage_named("final"), "s", TrialConfig(), Budget(1, 10, 3))
    assert shorter.finalists(shorter.start_trial().config)["baseline"].epochs == 20


@pytest.mark.parametrize("epochs", [5, 10, 20, 40])
def test_a_longer_training_decays_as_much(epochs):
    """Whatever the length, an exponential schedule ends at the share of its rate at which it ended before."""
    config = TrialConfig().override({"schedule.kind": "exponential", "schedule.gamma": 0.81, "epochs": 10})
    made = stretched(config, epochs)
    assert made.schedule.gamma**epochs == pytest.approx(0.81**10)
    assert made.override({"schedule.gamma": 0.81}) == config
    assert stretched(config, 20).schedule.gamma == pytest.approx(0.9)
    constant = config.override({"schedule.kind": "constant"})
    assert stretched(constant, epochs) == constant


@pytest.mark.parametrize("kind", ["default", "he", "koch"])
def test_the_reports_ensemble_is_an_arm_whatever_was_adopted(kind):
    """Two networks averaged, one started as the report writes He's, one as Koch's: of every start of the stage."""
    made = Study(stage_named("ensemble").for_demo(), "s", TrialConfig().override({"init.kind": kind}), Budget(4, 5))
    (own,) = [n for n, arm in enumerate(made.arms()) if arm.name == "average, he with koch"]
    config = made.trial(own, {}).config
    assert [member.init.kind for member in member_configs(config)] == ["he", "koch"]
    assert config.ensemble.combine == "average"


def test_a_smoke_run_trains_no_config_longer():
    """The report's own lengths are for figures to hold against; going through every part needs none of them."""
    made = Study(stage_named("final"), "s", TrialConfig(), Budget(1, 2, 1), smoke=True)
    assert {config.epochs for config in made.finalists(made.start_trial().config).values()} == {2}
