"""How a study selects, judged on a table of real training runs: a look-up in place of training.

    python -m benchmarks.selection --table FILE.csv.gz --trials N --studies M [--null] [--seed S] [--repeats R]

A study draws N of the table's configs at random, trial 0 (the start) always among them, has one run of each, all under
one seed, and goes on with the product's own race and decision (`analysis.procedure`) until they settle. `--null` gives
every config independent draws of the start's runs: whatever is proven there is an error.

A row of the table is an epoch: `trial`, `arm`, `seed`, `epoch`, `val_loss`, `test_accuracy`, and columns that are not
read (`benchmarks.selection_table` makes one). A run's value is its best epoch's val_loss; a run with an epoch without
val_loss diverged, and counts in a config's true quality as guessing. Seeds of a study are a permutation of the table's:
search, race and decision have different ones as long as there are any left; then the decision goes on with those that
were used before it, the latest first, never with the same seed twice; so its seeds are bounded by the table's.

The last line is a JSON object, means over studies: `trials`, `runs` (search included), `adopted` (share of studies
whose answer is proven), `val_loss` and `test_accuracy` (true quality of the config one ends with, proven or not: mean
over seeds), `worse` (share that ends with a config truly worse than the start), `start_val_loss`,
`start_test_accuracy`, `best_val_loss` (of the best among the N).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.procedure import REPEATS, START, Procedure, Settled, next_runs, plan
from analysis.race import Outcome, Run
from benchmarks.study import positive
from trainables.errors import InputError
from trainables.result import Metric

METRIC = Metric("val_loss", "min")
CHANCE, CHANCE_ACCURACY = math.log(2), 0.5  # of balanced pairs
LEARNED = 0.01  # a validation loss that far below chance's at least
COLUMNS = ("trial", "arm", "seed", "epoch", "val_loss", "test_accuracy")


@dataclass(frozen=True)
class Table:
    """Outcomes (configs, seeds), each config's arm, and what is true of it: mean val_loss and test accuracy."""

    outcomes: tuple[tuple[Outcome, ...], ...]
    arms: tuple[str, ...]
    val_loss: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    chance: float

    @property
    def seeds(self) -> int:
        """Return how many runs each config has."""
        return len(self.outcomes[0])


def read_table(path: Path) -> Table:
    """Read a table; raise InputError where it is none."""
    try:
        epochs = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: no table that can be read ({error})") from error
    lacking = [column for column in COLUMNS if column not in epochs]
    if lacking:
        raise InputError(f"{path}: no column {', '.join(lacking)}; a row is an epoch of a run ({', '.join(COLUMNS)})")
    run = ["trial", "seed"]
    diverged = epochs["val_loss"].isna().groupby([epochs["trial"], epochs["seed"]]).max()
    best = epochs.sort_values("val_loss", kind="stable").drop_duplicates(run).set_index(run).sort_index()
    trials, seeds = epochs["trial"].unique(), epochs["seed"].unique()
    if START not in trials or len(best) != len(trials) * len(seeds):
        raise InputError(f"{path}: every trial, {START} among them, must have a run of every seed")
    order = [START, *sorted(trial for trial in trials if trial != START)]
    loss = best["val_loss"].mask(diverged).unstack().loc[order].to_numpy(dtype=float)
    accuracy = best["test_accuracy"].mask(diverged, CHANCE_ACCURACY).unstack().loc[order].to_numpy(dtype=float)
    # on another scale a network that learned nothing is no better than the start's typical run
    living = loss[0][np.isfinite(loss[0])]
    chance = max(CHANCE, float(np.median(living))) if len(living) else CHANCE
    return Table(
        outcomes=tuple(tuple(outcome(value, chance) for value in row) for row in loss.tolist()),
        arms=tuple(epochs.groupby("trial")["arm"].first().astype(str).loc[order]),
        val_loss=np.nan_to_num(loss, nan=chance).mean(1),
        test_accuracy=accuracy.mean(1),
        chance=chance,
    )


def outcome(loss: float, chance: float) -> Outcome:
    """Return how a run of this best loss ended; not a number is a diverged one."""
    return Outcome(None, False) if math.isnan(loss) else Outcome(loss, loss < chance - LEARNED)


def seeds_of_study(count: int, first: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the table's seeds in the order of a study's: `first` for search and race, then all `count` for decisions.

    A race longer than the table goes round again.
    """
    seeds = rng.permutation(count)
    return np.concatenate([np.resize(seeds, first), seeds[first:], seeds[:first][::-1]])


@dataclass(frozen=True)
class Study:
    """One simulated study: what it ended with, as the table's row, and the runs that it took."""

    config: int
    proven: bool
    runs: int
    drawn: NDArray[np.int64]


def simulate(table: Table, procedure: Procedure, trials: int, null: bool, rng: np.random.Generator) -> Study:
    """Draw a study from the table and carry it out."""
    drawn = np.concatenate([[START], 1 + rng.permutation(len(table.outcomes) - 1)[: trials - 1]])
    order = seeds_of_study(table.seeds, 1 + procedure.race.seeds, rng)
    lots = rng.integers(table.seeds, size=(trials, len(order))) if null else None

    def look_up(trial: int, seed: int) -> Outcome:
        if lots is not None:
            return table.outcomes[START][int(lots[trial, seed])]
        return table.outcomes[int(drawn[trial])][int(order[seed])]

    search = {trial: look_up(trial, 0) for trial in range(trials)}
    arms = {trial: table.arms[drawn[trial]] for trial in range(trials)}
    known: dict[Run, Outcome] = {}
    while not isinstance(wanted := next_runs(procedure, search, arms, known), Settled):
        known |= {run: look_up(run.trial, 1 + run.seed) for run in wanted}
    return Study(int(drawn[wanted.use]), wanted.proven, trials + len(known), drawn)


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, metavar="FILE.csv.gz")
    parser.add_argument("--trials", type=positive, default=24, metavar="N", help="configs in a study (default: 24)")
    parser.add_argument("--studies", type=positive, default=2000, metavar="M", help="default: 2000")
    parser.add_argument("--repeats", type=positive, default=REPEATS, metavar="R", help="most seeds of the decision")
    parser.add_argument("--null", action="store_true", help="every config is the start")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws (default: 0)")
    args = parser.parse_args(argv)
    try:
        table = read_table(args.table)
    except InputError as error:
        parser.error(str(error))
    trials = min(args.trials, len(table.outcomes))
    procedure = plan(trials, len(set(table.arms)), METRIC, table.chance, min(args.repeats, table.seeds))
    rng = np.random.default_rng(args.seed)
    studies = [simulate(table, procedure, trials, args.null, rng) for _ in range(args.studies)]
    loss, accuracy = table.val_loss, table.test_accuracy
    if args.null:
        loss, accuracy = np.full_like(loss, loss[0]), np.full_like(accuracy, accuracy[0])
    ends = np.array([study.config for study in studies])
    figures = {
        "trials": trials,
        "runs": float(np.mean([study.runs for study in studies])),
        "adopted": float(np.mean([study.proven for study in studies])),
        "val_loss": float(loss[ends].mean()),
        "test_accuracy": float(accuracy[ends].mean()),
        "worse": float(np.mean(loss[ends] > loss[0])),
        "start_val_loss": float(loss[0]),
        "start_test_accuracy": float(accuracy[0]),
        "best_val_loss": float(np.mean([loss[study.drawn].min() for study in studies])),
    }
    print(json.dumps({name: round(value, 5) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
