from collections import Counter

import pytest

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study, trial_seed
from trainables.config import TrialConfig
from trainables.errors import ConfigError


def study(start=None, trials=12, seed=0):
    return Study(stage_named("lr"), "s", start or TrialConfig(), Budget(trials, 7, 3), seed)


@pytest.mark.parametrize("kind", ["constant", "exponential", "cosine"])
def test_trial_zero_is_the_incumbent_in_its_own_arm(kind):
    """Whatever schedule the starting config has, trial 0 is that config at the study's epochs, and its arm comes first."""
    start = TrialConfig().override({"schedule.kind": kind, "optimiser.lr": 0.007, "epochs": 99})
    trial = study(start).incumbent()
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
    numbers = [*range(10_000), *range(-100, 0)]
    seeds = [trial_seed(3, number) for number in numbers]
    assert len(set(seeds)) > 0.9999 * len(seeds) - 1  # 32 bits: one collision in 10,100 has odds of about 1 in 85
    assert not {trial_seed(3, n) for n in range(10_000)} & {trial_seed(3, n) for n in range(-100, 0)}
    assert seeds == [trial_seed(3, number) for number in numbers]
    assert trial_seed(4, 0) != trial_seed(3, 0)


def test_finalists_are_retrained_with_the_same_new_seeds():
    """Each finalist gets every repeat seed once, both the same ones, and none that the search used."""
    configs = {"selected": TrialConfig().override({"optimiser.lr": 0.01}), "baseline": TrialConfig()}
    runs = study().repeats(configs)
    assert [run.number for run in runs] == list(range(6))
    seeds = {role: [run.config.seed for run in runs if run.arm == role] for role in configs}
    assert seeds["selected"] == seeds["baseline"]
    assert len(set(seeds["selected"])) == 3
    assert not set(seeds["selected"]) & {trial_seed(0, number) for number in range(1000)}


def test_a_start_that_fits_no_arm_is_refused():
    """A stage whose arms cannot hold the starting config has no incumbent: ConfigError."""
    from dataclasses import replace

    from search_spaces.domain import Choice
    from search_spaces.stage import Parameter

    only = Parameter("schedule.kind", "scientific", Choice(("exponential", "cosine")), "x")
    stage = replace(stage_named("lr"), parameters=(only,))
    with pytest.raises(ConfigError, match="none of its arms"):
        Study(stage, "s", TrialConfig(), Budget(2, 1))
