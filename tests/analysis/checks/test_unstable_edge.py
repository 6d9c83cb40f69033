"""The rate above which runs die is named, with one cure."""

import pytest

from analysis.checks.evidence import LN2
from search_spaces.study import Round
from storage.finding import Clip, Narrow, WarmUp
from tests.analysis.checks.build import found
from tests.build import saying, study
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
    for place, number in enumerate(order):
        rates[number] = 2e-4 * 100 ** (place / 26)
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


@pytest.mark.parametrize(
    ("places", "severity"), [((), "ok"), ((26,), "note"), ((2, 7, 12, 17, 22), "ok"), ((0, 1, 2, 3), "ok")]
)
def test_deaths_elsewhere_make_no_edge(places, severity):
    """None, one alone, deaths all over, and deaths at the lowest rates are no unstable edge."""
    record, _ = dying(places)
    assert found(record, "unstable edge").severity == severity
