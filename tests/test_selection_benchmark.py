"""The benchmark that simulates studies on a table: its contract on small made tables."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.race import Outcome
from benchmarks import selection, selection_error, selection_table
from benchmarks.selection import CHANCE, Table, read_table, seeds_of_study
from trainables.errors import InputError

KEYS = [
    "trials",
    "runs",
    "adopted",
    "val_loss",
    "test_accuracy",
    "worse",
    "start_val_loss",
    "start_test_accuracy",
    "best_val_loss",
]


def made(path, means, seeds=12, epochs=3, arms=4, diverged=()):
    """Write a table: losses fall to `means` plus the run's own luck; `diverged` names (trial, seed) without a loss."""
    rng, rows = np.random.default_rng(0), []
    for trial, mean in enumerate(means):
        for seed in range(seeds):
            best = mean + 0.03 * rng.normal()
            for epoch in range(1, epochs + 1):
                lost = (trial, seed) in diverged and epoch == epochs
                rows.append(
                    {
                        "trial": trial,
                        "arm": f"arm {trial % arms}",
                        "some.parameter": trial,
                        "seed": seed,
                        "epoch": epoch,
                        "val_loss": np.nan if lost else best + 0.1 * (epoch != 2),
                        "test_accuracy": 0.9 if epoch == 2 else 0.1,
                    }
                )
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def printed(capsys, *argv):
    """Run the benchmark; return the object on its last line."""
    selection.main([str(word) for word in argv])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_best_of_a_clear_table_is_adopted(tmp_path, capsys):
    """One config of ten is better by 6 SDs: nearly every study that has it ends with it; the keys are the contract's."""
    table = made(tmp_path / "t.csv.gz", [0.45] * 9 + [0.2])
    result = printed(capsys, "--table", table, "--trials", 10, "--studies", 40)
    assert list(result) == KEYS
    assert (result["trials"], result["worse"]) == (10, 0)
    assert result["adopted"] >= 0.95
    assert result["val_loss"] == pytest.approx(result["best_val_loss"]) == pytest.approx(0.2, abs=0.03)
    assert result["start_val_loss"] == pytest.approx(0.45, abs=0.03)
    assert result["test_accuracy"] == result["start_test_accuracy"] == pytest.approx(0.9)
    assert 10 < result["runs"] < 60


def test_null_studies_end_where_the_start_is_and_are_repeatable(tmp_path, capsys):
    """Every config is the start: its quality is the answer's, hardly anything is adopted, and a seed is a result."""
    table = made(tmp_path / "t.csv", [0.45] * 5 + [0.1])
    argv = ["--table", table, "--trials", 6, "--studies", 100, "--null", "--seed", 3]
    result = printed(capsys, *argv)
    assert result == printed(capsys, *argv)
    assert result["adopted"] <= 0.05
    assert result["worse"] == 0
    assert result["val_loss"] == result["start_val_loss"] == result["best_val_loss"]


def test_a_table_is_read_by_its_best_epochs(tmp_path):
    """Best epoch by val_loss; a run with an epoch without one diverged, and counts as guessing in what is true."""
    table = read_table(made(tmp_path / "t.csv", [0.4, 0.3], seeds=4, diverged={(1, 2)}))
    assert [run.value is None for run in table.outcomes[1]] == [False, False, True, False]
    assert table.chance == CHANCE
    living = [run.value for run in table.outcomes[1] if run.value is not None]
    assert table.val_loss[1] == pytest.approx((sum(living) + CHANCE) / 4)
    assert table.test_accuracy.tolist() == pytest.approx([0.9, (3 * 0.9 + 0.5) / 4])
    assert table.arms == ("arm 0", "arm 1")


@pytest.mark.parametrize(("seeds", "first"), [(20, 5), (10, 5), (5, 5), (3, 6)])
def test_phases_share_seeds_only_where_there_are_too_few(seeds, first):
    """Search and race, then the decision: no seed twice within it, and those unused before come first."""
    order = seeds_of_study(seeds, first, np.random.default_rng(0)).tolist()
    early, late = order[:first], order[first:]
    assert sorted(late) == list(range(seeds))
    assert len(set(early)) == min(first, seeds)
    fresh = max(seeds - first, 0)
    assert not set(late[:fresh]) & set(early)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_tables_of_few_seeds_work(tmp_path, capsys, seeds):
    """Below three seeds nothing can be proven; nothing else breaks, with more trials asked for than there are."""
    table = made(tmp_path / "t.csv", [0.45, 0.2, 0.3], seeds=seeds, diverged={(0, 0)})
    result = printed(capsys, "--table", table, "--trials", 30, "--studies", 20)
    assert result["trials"] == 3
    assert seeds > 2 or result["adopted"] == 0


def test_a_table_that_is_none_is_told_in_one_line(tmp_path):
    """What is missing, and what would be right."""
    (tmp_path / "t.csv").write_text("trial,seed,epoch\n0,0,1\n")
    with pytest.raises(InputError, match=r"t\.csv: no column arm, val_loss, test_accuracy; a row is an epoch"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"none\.csv: no table that can be read"):
        read_table(tmp_path / "none.csv")
    frame = pd.read_csv(made(tmp_path / "u.csv", [0.4, 0.3], seeds=2))
    frame[1:].query("trial != 1 or seed != 1").to_csv(tmp_path / "u.csv", index=False)
    with pytest.raises(InputError, match="must have a run of every seed"):
        read_table(tmp_path / "u.csv")


def test_worlds_of_known_truth_are_measured(capsys):
    """A row a world; a gain of 3 SDs is proven, and never one that is none."""
    selection_error.main(["--studies", "20", "--only", "one better by 3 SD"])
    [row] = json.loads(capsys.readouterr().out.splitlines()[-1])["worlds"]
    assert row["proven"] >= 0.9
    assert row["wrong"] == 0


@pytest.mark.slow
def test_a_table_of_real_runs_is_made_and_read(tmp_path, capsys):
    """Two configs of the rate's stage under two seeds, two epochs each: the benchmark reads what was written."""
    out = tmp_path / "t.csv.gz"
    argv = ["--stage", "lr", "--trials", "2", "--seeds", "2", "--epochs", "2", "--chips", "80", "--out", str(out)]
    selection_table.main(argv)
    frame = pd.read_csv(out)
    assert list(frame.columns[:2]) == ["trial", "arm"]
    assert {"optimiser.lr", "schedule.kind", "train_loss", "val_accuracy"} <= set(frame.columns)
    assert len(frame) == json.loads(capsys.readouterr().out.splitlines()[-1])["epochs"] * 4
    table = read_table(out)
    assert isinstance(table, Table)
    assert all(isinstance(run, Outcome) and 0.3 < run.value < 1 for row in table.outcomes for run in row)
    assert list(tmp_path.iterdir()) == [out]
