"""Diverged, failed and dead trials are counted, and the parameter that sets them apart is named."""

import numpy as np
import pytest

from analysis.checks.evidence import LN2, dead, evidence_of
from analysis.checks.feasibility import split
from storage.finding import Narrow
from tests.analysis.checks.build import found, severities
from tests.build import LOSS, saying, study


@pytest.mark.parametrize(("bad", "severity"), [(5, "ok"), (6, "warn"), (14, "fail")])
def test_diverged_trials_are_counted(bad, severity):
    """From 20 % infeasible or failed trials on it warns, from 50 % on it fails, with the commonest reason."""
    status = ["infeasible"] * bad + ["finished"] * (27 - bad)
    finding = found(study(status=status, reason=["loss not finite"] * bad + [None] * (27 - bad)), "feasibility")
    assert finding.severity == severity
    assert severity == "ok" or "loss not finite" in finding.evidence


def test_trials_cut_off_by_ctrl_c_are_no_failures():
    """Eight of 27 trials that an interrupt ended do not count as failed."""
    finding = found(study(status=["interrupted"] * 8 + ["finished"] * 19), "feasibility")
    assert finding.severity == "ok"
    assert finding.evidence.startswith("0 of 19 trials")


def test_trials_that_die_at_chance_are_infeasible():
    """Eight finished trials at a loss of ln 2 count as much as eight that diverged."""
    assert severities(study(val_loss=[LN2] * 8 + [...] * 19))["feasibility"] == "warn"


@pytest.mark.parametrize(
    ("best", "last", "accuracy", "chance_loss", "expected"),
    [
        (0.6931, 0.6935, 0.5125, LN2, True),  # never left chance
        (0.47, 0.6945, 0.80, LN2, True),  # learned, then ended there
        (0.66, 0.66, 0.62, LN2, False),  # slow, but learning
        (0.30, 0.31, 0.90, LN2, False),
        (1.20, 1.20, 0.80, None, False),  # a loss on another scale
        (1.20, 1.20, 0.4875, None, True),
    ],
)
def test_dead_is_what_never_left_chance_or_ended_there(best, last, accuracy, chance_loss, expected):
    """A loss at ln 2, first to last or at the end, is death; so is an accuracy of at most the commoner class's share."""
    assert dead(best, last, accuracy, 0.5125, chance_loss) is expected


def test_a_contrastive_loss_is_held_against_chance_by_its_own_margin():
    """What guessing has grows with the margin's square: a loss of 0.2 is good at margin 2, and none at margin 1 or 0.5."""
    margins = [2.0, 1.0, 0.5] * 9
    made = study(val_loss=[0.2] * 27, loss__margin=margins)
    arms = {arm: {"loss.kind": "contrastive"} for arm in made.manifest.arms}
    died = evidence_of(saying(made, arm_values=arms), LOSS).trials["dead"]
    assert [bool(own) for own in died] == [margin < 2 for margin in margins]


def test_the_parameter_that_sets_them_apart_is_named():
    """The trials with the highest decay diverged: the range of the decay is to end below them, the rate's stays."""
    decays = list(1e-5 * 3000 ** np.linspace(0, 1, 27))
    status = ["finished"] * 20 + ["infeasible"] * 7
    rates = [2e-4 * 100 ** ((7 * number % 27) / 27) for number in range(27)]
    finding = found(study(status=status, optimiser__weight_decay=decays, optimiser__lr=rates), "feasibility")
    assert isinstance(finding.remedy, Narrow)
    assert (finding.remedy.path, finding.remedy.low) == ("optimiser.weight_decay", 1e-5)
    assert decays[19] < finding.remedy.high < decays[20]


@pytest.mark.parametrize(("bad", "cut", "above"), [([0, 0, 0, 1, 1], 0.5, True), ([1, 1, 0, 0, 0], 0.3, False)])
def test_the_best_split_lies_between_the_two_kinds(bad, cut, above):
    """Bad ones at one end are split off there, and the side is known."""
    place, side = split(np.array([0.0, 0.2, 0.4, 0.6, 0.8]), np.array(bad, bool))
    assert (place, side) == (pytest.approx(cut), above)
