"""How often the checks see what is there, and how often they see what is not: error rates by simulation.

    python -m benchmarks.detectors [--studies 400] [--seed 0] [--check NAME] [--table lr_table.csv.gz]

Each row simulates studies of a world (benchmarks/detector_worlds.py) and asks the product's own check, as a report
does: `clear` worlds have the fault that it looks for, `weak` ones a smaller one, `none` have not. A rate is the
share of studies in which the check warns or fails (of saturation: in which it says that half the epochs would do; of
separation: in which it says that two arms differ), with Wilson's 95 % interval. The last line is one JSON object: for
each check `detection`, the rate in its clear world at the `lr` stage's default budget (24 trials of 20 epochs),
`false_alarms`, the highest rate of all its worlds without the fault and all budgets, and `worlds` with every rate.

With `--table`, a table of real runs (columns trial, arm, the varied paths, seed, epoch, train_loss, val_loss,
val_accuracy), studies of 12 and 24 of its configs are drawn instead, a run each and five new seeds of the best, and
the share in which each check warns is printed. Where the table knows the truth (the mean of all seeds of a config) so
is the share of the warnings that are true.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.checks import CHECKS, Evidence, Finding
from analysis.intervals import wilson
from benchmarks.detector_table import Table
from benchmarks.detector_worlds import BUDGETS, WORLDS, World

CLEAR = "clear"
DEFAULT = "24x20"
CHECK_OF = {check.__name__.replace("_", " "): check for check in CHECKS}


def alarmed(check: str, findings: Sequence[Finding]) -> bool:
    """Return whether the findings say what the check looks for."""
    if check == "saturation":
        return any(finding.remedy is not None and finding.severity == "note" for finding in findings)
    if check == "separation":
        return any(finding.severity == "ok" for finding in findings)
    return any(finding.severity in ("warn", "fail") for finding in findings)


def findings_of(check: str, evidence: Evidence) -> list[Finding]:
    """Return what the check of that name finds; `saturation` is the other answer of `training length`."""
    return CHECK_OF["training length" if check == "saturation" else check](evidence)


def rate(check: str, world: World, budget: str, studies: int, seed: int) -> tuple[float, float, float]:
    """Return the share of simulated studies in which the check warns, with its 95 % interval."""
    mark = [ord(letter) for letter in f"{check} {world.name} {budget}"]
    rng = np.random.default_rng([seed, *mark])
    trials, epochs = BUDGETS[budget]
    hits = sum(alarmed(check, findings_of(check, world.study(rng, trials, epochs))) for _ in range(studies))
    return (hits / studies, *wilson(hits / studies, studies))


def simulated(names: Sequence[str], studies: int, seed: int) -> dict[str, Any]:
    """Print a row for each check, world and budget; return the rates by check."""
    print(f"{studies} studies a row, seed {seed}\n")
    print("| check | fault | world | budget | warns (95 %) |")
    print("| --- | --- | --- | --- | --- |")
    result: dict[str, Any] = {}
    for check in names:
        own: dict[str, float] = {}
        result[check] = {"detection": None, "false_alarms": 0.0, "worlds": own}
        for world in WORLDS[check]:
            for budget in world.budgets:
                share, low, high = rate(check, world, budget, studies, seed)
                own[f"{world.fault}: {world.name}, {budget}"] = share
                if world.fault == "none":
                    result[check]["false_alarms"] = max(result[check]["false_alarms"], share)
                elif world.fault == CLEAR and budget == DEFAULT:
                    result[check]["detection"] = share
                cell = f"{share:.1%} ({low:.1%} to {high:.1%})"
                print(f"| {check} | {world.fault} | {world.name} | {budget} | {cell} |", flush=True)
    return result


def on_a_table(file: Path, studies: int, seed: int) -> dict[str, Any]:
    """Print how often each check warns on studies drawn from real runs, and how often that is true; return the same."""
    table, result = Table.read(file), {}
    print(f"{studies} studies a row, seed {seed}, {file.name}: {table.configs} configs x {table.seeds} seeds\n")
    print("| check | trials | warns (95 %) | of which true |")
    print("| --- | --- | --- | --- |")
    for trials in (12, 24):
        rng = np.random.default_rng([seed, trials])
        warned: dict[str, list[bool | None]] = {name: [] for name in WORLDS}
        for _ in range(studies):
            drawn = table.study(rng, min(trials, table.configs))
            for name, truths in warned.items():
                findings = findings_of(name, drawn)
                if alarmed(name, findings):
                    truths.append(table.truth(name, drawn, findings))
        for name, truths in warned.items():
            share = len(truths) / studies
            known = [truth for truth in truths if truth is not None]
            true = sum(known) / len(known) if known else None
            low, high = wilson(share, studies)
            said = "" if true is None else f"{true:.1%} of {len(known)}"
            print(f"| {name} | {trials} | {share:.1%} ({low:.1%} to {high:.1%}) | {said} |", flush=True)
            result[f"{name}, {trials} trials"] = {"warns": share, "true": true}
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", choices=list(WORLDS), help="this one alone")
    parser.add_argument("--table", type=Path, help="draw studies from these real runs instead")
    args = parser.parse_args(argv)
    if args.table:
        result = on_a_table(args.table, args.studies, args.seed)
    else:
        result = simulated([args.check] if args.check else list(WORLDS), args.studies, args.seed)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
