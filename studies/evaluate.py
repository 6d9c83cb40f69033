"""The only reader of the test split. Every look is a line in the results folder's test_ledger.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from analysis.identification import Answers, HeldOut, Questions, answered, draw_questions, identification
from analysis.scores import CRITERIA, Finalist, Judged, Task, accuracy_gain, scored
from analysis.thresholds import Floats
from storage.report_json import Gain, Identification, TaskScore, TestRow, TestScore
from storage.whole_files import append_line, now
from studies.session import say
from trainables.config import TrialConfig, of_verifier
from trainables.data import Part, PreparedData, TrialData
from trainables.ensemble import mean_score, unpack
from trainables.losses import make_loss
from trainables.metrics import THRESHOLD, cosine_distance
from trainables.pairs import Pairs
from trainables.stored_chips import StoredChips, Tensors, load
from trainables.task import Task as OwnTask
from trainables.task import TaskData
from trainables.training import encode, encode_pairs

LEDGER = "test_ledger.jsonl"
SHIP_PARTNERS = 15

Scores = Mapping[Judged, Floats]


def evaluate(
    data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str
) -> tuple[dict[str, TestScore], Gain | None]:
    """Measure each finalist on the test pairs; return scores by role, and the paired accuracy gain of selected.

    The gain (value, low, high, seeds) is over the seeds with which both `selected` and `baseline` finished, if any.
    """
    task = test_pairs(data)
    runs = _of(_look(data, data.for_trials(), task, finalists, results, study), "answer")
    halves = {role: [THRESHOLD] * len(own) for role, own in runs.items()}
    scores = {role: scored(task, finalists[role], own, halves[role]) for role, own in runs.items()}
    return scores, accuracy_gain(task, finalists, runs, halves)


def examine(
    data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str, ship_class: str | None = None
) -> tuple[TestRow, ...]:
    """Measure each finalist on test pairs and ship task, if there is one, by each of `CRITERIA`; return a row for each.

    Selected's rows have the gain over baseline.
    """
    seen = data.for_trials()
    validation = load(seen.validation, seen)
    on_validation = {
        role: [_scores(of_verifier(finalist.config), weights, validation) for weights in finalist.weights]
        for role, finalist in finalists.items()
    }
    target = validation.target.numpy()
    rows = []
    for task in filter(None, (test_pairs(data), ship_task(data, ship_class))):
        looked = _look(data, seen, task, finalists, results, study)
        for name, criterion in CRITERIA.items():
            runs, known = _of(looked, criterion.of), _of(on_validation, criterion.of)
            thresholds = {role: [criterion.choose(run, target) for run in own] for role, own in known.items()}
            gain = accuracy_gain(task, finalists, runs, thresholds)
            for role, own in runs.items():
                score = scored(task, finalists[role], own, thresholds[role])
                own_gain = gain if role == "selected" else None
                rows.append(TestRow(**vars(score), task=task.name, criterion=name, role=role, gain=own_gain))
    return tuple(rows)


def identify(data: PreparedData, finalists: Mapping[str, Finalist], results: Path, study: str) -> Identification | None:
    """Ask each run of each finalist which class a test chip is of; None for a set of two classes."""
    asked = draw_questions(_held_out(data), data.stream("identification"))
    if asked is None:
        return None
    seen, images = data.for_trials(), data.chips.images[data.split.test]
    number = sum(len(trials.query) for trials in asked.tasks.values())
    _note(data, "identification", number, finalists, results, study)
    chips = StoredChips.of(images, seen.mean, seen.sd)
    answers = {
        role: [_answered(of_verifier(finalist.config), weights, chips, asked) for weights in finalist.weights]
        for role, finalist in finalists.items()
    }
    return identification(asked, finalists, answers)


def score_own(
    task: OwnTask, data: TaskData, finalists: Mapping[str, Finalist], results: Path, study: str
) -> tuple[TaskScore, ...]:
    """Have a task of one's own score each run of each finalist on what was held out."""
    _note(data, "held out", data.sizes.get("test", 0), finalists, results, study)
    scores = []
    for role, finalist in finalists.items():
        runs = [task.score(finalist.config, load_file(weights), data.held_out) for weights in finalist.weights]
        for name in dict.fromkeys(name for run in runs for name in run):
            values = tuple(float(run[name]) for run in runs if name in run and math.isfinite(run[name]))
            if len(values) < len(runs):
                say(f"note: {name} of {role}: {len(runs) - len(values)} of {len(runs)} runs have no finite number")
            scores += [TaskScore(role, name, values)] if values else []
    return tuple(scores)


def _held_out(data: PreparedData) -> HeldOut:
    test, unseen = data.split.test, data.split.kind == "classes"
    return HeldOut(
        labels=data.chips.labels[test],
        groups=data.groups[test],
        units=data.units[test],
        unit="class" if unseen else "chip" if data.chips.groups is None else "group",
        unseen=unseen,
        of=len(data.chips.classes),
    )


def test_pairs(data: PreparedData) -> Task:
    """Return the paper's test: each test chip against five others."""
    part = data.part("test", data.split.test)
    return Task("test pairs", part, *_units(data, part))


test_pairs.__test__ = False  # type: ignore[attr-defined]  # a task, not a test case


def ship_task(data: PreparedData, ship_class: str | None = None) -> Task | None:
    """Return the paper's classification task (section 2): each test chip of one class against 15 other test chips.

    The class is `ship_class`, else the one called "ship", of two classes else the first, of those that have test chips.
    None where no class of many is more to be asked about than another: then `identify` asks about all of them.
    """
    names = data.classes_of("test")
    ships = [name for name in names if name.lower() == "ship"]
    if not (ship_class or ships) and len(names) > 2:
        return None
    label = data.chips.classes.index(ship_class or (*ships, *names)[0])
    part = data.part("ship task", data.split.test, SHIP_PARTNERS)
    own = part.labels[part.pairs.first] == label
    part = Part(part.images, part.labels, Pairs(part.pairs.first[own], part.pairs.second[own], part.pairs.target[own]))
    return Task(f"{data.chips.classes[label]} task", part, *_units(data, part))


def _units(data: PreparedData, part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    unit = data.units[data.split.test]
    return unit[part.pairs.first], unit[part.pairs.second]


def _look(
    data: PreparedData,
    seen: TrialData,
    task: Task,
    finalists: Mapping[str, Finalist],
    results: Path,
    study: str,
) -> dict[str, list[Scores]]:
    """Score the task's pairs, normalised as what trials have `seen`, with every run of every finalist; note it."""
    _note(data, task.name, len(task.part.pairs), finalists, results, study)
    tensors = load(task.part, seen)
    return {
        role: [_scores(of_verifier(finalist.config), weights, tensors) for weights in finalist.weights]
        for role, finalist in finalists.items()
    }


def _note(
    data: PreparedData | TaskData,
    purpose: str,
    pairs: int,
    finalists: Mapping[str, Finalist],
    results: Path,
    study: str,
) -> None:
    """Put a look at the test split on record, before it is taken."""
    who = ", ".join(f"{role} ({len(finalist.weights)} runs)" for role, finalist in finalists.items())
    line = {"time": now(), "study": study, "purpose": f"{purpose}: {who}", "pairs": pairs}
    append_line(results / LEDGER, line | {"data": data.digest()})


def _of(runs: Mapping[str, Sequence[Scores]], judged: Judged) -> dict[str, list[Floats]]:
    """One of the scores of every run, by role."""
    return {role: [run[judged] for run in own] for role, own in runs.items()}


@torch.no_grad()
def _scores(config: TrialConfig, weights: Path, tensors: Tensors) -> Scores:
    """A run's scores of pairs, each (P,), an ensemble's averaged; what is below a threshold is called similar."""
    loss, said = make_loss(config.loss), []
    for network in unpack(config, load_file(weights)):
        first, second = encode_pairs(network, tensors)
        said.append((loss.score(network, first, second), cosine_distance(first, second)))
    answer, cosine = (mean_score(own).numpy().astype(np.float64) for own in zip(*said, strict=True))
    return {"answer": answer, "cosine": cosine}


@torch.no_grad()
def _answered(config: TrialConfig, weights: Path, chips: StoredChips, asked: Questions) -> dict[str, Answers]:
    """What a run answers.

    One network is asked for its evidence, which orders chips as its score does, beyond the score's bounds; an ensemble
    for its score.
    """
    loss, networks = make_loss(config.loss), unpack(config, load_file(weights))
    embedded = [encode(network, chips) for network in networks]
    distance = np.empty((len(asked.queries), len(chips.pixels)), np.float32)
    for row, query in enumerate(asked.queries):
        pairs = [(each[query].expand_as(each), each) for each in embedded]
        if len(networks) == 1:
            distance[row] = loss.evidence(networks[0], *pairs[0]).numpy()
        else:
            scores = [loss.score(network, *pair) for network, pair in zip(networks, pairs, strict=True)]
            distance[row] = mean_score(scores).numpy()
    return answered(asked, distance)
