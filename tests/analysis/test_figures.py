"""Guards the figures: the numbers behind each, that each is drawn, and the lists of figures and of sections."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis.figures
import analysis.sections
from analysis.curve_chart import MOST, curve_chart
from analysis.figures import FIGURES
from analysis.figures.axes import axis_points, draw_axes
from analysis.figures.best_so_far import best_so_far, draw_best_so_far
from analysis.figures.costs import cost_points, draw_costs
from analysis.figures.figure import WINDOW
from analysis.figures.importance import ENOUGH, draw_importance, importance_shares
from analysis.figures.isolation import ISOLATION, draw_isolation
from analysis.figures.losses import draw_losses, loss_curves
from analysis.figures.pairs import draw_pairs
from analysis.figures.parallel import draw_parallel, parallel_points
from analysis.sections import SECTIONS
from analysis.shown import Shown
from search_spaces.domain import LogUniform
from storage.report_json import ArmAnswer, Cost, Report
from tests.build import LOSS, PATHS, study
from tests.page import is_drawn


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
    domains = record.manifest.domains
    draw_axes(axis_points(record, LOSS, list(domains)), domains, "val_loss", 12, tmp_path / "figures" / "axes.png")
    chips = np.random.default_rng(0).random((10, 75, 75, 3)).astype(np.float32)
    draw_pairs(chips[:5], chips[5:], ["similar"] * 5, tmp_path / "figures" / "pairs.png")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["axes.png", "losses.png", "pairs.png"]
    assert all(is_drawn(path) for path in (tmp_path / "figures").iterdir())


def test_a_single_trial_can_be_drawn(tmp_path):
    """One finished trial of one epoch is enough for both figures."""
    record = study(count=1, curve=lambda number: np.array([0.5]), epochs=1)
    draw_losses(loss_curves(record, LOSS), tmp_path / "l.png")
    domains = {"optimiser.lr": LogUniform(1e-4, 1)}
    draw_axes(axis_points(record, LOSS, ["optimiser.lr"]), domains, "val_loss", 0, tmp_path / "a.png")
    assert is_drawn(tmp_path / "l.png")
    assert is_drawn(tmp_path / "a.png")
    assert isinstance(axis_points(record, LOSS, []), pd.DataFrame)


def domains_of(record):
    return record.manifest.domains


def test_best_so_far_is_the_running_best_by_number_and_by_time_spent():
    """After k trials it is the least of the first k losses, in the order of their numbers; minutes add up the seconds."""
    losses = [0.5, 0.4, 0.6, 0.3]
    record = study(count=4, status=["finished"] * 4, val_loss=losses, seconds=[30.0, 60.0, 30.0, 60.0])
    progress = best_so_far(record, LOSS)
    assert progress["best"].tolist() == [0.5, 0.4, 0.4, 0.3]
    assert progress["minutes"].tolist() == [0.5, 1.5, 2.0, 3.0]
    assert progress["count"].tolist() == [1, 2, 3, 4]


def test_a_line_crosses_each_axis_where_the_value_was_sampled():
    """The middle of a logarithmic range is at one half, what an arm lacks, or lies outside, is a gap."""
    record = study(optimiser__weight_decay=[0.0] + [...] * 26, optimiser__lr=[..., 2e-3] + [...] * 25)
    points = parallel_points(record, LOSS, domains_of(record)).set_index("trial")
    assert points.loc[1, "optimiser.lr"] == pytest.approx(0.5)
    assert np.isnan(points.loc[0, "optimiser.weight_decay"])
    assert points["schedule.gamma"].notna().sum() == 9
    assert points["schedule.kind"].isin([0.0, 0.5, 1.0]).all()


def test_the_parameter_that_decides_has_the_importance():
    """Where the loss follows the rate alone, the rate has more of the importance than arm and decay together."""
    rng = np.random.default_rng(1)
    count = 60
    rates, decays = 10 ** rng.uniform(-3.6, -1.8, count), 10 ** rng.uniform(-4.9, -1.6, count)
    losses = list((np.log10(rates) + 2.7) ** 2)
    record = study(count=count, val_loss=losses, optimiser__lr=list(rates), optimiser__weight_decay=list(decays))
    shares = importance_shares(record, LOSS, domains_of(record))
    assert next(iter(shares)) == "optimiser.lr"
    assert shares["optimiser.lr"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {"arm", "optimiser.lr", "optimiser.weight_decay"}  # gamma and floor belong to one arm each


def test_few_trials_have_no_importance():
    """Below ten trials within their ranges nothing is said, also where nothing is common to all arms."""
    assert importance_shares(study(count=ENOUGH - 1), LOSS, domains_of(study())) == {}
    assert importance_shares(study(), LOSS, {"schedule.gamma": LogUniform(0.1, 1)}) == {}


def test_the_new_figures_are_drawn(tmp_path):
    """Best so far, importance and parallel coordinates become pictures, also with a constant metric."""
    for record in (study(), study(val_loss=[0.5] * 27)):
        draw_best_so_far(best_so_far(record, LOSS), "val_loss", tmp_path / "b.png")
        draw_importance({"optimiser.lr": 0.9, "arm": 0.1}, tmp_path / "i.png")
        domains = domains_of(record)
        draw_parallel(parallel_points(record, LOSS, domains), domains, "val_loss", 3, tmp_path / "p.png")
        assert all(is_drawn(tmp_path / name) for name in ("b.png", "p.png", "i.png"))


def test_arms_are_drawn_with_their_intervals(tmp_path):
    """Told apart, not told apart, and dropped before there was an interval: each has a row, and words."""
    arms = (
        ArmAnswer("cosine", 9, 4, 0.3, 8),
        ArmAnswer("constant", 9, 2, 0.4, 8, behind=0.1, half=0.02, common=8, apart=True),
        ArmAnswer("exponential", 9, 7, 0.31, 5, behind=0.01, half=0.05, common=5),
        ArmAnswer("step", 9, 8, 0.5, 1),
    )
    draw_isolation(arms, "val_loss", tmp_path / "isolation.png")
    assert is_drawn(tmp_path / "isolation.png")
    seen = ISOLATION.seen(Shown(study(), Report("", "", arms=arms)))
    assert seen.startswith("cosine leads; constant is behind by 0.1 plus or minus 0.02; ")
    assert seen.endswith("step was dropped after 1 new seed.")
    assert ISOLATION.seen(Shown(study(), Report("", "", arms=arms[:1]))) == ""


def test_the_chart_draws_the_best_curves_and_the_start_and_says_whose_they_are():
    """Of many trials the best hundred and trial 0 are drawn, the best last, each with its own points and words."""
    record = study(count=3 * MOST)
    chart = curve_chart(record, LOSS, PATHS)
    assert len(chart.curves) == MOST + 1
    assert chart.left_out == 2 * MOST - 1
    assert 0 in [curve.trial for curve in chart.curves]
    best = record.trials.sort_values(["val_loss", "trial"]).iloc[0]
    last = chart.curves[-1]
    assert last.trial == best["trial"]
    assert last.says.startswith(
        f"trial {best['trial']}, {best['arm']}: val_loss {best['val_loss']:.4f} in epoch 13 of 20"
    )
    assert len(last.points.split()) == 20
    places = [tuple(map(float, point.split(","))) for curve in chart.curves for point in curve.points.split()]
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in places)


def test_one_diverging_curve_does_not_flatten_the_others():
    """With one loss of a million the other curves still use most of the chart's height."""
    record = study(curve=lambda number: np.linspace(0.9, 0.3, 20) if number else np.linspace(0.9, 1e6, 20))
    chart = curve_chart(record, LOSS, PATHS)
    heights = [float(point.split(",")[1]) for point in chart.curves[-1].points.split()]
    assert max(heights) - min(heights) > 0.8 * (chart.bottom - chart.top)
    assert curve_chart(study(status=["failed"] * 27), LOSS, PATHS) is None


def test_every_figure_and_every_section_is_listed():
    """A file in figures/ or a template in sections/ that no list names would never be on the page."""
    files = {path.stem for path in Path(analysis.figures.__file__).parent.glob("*.py")}
    assert {Path(figure.file).stem for figure in FIGURES} == files - {"__init__", "canvas", "figure"}
    templates = {path.name for path in Path(analysis.sections.__file__).parent.glob("*.jinja")}
    assert {f"{section}.html.jinja" for section in SECTIONS} == templates


COSTS_OF = (
    Cost("exponential", 4, 0.93, 12.0, 0.4, 41_553),
    Cost("constant", 6, 0.95, 300.0, 5.0, 475_409),
)


def test_costs_show_every_trial_of_their_arms_and_the_time_of_each_arms_best(tmp_path):
    """A point for each finished trial of an arm that has costs, the timed ones with milliseconds; the figure is drawn."""
    record = study()
    points = cost_points(record.finished, COSTS_OF)
    assert set(points["arm"]) == {"exponential", "constant"}
    assert len(points) == 18
    timed = points[points["milliseconds"].notna()].set_index("trial")["milliseconds"]
    assert timed.to_dict() == {4: 0.4, 6: 5.0}
    draw_costs(points, tmp_path / "costs.png")
    assert is_drawn(tmp_path / "costs.png")
