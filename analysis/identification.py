"""Which class is this chip of? A verifier that is asked to choose: among N classes, or among all held-out chips.

N-way one-shot is that of Koch, Zemel and Salakhutdinov 2015 (section 4.3): a chip is compared with one chip of each of
N classes, its own among them, and is taken for the class of the nearest. Recall at 1 asks the same with every other
held-out chip to choose from. A chip never meets its own group, nor a flip of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.intervals import ratio_interval
from analysis.scores import Finalist
from storage.report_json import Identification, Identified, Unit

WAYS = (5, 20)
TRIALS = 20  # of each chip that is asked about, among N classes
MOST_QUERIES = 1000  # chips asked about: of more, so many are drawn
LEAST_CLASSES = 3  # of two classes, "which one" says no more than "the same?"

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """A run's trials of one task: which it has `right` (T,), and the chip of the query's `own` class (T,) in each.

    Where there are several of these, `own` is the nearest.
    """

    right: NDArray[np.bool_]
    own: Indices


@dataclass(frozen=True)
class HeldOut:
    """Held-out chips (M,): their `labels`, the `groups` that no comparison lies within, the `units` of an interval.

    `unseen`: none of their classes was trained on. `of` is how many classes the whole set has.
    """

    labels: Indices
    groups: Indices
    units: Indices
    unit: Unit
    unseen: bool
    of: int


@dataclass(frozen=True)
class Trials:
    """What is asked in one task: `query` (T,) is a place in `Questions.queries`; `chance` what guessing reaches.

    `among` (T, N) are the chips to choose from, in random order, so that lots decide between equal distances; None
    for all chips of other groups.
    """

    query: Indices
    among: Indices | None
    chance: float


@dataclass(frozen=True)
class Questions:
    """What every run is asked: about the chips `queries` (Q,); `order` (M,) has all chips in random order."""

    held_out: HeldOut
    queries: Indices
    order: Indices
    tasks: Mapping[str, Trials]
    left_out: tuple[str, ...]


def draw_questions(held_out: HeldOut, rng: np.random.Generator) -> Questions | None:
    """Draw what to ask of held-out chips; None where the set has two classes.

    Asked about are chips of classes with two held-out groups, `MOST_QUERIES` at most, each `TRIALS` times in a one-shot
    task: with other classes, and another chip of each.
    """
    if held_out.of < LEAST_CLASSES:
        return None
    labels, of_unit = held_out.labels, "groups" if held_out.unit == "group" else "chips"
    groups_of = {int(label): len(np.unique(held_out.groups[labels == label])) for label in np.unique(labels)}
    able = [label for label, number in groups_of.items() if number > 1]
    queries = np.sort(rng.permutation(np.flatnonzero(np.isin(labels, able)))[:MOST_QUERIES])
    order = rng.permutation(len(labels))
    if not able:
        why = f"nothing is asked: no class has two held-out {of_unit}"
        return Questions(held_out, queries, order, {}, (why,))
    left_out = []
    if few := len(groups_of) - len(able):
        left_out.append(f"{few} classes have fewer than two held-out {of_unit}, and are only there to be chosen")
    tasks = {}
    for ways in WAYS:
        if len(groups_of) < ways:
            left_out.append(f"one-shot among {ways} classes is left out: {len(groups_of)} are held out")
            continue
        drawn = [_drawn(held_out, chip, ways, rng) for chip in queries]
        query = np.repeat(np.arange(len(queries)), [len(trials) for trials in drawn])
        tasks[f"one-shot, {ways} classes"] = Trials(query, np.concatenate(drawn), 1 / ways)
    guessed = float(np.mean([_share_of_own_class(held_out, chip) for chip in queries]))
    tasks["recall at 1"] = Trials(np.arange(len(queries)), None, guessed)
    return Questions(held_out, queries, order, tasks, tuple(left_out))


def _drawn(held_out: HeldOut, chip: int, ways: int, rng: np.random.Generator) -> Indices:
    """Chips to choose from (`TRIALS`, `ways`) for one query: of each class one, its own class among them.

    None (0, `ways`) where too few classes have a chip outside the query's group.
    """
    others = np.flatnonzero(held_out.groups != held_out.groups[chip])
    others = others[np.argsort(held_out.labels[others], kind="stable")]
    classes, start, number = np.unique(held_out.labels[others], return_index=True, return_counts=True)
    own = int(np.searchsorted(classes, held_out.labels[chip]))
    if len(classes) < ways:
        return np.zeros((0, ways), np.int64)
    lots = rng.random((TRIALS, len(classes)))
    lots[:, own] = -1  # its own class is always among them
    among = np.argsort(lots, axis=1)[:, :ways]
    place = start[among] + np.floor(rng.random(among.shape) * number[among]).astype(np.int64)
    return rng.permuted(others[place], axis=1)


def _share_of_own_class(held_out: HeldOut, chip: int) -> float:
    others = held_out.groups != held_out.groups[chip]
    return float((held_out.labels[others] == held_out.labels[chip]).mean())


def answered(asked: Questions, distance: NDArray[np.float32]) -> dict[str, Answers]:
    """Return a run's answers by task, given how different it calls queries and chips: `distance` (Q, M)."""
    return {name: _answers(asked, trials, distance) for name, trials in asked.tasks.items()}


def _answers(asked: Questions, trials: Trials, distance: NDArray[np.float32]) -> Answers:
    """The answers of one task: of equal distances the one that comes first counts, in an order that lots gave."""
    labels, groups = asked.held_out.labels, asked.held_out.groups
    query = asked.queries[trials.query]
    among = np.broadcast_to(asked.order, (len(query), len(labels))) if trials.among is None else trials.among
    seen = distance[trials.query[:, None], among]
    if trials.among is None:
        seen[groups[query][:, None] == groups[among]] = np.inf
    every, same = np.arange(len(query)), labels[query][:, None] == labels[among]
    own = among[every, np.argmin(np.where(same, seen, np.inf), axis=1)]
    return Answers(same[every, np.argmin(seen, axis=1)], own)


def identification(
    asked: Questions, finalists: Mapping[str, Finalist], answers: Mapping[str, Sequence[Mapping[str, Answers]]]
) -> Identification:
    """Return what the answers of each finalist's runs come to, task by task.

    A trial is a pair, of the query and the chip of its class: intervals allow for both standing in other trials.
    """
    units, rows = asked.held_out.units, []
    for name, trials in asked.tasks.items():
        query = asked.queries[trials.query]
        for role, runs in answers.items():
            median = finalists[role].median()
            shown, everything = runs[median][name], np.ones(len(query), dtype=bool)
            interval = ratio_interval(shown.right, everything, units[query], units[shown.own])
            rows.append(
                Identified(
                    task=name,
                    role=role,
                    accuracy=float(shown.right.mean()),
                    accuracy_interval=interval,
                    chance=trials.chance,
                    trials=len(query),
                    queries=len(np.unique(query)),
                    classes=len(np.unique(asked.held_out.labels[query])),
                    unit=asked.held_out.unit,
                    seed=finalists[role].seeds[median],
                    runs_accuracy=tuple(float(run[name].right.mean()) for run in runs),
                )
            )
    return Identification(asked.held_out.unseen, tuple(rows), asked.left_out)
