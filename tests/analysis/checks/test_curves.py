"""The checks on curves: trends are told from noise, by many curves together."""

import numpy as np
import pytest

from analysis.checks.training_length import annealed
from analysis.checks.trend import trend
from storage.finding import Anneal, Longer, Narrow, Regularise, Shorter
from tests.analysis.checks.build import found, severities
from tests.build import study

EPOCHS = np.arange(20.0)


def noisy(level, noise=0.05):
    """Curves round `level` (20,) with 5 % noise an epoch, different for each trial."""
    noise = np.random.default_rng(0).normal(0, noise, (27, 20))
    return lambda number: level * np.exp(noise[number]) * (1 + 0.001 * number)


def test_rising_validation_loss_is_overfitting():
    """Curves that rise by more than half after an early minimum warn; settled ones with 5 % noise do not."""
    finding = found(study(curve=noisy(0.3 + 0.3 * np.exp(-EPOCHS) + 0.02 * EPOCHS)), "overfitting")
    assert (finding.severity, finding.remedy) == ("warn", Regularise())
    assert severities(study(curve=noisy(0.3 + 0.3 * np.exp(-EPOCHS / 2))))["overfitting"] == "ok"


def test_curves_with_negative_values_have_no_relative_trend():
    """A falling log-likelihood is no loss on a ratio scale: no trend, where clipping it would make it flat."""
    falling = 0.3 - 0.02 * EPOCHS[None, :] * np.ones((5, 1))
    assert trend(falling + 1.0, 0) is not None
    assert trend(falling, 0) is None


def test_one_arm_that_overfits_is_named():
    """Only the cosine arm's curves rise: it alone is named."""
    flat, rising = noisy(np.full(20, 0.3)), noisy(0.3 + 0.01 * EPOCHS)
    finding = found(study(curve=lambda number: (rising if number % 3 == 2 else flat)(number)), "overfitting")
    assert finding.severity == "warn"
    assert "cosine" in finding.evidence and "constant" not in finding.evidence


def test_rising_training_loss_is_a_fault():
    """Training loss that rises while validation loss does not warns under a name of its own."""
    record = study()
    record.epochs["train_loss"] = 0.2 + 0.01 * record.epochs["epoch"]
    assert severities(record)["training loss"] == "warn"
    assert severities(study())["training loss"] == "ok"


def test_curves_that_still_fall_ask_for_more_epochs():
    """2 % an epoch to the end: twice the epochs; settled at 40 %, with 2 % noise: half of them would do."""
    finding = found(study(curve=noisy(0.5 * np.exp(-0.02 * EPOCHS))), "training length")
    assert (finding.severity, finding.remedy) == ("warn", Longer(2))
    finding = found(study(curve=noisy(0.3 + 0.4 * np.exp(-EPOCHS / 2), 0.02)), "training length")
    assert (finding.severity, finding.remedy) == ("note", Shorter(0.5))


def test_curves_that_fall_with_their_rate_do_not():
    """Under a rate that falls to a tenth the loss falls to the end: only the other trials are asked, or nobody."""
    record = study(curve=noisy(0.5 * np.exp(-0.02 * EPOCHS)))
    record.epochs["lr"] = 0.01 * (1 - 0.9 * record.epochs["epoch"] / 20)
    finding = found(record, "training length")
    assert finding.severity == "note" and finding.evidence.startswith("not judged: the rate")


@pytest.mark.parametrize(("last", "expected"), [(0.01, False), (0.006, False), (0.004, True), (np.nan, False)])
def test_annealed_is_a_rate_that_ends_below_half_its_highest(last, expected):
    """A warm-up alone is no annealing; an unknown rate counts as constant."""
    assert annealed(np.array([[0.001, 0.01, last]])) is expected


@pytest.mark.parametrize(("best", "severity"), [(1, "warn"), (2, "warn"), (3, "ok"), (20, "ok")])
def test_best_epochs_in_the_first_tenth_are_said(best, severity):
    """Leading trials best in the first two of 20 epochs warn, and rates below all of theirs are to be searched."""
    record = study(best_epoch=[best] * 27)
    assert severities(record)["early best epochs"] == severity
    if severity == "warn":
        leading = record.trials.sort_values("val_loss").head(5)
        lowest = leading["optimiser.lr"].min()
        assert found(record, "early best epochs").remedy == Narrow("optimiser.lr", 2e-4, pytest.approx(lowest))


def test_a_loss_that_jumps_from_epoch_to_epoch_is_said():
    """20 % jumps late in training ask for a falling rate; 5 % do not."""
    wild = np.random.default_rng(0).normal(0, 0.2, (27, 20))
    finding = found(study(curve=lambda number: 0.3 * np.exp(wild[number])), "late variance")
    assert (finding.severity, finding.remedy) == ("warn", Anneal())
    assert severities(study(curve=noisy(np.full(20, 0.3))))["late variance"] == "ok"


def test_the_common_line_is_that_of_least_squares_with_a_level_for_each_curve():
    """Slope, error and noise equal those of a regression written with a design matrix."""
    curves = np.exp(np.random.default_rng(0).normal(0, 0.1, (4, 6)) - 0.03 * np.arange(6) + np.arange(4)[:, None])
    line = trend(curves, 0)
    design = np.column_stack([np.kron(np.eye(4), np.ones((6, 1))), np.tile(np.arange(6.0), 4)])
    values = np.log(curves).ravel()
    fitted, squares, *_ = np.linalg.lstsq(design, values, rcond=None)
    variance = squares[0] / (24 - 5)
    assert (line.slope, line.freedom) == (pytest.approx(fitted[-1]), 19)
    assert line.noise == pytest.approx(np.sqrt(variance))
    assert line.error == pytest.approx(np.sqrt(variance * np.linalg.inv(design.T @ design)[-1, -1]))
