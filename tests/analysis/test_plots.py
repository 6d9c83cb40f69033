import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.curves import WINDOW, axis_points, loss_curves
from analysis.plots import draw_axes, draw_losses, draw_pairs
from search_spaces.domain import from_dict
from tests.analysis.test_diagnose import LOSS, PATHS, study


def is_drawn(path):
    """A picture that is not one colour."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return min(pixels.shape[:2]) > 200 and pixels.std() > 5


def test_loss_curves_are_those_of_the_best_and_the_start():
    """The four best trials and trial 0, each with training and validation, smoothed by a centred window of three."""
    record = study()
    curves = loss_curves(record, LOSS)
    assert curves["trial"].nunique() == 5
    assert 0 in set(curves["trial"])
    one = curves[(curves["trial"] == 0) & (curves["split"] == "validation")]
    loss = record.epochs[record.epochs["trial"] == 0]["val_loss"].to_numpy()
    assert one["loss"].tolist() == loss.tolist()
    assert one["smooth"].iloc[5] == pytest.approx(loss[4:7].mean())
    assert one["smooth"].iloc[0] == pytest.approx(loss[:2].mean())
    assert WINDOW == 3


def test_axis_points_have_every_finished_trial_once_a_parameter():
    """Each varied parameter shows all finished trials that have it: gamma only those of the exponential arm."""
    record = study(status=["infeasible"] + ["finished"] * 26)
    points = axis_points(record, LOSS, PATHS)
    assert (points["path"] == "optimiser.lr").sum() == 26
    assert set(points[points["path"] == "schedule.gamma"]["arm"]) == {"exponential"}
    assert 0 not in set(points["trial"])


def test_figures_are_written(tmp_path):
    """Losses, axes (with a weight decay of 0 on a log axis) and pairs become pictures, and no other file is left."""
    record = study(optimiser__weight_decay=[0.0] + [...] * 26)
    draw_losses(loss_curves(record, LOSS), tmp_path / "figures" / "losses.png")
    domains = {p["path"]: from_dict(p["domain"]) for p in record.manifest["parameters"] if p["domain"]}
    draw_axes(axis_points(record, LOSS, list(domains)), domains, "val_loss", 12, tmp_path / "figures" / "axes.png")
    chips = np.random.default_rng(0).random((10, 75, 75, 3)).astype(np.float32)
    draw_pairs(chips[:5], chips[5:], ["similar"] * 5, tmp_path / "figures" / "pairs.png")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["axes.png", "losses.png", "pairs.png"]
    assert all(is_drawn(path) for path in (tmp_path / "figures").iterdir())


def test_a_single_trial_can_be_drawn(tmp_path):
    """One finished trial of one epoch is enough for both figures."""
    record = study(count=1, curve=lambda number: np.array([0.5]), epochs=1)
    draw_losses(loss_curves(record, LOSS), tmp_path / "l.png")
    domains = {"optimiser.lr": from_dict({"kind": "log-uniform", "low": 1e-4, "high": 1})}
    draw_axes(axis_points(record, LOSS, ["optimiser.lr"]), domains, "val_loss", 0, tmp_path / "a.png")
    assert is_drawn(tmp_path / "l.png")
    assert is_drawn(tmp_path / "a.png")
    assert isinstance(axis_points(record, LOSS, []), pd.DataFrame)
