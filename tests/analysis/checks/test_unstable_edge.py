"""The rate above which runs die is named, with one cure."""

from dataclasses import dataclass, field, replace

import pytest

from analysis.checks import diagnose
from analysis.checks.evidence import LN2
from analysis.rounds import next_round
from search_spaces.study import Round
from storage.finding import Clip, Narrow, WarmUp
from tests.analysis.checks.build import found
from tests.build import LOSS, saying, study
from trainables.base_config import Checked, Config, number
from trainables.config import TrialConfig


def dying(places, best=None, **changes):
    """A study whose trials at these places of the rate (0 lowest, 26 highest) die, and that is best at `best`."""
    order = sorted(range(27), key=lambda number: (number // 3, number % 3))
    losses = [...] * 27
    for place in places:
        losses[order[place]] = LN2
    if best is not None:
        losses[order[best]] = 0.1
    rates = [0.0] * 27
    for place, trial in enumerate(order):
        rates[trial] = 2e-4 * 100 ** (place / 26)
    return study(val_loss=losses, optimiser__lr=rates, **changes), rates


def test_the_rate_above_which_runs_die_ends_the_range():
    """The upper six of 27 die and the best lies in the middle: the range is to end between the two kinds."""
    record, rates = dying(range(21, 27))
    finding = found(record, "unstable edge")
    assert finding.severity == "warn"
    assert isinstance(finding.remedy, Narrow)
    assert sorted(rates)[20] < finding.remedy.high < sorted(rates)[21]
    assert "6 of 6 trials above" in finding.evidence


def test_where_the_best_rate_is_at_the_edge_training_is_made_stable():
    """The best trial lies just below the edge: a warm-up, not a lower rate."""
    record, _ = dying(range(21, 27), best=20)
    assert found(record, "unstable edge").remedy == WarmUp()


def test_where_a_warm_up_is_not_enough_gradients_are_clipped():
    """The same edge where training is warmed up already, by the start or by a round before: clipping is what is left."""
    record, _ = dying(range(21, 27), best=20)
    start = TrialConfig().override({"schedule.warmup": 1.0})
    round_ = Round(24, 3, ("cosine",), (), values={"schedule.warmup": 1.0})
    for warmed in (saying(record, start=start), saying(record, rounds=(round_,))):
        assert found(warmed, "unstable edge").remedy == Clip()


@dataclass(frozen=True)
class Optimiser(Checked):
    """A part with a rate."""

    lr: float = number(0.01, 0.0)


@dataclass(frozen=True)
class OwnConfig(Config):
    """The config of a task of one's own, which knows no warm-up."""

    optimiser: Optimiser = field(default_factory=Optimiser)
    epochs: int = number(20, 1)
    seed: int = number(0, 0)


def test_a_task_without_a_warm_up_is_proposed_none():
    """The same edge, of another task's rate: said, and left to a person; a round has nothing to carry out."""
    record, _ = dying(range(21, 27), best=20)
    died = record.trials["val_loss"] == LN2
    trials = record.trials.assign(status=record.trials["status"].mask(died, "infeasible"))
    own = saying(replace(record, trials=trials), start=OwnConfig(), data={"pairs": {}})
    finding = found(own, "unstable edge")
    assert (finding.severity, finding.remedy, finding.advice) == ("warn", None, "make training steadier at this rate")
    assert not any(isinstance(other.remedy, WarmUp | Clip) for other in diagnose(own, LOSS))
    next_round(own)


@pytest.mark.parametrize(
    ("places", "severity"), [((), "ok"), ((26,), "note"), ((2, 7, 12, 17, 22), "ok"), ((0, 1, 2, 3), "ok")]
)
def test_deaths_elsewhere_make_no_edge(places, severity):
    """None, one alone, deaths all over, and deaths at the lowest rates are no unstable edge."""
    record, _ = dying(places)
    assert found(record, "unstable edge").severity == severity
