"""Guards what the record of runs under new seeds asks for next, and what it is called once it is whole."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.candidates import by_role, chance_value, contest, leading, planned, settled
from analysis.decision import Rule
from analysis.procedure import START
from analysis.verdict import adoption, candidate_runs, candidates, overtuning, verdict
from storage.study_json import Looks, Manifest, Plan
from tests.build import LOSS, saying
from tests.raced import COLUMNS, carried_out, lucky, world
from trainables.config import Loss
from trainables.result import Metric


def test_a_better_config_is_adopted_though_another_trial_was_luckier():
    """Trial 26 was best in the search and is no better than the start; the answer is 3, which is, proven under fresh seeds."""
    made = carried_out(lucky(26), world(better=[3]))
    answer = settled(made)
    assert (answer.use, answer.proven) == (3, True)
    grounds = adoption(made, [])
    assert grounds.adopted
    assert 0 < grounds.low < grounds.gain < grounds.high
    assert verdict(made, grounds, answer.use, []).startswith("adopt the selected config")
    fell = overtuning(made)
    assert (fell.trial, fell.search) == (26, 0.1)
    assert fell.lost == pytest.approx(fell.repeated - 0.1) and fell.lost > 0.2
    best = next(row for row in candidates(made) if row.trial == 3)
    assert best.fresh == grounds.seeds < best.seeds


def test_equal_configs_keep_the_start_and_say_what_could_have_been_seen():
    """Nothing is adopted where nothing is better; the reason names the nearest candidate and the start is what is used."""
    made = carried_out(lucky(26), world(spread=0.05, seed=5))
    grounds = adoption(made, [])
    assert not grounds.adopted
    assert settled(made).use == START
    assert "the best candidate" in grounds.why
    assert verdict(made, grounds, START, []).startswith("keep the starting config")


def test_the_runs_to_use_are_called_selected_and_are_fresh():
    """`selected` and `baseline` have the same seeds, none of the race's; the other candidates keep their trials' names."""
    made = carried_out(lucky(26), world(better=[3]))
    called, found = by_role(made), contest(made)
    seeds = {role: set(called.repeats.loc[called.repeats["arm"] == role, "seed"]) for role in ("selected", "baseline")}
    assert seeds["selected"] == seeds["baseline"]
    assert not seeds["selected"] & set(found.seeds[: found.procedure.race.seeds])
    assert "trial 26" in set(called.repeats["arm"])
    assert len(candidate_runs(made)) == len(made.repeats)


def test_until_all_is_settled_the_race_says_which_trial_leads():
    """Cut off in the decision, a study speaks of the race's winner, not of the luckiest trial, and adopts neither."""
    whole = carried_out(lucky(26), world(better=[3]))
    raced = [row for row in whole.repeats.to_dict("records") if row["arm"] != "baseline"]
    race = contest(whole).procedure.race.runs
    cut = replace(whole, repeats=pd.DataFrame(raced[: race + 1], columns=COLUMNS))
    assert settled(cut) is None and len(cut.repeats) == race + 1
    assert [leading(replace(cut, repeats=cut.repeats.head(runs))) for runs in (0, 3, race, race + 1)] == [26, 26, 3, 3]
    assert leading(whole) == settled(whole).use == 3
    why = adoption(cut, []).why
    assert why.startswith("not adopted: the comparison under new seeds has not ended")


def test_where_the_start_is_kept_its_runs_are_the_ones_to_use():
    """With every candidate worse, the start's runs are `selected` and there is no `baseline` beside them."""
    made = carried_out(lucky(26), world(better=[START], spread=0.01))
    called = by_role(made)
    assert settled(made).use == START
    assert "baseline" not in set(called.repeats["arm"])
    assert (called.repeats["arm"] == "selected").sum() > 2


@pytest.mark.parametrize("kept", [0, 1, 9, 20])
def test_a_record_that_was_cut_short_asks_for_what_it_lacks(kept):
    """Cut after any number of runs, the record asks for the rest and comes to the same answer."""
    losses = {}
    draw = world(better=[3])

    def remembered(trial, seed):
        return losses.setdefault((trial, seed), draw(trial, seed))

    whole = carried_out(lucky(26), remembered)
    again = carried_out(replace(whole, repeats=whole.repeats.head(kept)), remembered)
    assert settled(again) == settled(whole)
    assert len(again.repeats) == len(whole.repeats)


def test_runs_ahead_of_a_look_that_was_not_needed_are_in_no_answer():
    """Of sixteen runs at once some are too many: the study says what it says of one at a time, of as many seeds."""
    losses = {}
    draw = world(better=[3], gain=0.04, spread=0.03)

    def remembered(trial, seed):
        return losses.setdefault((trial, seed), draw(trial, seed))

    one, many = (carried_out(lucky(26), remembered, at_once=at_once) for at_once in (1, 16))
    assert len(many.repeats) > len(one.repeats)
    assert settled(many) == settled(one)
    assert contest(many).known == contest(one).known
    assert adoption(many, []) == adoption(one, [])
    roles = [by_role(made).repeats[["arm", "seed", "val_loss"]] for made in (one, many)]
    assert set(roles[0].itertuples(index=False)) == set(roles[1].itertuples(index=False))
    assert verdict(many, adoption(many, []), 3, []) == verdict(one, adoption(one, []), 3, [])


def test_a_lost_run_says_nothing_of_a_config():
    """A run that failed is replaced under another seed, the same for all; a machine that loses every run ends the asking."""
    made, draw = lucky(26), world(better=[3])
    fails = iter([True])
    once = carried_out(made, lambda trial, seed: ("failed", np.nan) if next(fails, False) else draw(trial, seed))
    (lost,) = once.repeats.loc[once.repeats["status"] == "failed", "seed"]
    assert lost not in contest(once).seeds
    assert settled(once).use == 3
    assert settled(carried_out(made, lambda trial, seed: ("failed", np.nan))) is not None


def test_a_config_that_dies_is_not_proven_by_the_runs_that_live():
    """Far better where it lives and dead under two seeds in five: it is told how many died, and not adopted."""
    draw = world(better=[3])
    made = carried_out(
        lucky(3), lambda trial, seed: ("finished", 0.693) if trial and seed % 5 < 2 else draw(trial, seed)
    )
    grounds = adoption(made, [])
    assert not grounds.adopted
    assert "dies under" in grounds.why


def test_the_means_that_are_told_differ_by_the_gain():
    """A diverged run counts as guessing in both: the sentence's two means and its gain agree."""
    draw = world(better=[3], gain=0.05)
    lost = {(0, 0)}

    def dies_once(trial, seed):
        return ("infeasible", np.nan) if (trial, seed - len(found.procedure.race.left)) in lost else draw(trial, seed)

    found = contest(lucky(26))
    grounds = adoption(carried_out(lucky(26), dies_once), [])
    start, ours = (float(word) for word in re.search(r"val_loss ([\d.]+) to ([\d.]+) over", grounds.why).groups())
    assert start - ours == pytest.approx(grounds.gain, abs=1.1e-4)
    assert "the starting config under 1 of" in grounds.why


@pytest.mark.parametrize(
    ("metric", "loss", "similar", "worth"),
    [
        (LOSS, Loss(), 0.5, np.log(2)),
        (Metric("val_accuracy", "max"), Loss(), 0.3, 0.7),
        (LOSS, Loss("contrastive", margin=2.0), 0.5, 0.5),
    ],
)
def test_guessing_is_worth_what_the_best_constant_answer_is(metric, loss, similar, worth):
    """Cross entropy of p = 0.5, the commoner answer's share, and the contrastive loss of the best single distance."""
    assert chance_value(metric, loss, similar) == pytest.approx(worth)
    if loss.kind == "contrastive":  # no constant distance does better
        distances = np.linspace(0, 2 * loss.margin, 1001)
        losses = similar * distances**2 / 2 + (1 - similar) * np.maximum(loss.margin - distances, 0) ** 2 / 2
        assert losses.min() == pytest.approx(worth)


def test_a_stage_with_matched_starts_asks_one_candidate():
    """Where the start takes a candidate's values (as many networks), the winner alone meets it, with the whole error."""
    made = saying(lucky(26), matching=("ensemble.members",))
    (rule,) = contest(made).procedure.decisions
    assert rule.error == pytest.approx(sum(rule.error for rule in contest(lucky(26)).procedure.decisions))


def test_a_study_is_read_by_the_plan_that_it_recorded():
    """Whatever a later version plans: the runs that the recorded plan asked for are all it needs, and settle the same."""
    made = saying(lucky(26), plan=Plan((5, 2), (Looks((4, 8), 0.02),)))
    whole = carried_out(made, world(better=[3, 26]))
    found = contest(whole)
    assert (found.procedure.race.left, found.procedure.decisions) == ((5, 2), (Rule((4, 8), 0.02),))
    answer = settled(whole)
    assert answer.proven and answer.use in (3, 26)
    assert len(answer.decisions) == 1
    assert settled(saying(whole, plan=None)) is None  # as this version plans, runs are missing
    assert Manifest.read(whole.manifest.to_dict()).plan == made.manifest.plan


def test_a_study_without_a_plan_is_planned_by_this_version():
    """What is recorded when a search ends is what the same study is read by where nothing is recorded."""
    made = carried_out(lucky(26), world(better=[3]))
    assert settled(saying(made, plan=planned(made.manifest))) == settled(made)
