"""How often the 95 % intervals of test figures cover the truth, on simulated test splits whose truth is known.

    python -m benchmarks.coverage [--splits 2000] [--seed 0]

A split draws its pairs as the product does. A hard chip (or, of grouped sets, a hard patient) spoils all pairs that it
stands in, by the odds of being right; a seed may go astray. Asked are the product's own intervals: of accuracy and
Jaccard over chips and over groups, and of the gain of one config over an equal one, over chips and seeds.

The last line is a JSON object: `accuracy`, `jaccard` (by number of chips), `groups` (by number and kind), `gain` (by
seeds and by what varies): shares of splits whose interval holds the truth. A share near 0.95 from 2,000 splits is known
to 0.01.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.intervals import difference_interval, ratio_interval
from benchmarks.study import positive
from trainables.pairs import Pairs, draw_pairs

CHIPS = (160, 80, 40, 16, 7)
GROUPS = (20, 10, 6, 4)
KINDS = ("hard", "mild", "recogniser")
SEEDS = (3, 5, 10, 20)
VARIES = {"chips alone": (1.0, 0.0), "both": (0.8, 0.3), "both, seeds much": (0.8, 0.8), "seeds": (0.3, 0.8)}
OF_A_SPLIT = 80  # chips, where a gain is asked for

Numbers = NDArray[np.int64]


class Split(NamedTuple):
    """Which pairs (P,) a verifier judged right, which are similar, and the units on both sides of each."""

    right: NDArray[np.bool_]
    similar: NDArray[np.bool_]
    first: Numbers
    second: Numbers


def designs(chips: int, count: int = 100) -> list[Pairs]:
    """Return draws of pairs among as many chips of two classes: simulated splits take them in turn."""
    rng = np.random.default_rng(0)
    return [draw_pairs(np.arange(chips) % 2, rng) for _ in range(count)]


def over_chips(rng: np.random.Generator, drawn: Sequence[Pairs], chips: int) -> Split:
    """Return a test split in which a hard chip spoils its pairs: right with odds that both chips' ease sets."""
    pairs = drawn[int(rng.integers(len(drawn)))]
    ease = rng.normal(0, 1.2, chips)
    chance = 1 / (1 + np.exp(-(1.5 + ease[pairs.first] + ease[pairs.second])))
    return Split(rng.random(len(pairs)) < chance, pairs.target == 0, pairs.first, pairs.second)


def over_groups(rng: np.random.Generator, groups: int, kind: str) -> Split:
    """Return a test split of patients with ten pictures each.

    Patients that are `hard`; that hardly differ, `mild`; or a network that recognises them, a `recogniser`, of whom
    their class says nothing.
    """
    group = np.repeat(np.arange(groups), 10)
    pairs = draw_pairs(group % 2, rng, groups=group)
    one, other = group[pairs.first], group[pairs.second]
    ease = rng.normal(0, {"hard": 1.5, "mild": 0.7, "recogniser": 0}[kind], groups)
    right = rng.random(len(one)) < 1 / (1 + np.exp(-(1 + ease[one] + ease[other])))
    if kind == "recogniser":
        alike = rng.integers(0, 2, groups)
        right = (alike[one] == alike[other]) == (pairs.target == 0)
    return Split(right, pairs.target == 0, one, other)


def gained(
    rng: np.random.Generator, drawn: Sequence[Pairs], seeds: int, hard: float, astray: float
) -> tuple[NDArray[np.float64], Numbers, Numbers]:
    """Return right minus right (R, P) of two equally good configs, and the chips of each pair.

    `hard` is the SD of a chip's ease, `astray` that of a seed's luck.
    """
    pairs = drawn[int(rng.integers(len(drawn)))]
    own = rng.normal(0, hard, OF_A_SPLIT) + rng.normal(0, hard / 2, (2, 1, OF_A_SPLIT))
    ease = own + rng.normal(0, 0.5, (2, seeds, OF_A_SPLIT))
    odds = 2 + rng.normal(0, astray, (2, seeds, 1)) + ease[:, :, pairs.first] + ease[:, :, pairs.second]
    hit = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return hit[0].astype(float) - hit[1], pairs.first, pairs.second


def accuracy_of(split: Split) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what accuracy counts as a hit, and of which pairs."""
    return split.right, np.ones(len(split.right), bool)


def jaccard_of(split: Split) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what Jaccard counts as a hit, and of which pairs: those that are similar, or called so."""
    called = split.right == split.similar
    return called & split.similar, called | split.similar


def covered(splits: Sequence[Split], figure: Callable[[Split], tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> float:
    """Return the share of splits whose interval holds the truth, which is the mean over all of them."""
    counts = [figure(split) for split in splits]
    truth = sum(int((hit & of).sum()) for hit, of in counts) / sum(int(of.sum()) for _, of in counts)
    ends = [ratio_interval(*own, split.first, split.second) for own, split in zip(counts, splits, strict=True)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


def gain_covered(rng: np.random.Generator, splits: int, seeds: int, hard: float, astray: float) -> float:
    """Return the share of gains between equal configs whose interval holds zero."""
    drawn = designs(OF_A_SPLIT)
    ends = [difference_interval(*gained(rng, drawn, seeds, hard, astray)) for _ in range(splits)]
    return float(np.mean([low <= 0 <= high for low, high in ends]))


def measure(splits: int, seed: int) -> Iterator[tuple[str, str, float]]:
    """Yield each figure's kind, its case and its share, as they are simulated."""
    rng = np.random.default_rng(seed)
    for chips in CHIPS:
        drawn = designs(chips)
        seen = [over_chips(rng, drawn, chips) for _ in range(splits)]
        yield "accuracy", f"{chips} chips", covered(seen, accuracy_of)
        yield "jaccard", f"{chips} chips", covered(seen, jaccard_of)
    for groups in GROUPS:
        for kind in KINDS:
            seen = [over_groups(rng, groups, kind) for _ in range(splits)]
            yield "groups", f"{groups}, {kind}", covered(seen, accuracy_of)
    for seeds in SEEDS:
        for name, (hard, astray) in VARIES.items():
            yield "gain", f"{seeds} seeds, {name}", gain_covered(rng, splits, seeds, hard, astray)


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print a row for each case as it is done; return the exit status."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--splits", type=positive, default=2000, metavar="N", help="simulated for each row (default: 2000)")
    p.add_argument("--seed", type=int, default=0, metavar="S")
    args = p.parse_args(argv)
    shares: dict[str, dict[str, float]] = {}
    print("| interval of | case | holds the truth |\n| --- | --- | --- |")
    for kind, case, share in measure(args.splits, args.seed):
        print(f"| {kind} | {case} | {share:.1%} |", flush=True)
        shares.setdefault(kind, {})[case] = share
    print(json.dumps(shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
