"""A range is called too narrow where the metric still improves at its end, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from analysis.checks.boundary import falling_side
from analysis.checks.ranges import value_at
from search_spaces.domain import IntRange, LogUniform, Uniform
from search_spaces.stages import stage_named
from storage.finding import Widen
from tests.analysis.checks.build import found, severities
from tests.build import saying, study

PLACES = np.linspace(0, 1, 27)
RATES = list(2e-4 * 100**PLACES)


def test_a_metric_that_improves_up_to_the_upper_end_asks_for_more():
    """Loss falls along the rate up to 0.02: the range is to go on upwards, to the limit that lies near."""
    finding = found(study(val_loss=list(0.5 - 0.3 * PLACES), optimiser__lr=RATES), "boundary")
    assert finding.severity == "warn"
    assert finding.remedy == Widen("optimiser.lr", 2e-4, 0.1)


def test_the_lower_end_asks_for_less():
    """The same towards 0.0002."""
    finding = found(study(val_loss=list(0.2 + 0.3 * PLACES), optimiser__lr=RATES), "boundary")
    assert finding.remedy == Widen("optimiser.lr", pytest.approx(2e-4 / 100**0.3), 0.02)


def test_one_lucky_trial_at_an_end_is_no_boundary():
    """The best trial lies at the very end, but nothing leads there: no alarm."""
    losses = [0.1 if number == 26 else 0.3 + 0.01 * (number % 5) for number in range(27)]
    assert severities(study(val_loss=losses, optimiser__lr=RATES))["boundary"] == "ok"


def test_an_end_at_which_runs_die_is_no_end_to_go_beyond():
    """The same fall, but the two highest rates died: the range is not to go on upwards."""
    losses = [*(0.5 - 0.3 * PLACES[:25]), 0.6931, 0.6931]
    assert severities(study(val_loss=losses, optimiser__lr=RATES))["boundary"] == "ok"


def test_a_start_outside_its_range_is_no_boundary():
    """The baseline's weight decay of 0 is not in the range at all, so it cannot lie at its end."""
    decay = [0.0 if n == 12 else ... for n in range(27)]
    losses = [0.01 if n == 12 else ... for n in range(27)]
    assert severities(study(val_loss=losses, optimiser__weight_decay=decay))["boundary"] == "ok"


def test_a_limit_is_no_end_to_search_beyond():
    """The more members the better, up to the largest ensemble there may be: only without that limit it is an alarm."""
    members = [2 + number % 4 for number in range(27)]
    record = study(val_loss=[0.5 - 0.05 * count + 1e-3 * (n % 7) for n, count in enumerate(members)])
    record.trials["ensemble.members"] = members
    (asked,) = [p for p in stage_named("ensemble").parameters if p.path == "ensemble.members"]
    assert severities(saying(record, parameters=(asked,)))["boundary"] == "ok"
    free = dataclasses.replace(asked, limits=())
    assert severities(saying(record, parameters=(free,)))["boundary"] == "warn"


@pytest.mark.parametrize(("optimum", "side"), [(0.5, None), (0.3, None), (0.7, None), (1.3, 1), (-0.3, 0), (1.0, 1)])
def test_a_parabola_is_judged_by_its_lowest_point(optimum, side):
    """Without noise a lowest point inside the range is none of its ends."""
    assert falling_side(PLACES, (PLACES - optimum) ** 2, 1) == side


@pytest.mark.parametrize("domain", [Uniform(0.7, 0.99), LogUniform(2e-4, 0.02), IntRange(2, 10)])
def test_a_place_is_found_again_by_its_value(domain):
    """`value_at` is the inverse of `position`, at the ends and between them."""
    for place in (0.0, 0.25, 0.5, 1.0):
        assert domain.position(value_at(domain, place)) == pytest.approx(place)
