"""How often the selection is wrong, and what it can show: the product's procedure in worlds whose truth is known.

    python -m benchmarks.selection_error [--studies 2000] [--trials 24] [--repeats 20] [--seed 0] [--only WORD]

A run's loss is its config's mean, plus an effect of the seed that all configs share, plus one of its own (normal, SD
0.055 together, correlation 0 or 0.6 between two configs, as measured at rates far apart and near); or the run dies: it
stays at guessing (ln 2), or diverges. Worlds: all configs equal (A against A), with deaths among all of them; every
config but the start unstable, its mean of all runs equal to the start's, so that those that live look better; one
config truly better than the start by some SD and the others worse, or a fifth of these unstable.

Prints a Markdown table, a row a world: shares of studies whose answer is proven, whose answer is proven and wrong (not
truly better), that end with a truly worse config, and whose race winner has its true gain within its interval; and
runs. The last line is a JSON object with the rows.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.procedure import REPEATS, START, Procedure, Settled, next_runs, plan
from analysis.race import Outcome, Run
from benchmarks.study import positive
from trainables.result import Metric

METRIC = Metric("val_loss", "min")
CHANCE = math.log(2)
SD = 0.055
ARMS = 3
SHARES = ("proven", "wrong", "worse", "covered")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """The start's loss, what two configs share of a seed's effect, deaths, and true gains in SDs of the seeds.

    Without `best` every config has the start's mean over all runs, deaths counted. `best`: what one config gains; the
    others are worse by an exponential draw of mean 1, `traps` of them better by 1 where they live, but 30 % die.
    """

    name: str
    start: float = 0.42
    shared: float = 0.6
    death: float = 0.0
    start_death: float = 0.0
    diverges: bool = False
    best: float | None = None
    traps: float = 0.0

    def configs(self, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a study's configs: means of the runs that live, and shares of those that die, each (count,)."""
        death = np.full(count, self.death)
        mean = np.full(count, self.start)
        if self.best is not None:
            mean[1:] += SD * rng.exponential(1.0, count - 1)
            trap = 1 + np.flatnonzero(rng.random(count - 1) < self.traps)
            mean[trap], death[trap] = self.start - SD, 0.3
            better = rng.integers(1, count)
            mean[better], death[better] = self.start - SD * self.best, 0.0
        elif self.start_death == 0:  # the mean over all runs is the start's
            mean = (mean - death * CHANCE) / (1 - death)
        mean[START], death[START] = self.start, self.start_death
        return mean, death


WORLDS = (
    *(World(f"all equal, shared effect {shared:g}", shared=shared) for shared in (0.0, 0.6)),
    World("all equal, near guessing", start=0.68),
    *(World(f"all equal, {p:.0%} of all runs stay at guessing", death=p, start_death=p) for p in (0.05, 0.2)),
    *(World(f"all equal, {p:.0%} of all runs diverge", death=p, start_death=p, diverges=True) for p in (0.02, 0.1)),
    *(World(f"no gain, every config dies under {p:.0%}", death=p) for p in (0.05, 0.1, 0.2, 0.35)),
    *(World(f"the same, start 0.25, under {p:.0%}", start=0.25, death=p) for p in (0.05, 0.1, 0.2)),
    *(World(f"one better by {gain:g} SD", best=gain) for gain in (0.5, 1.0, 1.5, 2.0, 3.0)),
    *(World(f"one better by {gain:g} SD, a fifth unstable", best=gain, traps=0.2) for gain in (0.0, 0.5, 1.0, 2.0)),
)


@dataclass(frozen=True)
class Study:
    """What one simulated study ended with; `covered`: the winner's interval holds its true gain."""

    proven: bool
    wrong: bool
    worse: bool
    covered: bool
    runs: int


def simulate(world: World, procedure: Procedure, trials: int, rng: np.random.Generator) -> Study:
    """Draw a study and carry it out; its one search seed comes first, then the new ones."""
    mean, death = world.configs(trials, rng)
    seeds = 1 + procedure.race.seeds + max(rule.most for rule in procedure.decisions)
    common, own = rng.standard_normal((1, seeds)), rng.standard_normal((trials, seeds))
    loss = mean[:, None] + SD * (math.sqrt(world.shared) * common + math.sqrt(1 - world.shared) * own)
    dies = rng.random((trials, seeds)) < death[:, None]

    def train(trial: int, seed: int) -> Outcome:
        if dies[trial, seed]:
            return Outcome(None if world.diverges else CHANCE, learned=False)
        return Outcome(float(loss[trial, seed]))

    search = {trial: train(trial, 0) for trial in range(trials)}
    arms = {trial: str(trial % ARMS) for trial in search}
    known: dict[Run, Outcome] = {}
    while not isinstance(wanted := next_runs(procedure, search, arms, known), Settled):
        known |= {run: train(run.trial, 1 + run.seed) for run in wanted}
    truth = (1 - death) * mean + death * CHANCE
    gain = float(truth[START] - truth[wanted.use])
    winner, decision = wanted.decisions[0]
    assert decision.low is not None and decision.high is not None
    covered = bool(decision.low <= truth[START] - truth[winner] <= decision.high)
    wrong = wanted.proven and gain < 1e-9
    return Study(wanted.proven, wrong, gain < -1e-9, covered, trials + len(known))


def measure(world: World, procedure: Procedure, trials: int, studies: int, seed: int) -> dict[str, float | str]:
    """Return a world's row."""
    rng = np.random.default_rng(seed)
    ended = [simulate(world, procedure, trials, rng) for _ in range(studies)]
    return {
        "world": world.name,
        "proven": float(np.mean([study.proven for study in ended])),
        "wrong": float(np.mean([study.wrong for study in ended])),
        "worse": float(np.mean([study.worse for study in ended])),
        "covered": float(np.mean([study.covered for study in ended])),
        "runs": float(np.mean([study.runs for study in ended])),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate all worlds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=positive, default=2000, metavar="M", help="a world (default: 2000)")
    parser.add_argument("--trials", type=positive, default=24, metavar="N", help="configs in a study (default: 24)")
    parser.add_argument("--repeats", type=positive, default=REPEATS, metavar="R", help="most seeds of the decision")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--only", default="", metavar="WORD", help="worlds whose name holds this")
    args = parser.parse_args(argv)
    procedure = plan(args.trials, ARMS, METRIC, CHANCE, args.repeats)
    print(f"{args.studies} studies a world, {args.trials} trials, at most {args.repeats} seeds\n")
    print("| world | proven | wrong | ends worse | interval holds the gain | runs |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    rows = []
    for world in WORLDS:
        if args.only in world.name:
            row = measure(world, procedure, args.trials, args.studies, args.seed)
            rows.append(row)
            cells = [f"{row[name]:.1%}" for name in SHARES]
            cells = [world.name, *cells, f"{row['runs']:.1f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(json.dumps({"studies": args.studies, "trials": args.trials, "repeats": args.repeats, "worlds": rows}))


if __name__ == "__main__":
    main()
