"""The benchmarks' contracts: options in, tables and one JSON object out; their figures belong to docs/experiments.md."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import against_tuners, growth, overhead, tutorial
from benchmarks.growth import first_chips
from benchmarks.study import write_chips
from trainables.data import ChipSet
from trainables.images.synthetic import simulate

SMALL = ["--trials", "2", "--epochs", "1", "--at-once", "1"]


def last_line(capfd):
    """The JSON object that a benchmark ended with."""
    return json.loads(capfd.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """Sixty simulated chips in a file."""
    return str(write_chips(simulate(60, seed=3), tmp_path_factory.mktemp("chips")))


@pytest.mark.ray
@pytest.mark.slow
def test_tutorial_times_both_sides_and_compares_one_config(npz, capfd):
    """Both sides search the user's chips, and train one config under as many seeds; the ratio is that of the seconds."""
    assert tutorial.main(["--data", npz, *SMALL, "--seeds", "2", "--theta", "0.4"]) == 0
    result = last_line(capfd)
    assert 0 < result["ours_s"] < result["ours_whole_s"]
    assert result["ratio"] == pytest.approx(result["tutorial_s"] / result["ours_s"])
    assert (result["chips"], result["trials"], result["epochs"]) == (60, 2, 1)
    sides = result["val_loss"]["ours"], result["val_loss"]["tutorial"]
    assert all(side["n"] == 2 and 0.5 < side["mean"] < 0.9 for side in sides)
    low, high = result["val_loss"]["interval"]
    assert low < result["val_loss"]["difference"] < high


@pytest.mark.ray
@pytest.mark.slow
def test_overhead_trains_the_same_trials_bare(npz, capfd):
    """The bare processes train what the study trained, to the bit, and the study's core-seconds contain theirs."""
    assert overhead.main(["--data", npz, *SMALL, "--repeats", "1"]) == 0
    result = last_line(capfd)
    assert result["same_losses"] is True
    assert result["ratio"] == pytest.approx(result["study_s"] / result["bare_s"])
    assert result["whole_ratio"] == pytest.approx(result["whole_study_s"] / result["whole_bare_s"])
    assert 0 < result["bare_s"] < result["study_s"] < result["whole_study_s"]
    assert result["bare_s"] < result["whole_bare_s"]


@pytest.mark.slow
def test_growth_measures_each_size(npz, capfd):
    """A row for each size, at most of the chips that there are; a worker's peak is above what it had before its data."""
    assert growth.main(["--data", npz, "--chips", "500", "--trials", "2", "--epochs", "2"]) == 0
    result = last_line(capfd)
    assert [row["chips"] for row in result["chips"]] == [60]
    assert [row["trials"] for row in result["trials"]] == [2]
    assert all(value > 0 for row in [*result["chips"], *result["trials"]] for value in row.values())
    assert all(row["worker_bytes"] > row["worker_base_bytes"] for row in result["chips"])


@pytest.mark.parametrize("benchmark", [tutorial, growth])
def test_images_that_cannot_be_used_are_one_line(tmp_path, capfd, benchmark):
    """A benchmark ends with exit status 2 and the reader's own words, not with a traceback."""
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "0.png")
    assert benchmark.main(["--data", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert "only one class to compare" in said
    assert "Traceback" not in said


def test_a_part_of_a_set_has_classes_that_can_be_split():
    """Of many small classes a part takes as many as have ten chips each; of two it takes both alike."""
    labels = np.repeat(np.arange(8), 12)
    many = ChipSet(np.zeros((96, 75, 75, 3), np.uint8), labels, tuple("abcdefgh"), "many")
    assert first_chips(many, 30).counts() == {"a": 10, "b": 10, "c": 10}
    assert first_chips(simulate(60), 20).counts() == {"iceberg": 10, "ship": 10}
    assert first_chips(many, 96) is many


@pytest.mark.slow
def test_other_tuners_get_as_many_runs_and_what_is_done_is_not_run_again(tmp_path, capfd):
    """Each tuner's recommendation is judged under fresh seeds; a row that stands in --out is taken from there."""
    arguments = ["--runs", "3", "--repetitions", "1", "--epochs", "1", "--seeds", "2", "--tuners", "optuna-random"]
    out = tmp_path / "rows.csv"
    assert against_tuners.main([*arguments, "--out", str(out)]) == 0
    first = last_line(capfd)["optuna-random"]
    assert (first["runs"], first["repetitions"]) == (3, 1)
    assert 0.3 < first["val_loss"]["mean"] < 0.8
    assert 0.4 < first["test_accuracy"]["mean"] < 1
    out.write_text(out.read_text().replace("optuna-random,0,3,", "optuna-random,0,4,"))
    assert against_tuners.main([*arguments, "--out", str(out)]) == 0
    assert last_line(capfd)["optuna-random"]["runs"] == 4
    assert against_tuners.main(["--tuners", "grid"]) == 2
