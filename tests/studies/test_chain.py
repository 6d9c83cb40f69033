"""Which stages and rounds a chain asks, from what the ones before answered."""

from pathlib import Path

import pytest

from search_spaces.stage import Kept
from search_spaces.stages import chain_with, stage_named
from search_spaces.study import Start
from storage.chain_json import Step
from storage.data_source import SYNTHETIC, Source
from studies.chain import next_asked
from studies.request import Request
from trainables.config import TrialConfig

NAMES = [stage.name for stage in chain_with()]


def asked(longer, rounds=True, optional=()):
    """Walk through a chain whose stages train 20 epochs and are answered "longer" where `longer` names (stage, round)."""
    steps, seen = [], []
    while step := next_asked(steps, rounds, optional):
        stage, round_ = step.stage, step.round
        trained = step.epochs or (steps[-1].start.config.epochs if steps and isinstance(stage.length, Kept) else 20)
        seen.append((stage.name, round_, trained))
        config = TrialConfig().override({"epochs": trained})
        steps.append(Step(stage.name, round_, "s", False, (stage.name, round_) in longer, "", config, ""))
    return seen


@pytest.mark.parametrize(("optional", "names"), [((), NAMES), (["network"], [NAMES[0], "network", *NAMES[1:]])])
def test_without_doubts_each_stage_is_asked_once(optional, names):
    """Where the epochs are enough everywhere, the seven stages follow one another at the first length.

    Where `network` is named it stands at its place, between the baseline and the loss.
    """
    assert asked(set(), optional=optional) == [(name, 1, 20) for name in names]


@pytest.mark.parametrize(
    ("longer", "lr"),
    [
        ({("lr", 1)}, [("lr", 1, 20), ("lr", 2, 40)]),
        ({("lr", 1), ("lr", 2)}, [("lr", 1, 20), ("lr", 2, 40)]),
        ({("loss", 1)}, [("lr", 2, 40)]),
        ({("baseline", 1)}, [("lr", 2, 40)]),
    ],
)
def test_the_lr_stage_is_asked_with_twice_the_epochs(longer, lr):
    """Too short, by its own answer or by that of a stage before, it is asked at twice the length, never beyond."""
    seen = asked(longer)
    assert [step for step in seen if step[0] == "lr"] == lr
    assert [step for step in seen if step[0] not in ("baseline", "loss", "lr")] == [
        (name, 1, lr[-1][2]) for name in NAMES[3:]
    ]


def test_the_final_config_trains_longer_where_its_epochs_were_too_few():
    """The final stage is asked once, at twice the length where the stage before it was still improving at its end."""
    assert asked({("ensemble", 1)})[-2:] == [("ensemble", 1, 20), ("final", 1, 40)]
    assert asked({("ensemble", 1), ("final", 1)})[-1] == ("final", 1, 40)
    assert asked({("ensemble", 1)}, rounds=False)[-1] == ("final", 1, 20)


def test_with_a_length_given_no_stage_is_asked_twice():
    """Where the user has said how many epochs, a chain takes it at that."""
    assert asked({("lr", 1), ("loss", 1)}, rounds=False) == [(name, 1, 20) for name in NAMES]


def test_a_chain_lets_each_search_act_on_its_checks_once():
    """On a user's images a search has two rounds, unless the budget is the embedded chips', a smoke run's or minutes'."""
    lr, mine = stage_named("lr"), Source("mine")

    def rounds(source=mine, **asked):
        return Request(source, Path("r"), **asked).study(lr, Start(), "n").budget.rounds

    assert rounds(chain=True) == 2
    assert rounds(chain=True, rounds=1) == rounds() == 1
    for other in ({"smoke": True}, {"minutes": 60.0}, {"source": Source(SYNTHETIC)}):
        assert rounds(chain=True, **other) == 1
