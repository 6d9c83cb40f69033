"""Guards identification: what is asked of held-out chips, what an answer counts, and what its interval covers."""

import json

import numpy as np
import pytest

from analysis.identification import TRIALS, Answers, HeldOut, answered, draw_questions, identification
from analysis.page import render_page
from analysis.scores import Finalist
from storage.report_json import Identification
from trainables.config import TrialConfig
from trainables.json_values import from_plain, to_plain


def held_out(classes, chips, groups=None, unit="chip"):
    """So many chips of each of so many classes; units as they are in a study."""
    labels = np.repeat(np.arange(classes), chips)
    groups = np.arange(len(labels)) if groups is None else np.array(groups)
    units = labels if unit == "class" else groups
    return HeldOut(labels, groups, units, unit, unseen=unit == "class", of=classes)


def finalists(*roles, runs=1):
    return {
        role: Finalist(TrialConfig(), [None] * runs, list(range(7, 7 + runs)), [0.1 * n for n in range(runs)])
        for role in roles
    }


def test_an_n_way_trial_has_one_chip_of_each_of_n_classes(rng):
    """Every query's twenty trials show N different classes, its own among them, and never its own group; guessing reaches 1 / N."""
    own = np.repeat(np.arange(75), 2)  # a group is two chips of a class, and a class has three groups
    asked = draw_questions(held_out(25, 6, own, "group"), rng)
    for ways in (5, 20):
        trials = asked.tasks[f"one-shot, {ways} classes"]
        query, held = asked.queries[trials.query], asked.held_out
        assert trials.among.shape == (150 * TRIALS, ways)
        assert all(len(set(row)) == ways for row in held.labels[trials.among])
        assert ((held.labels[trials.among] == held.labels[query][:, None]).sum(1) == 1).all()
        assert (held.groups[trials.among] != held.groups[query][:, None]).all()
        assert trials.chance == 1 / ways
        # the right answer stands anywhere, or a run that cannot tell would seem to know it
        place = np.argmax(held.labels[trials.among] == held.labels[query][:, None], axis=1)
        assert np.bincount(place, minlength=ways).min() > 0.7 * len(query) / ways


def test_equal_seeds_ask_the_same():
    """What is asked follows from the generator alone."""
    one, two, other = (draw_questions(held_out(6, 3), np.random.default_rng(seed)) for seed in (1, 1, 2))
    among = [asked.tasks["one-shot, 5 classes"].among for asked in (one, two, other)]
    assert np.array_equal(among[0], among[1])
    assert not np.array_equal(among[0], among[2])


def test_recall_at_1_equals_a_loop(rng):
    """A query is right if the nearest chip of another group is of its class, found here one by one."""
    groups = np.arange(24) // 2
    asked = draw_questions(held_out(4, 6, groups, "group"), rng)
    distance = rng.random((24, 24)).astype(np.float32)
    answers = answered(asked, distance)["recall at 1"]
    labels = asked.held_out.labels
    for query in range(24):
        others = [chip for chip in range(24) if groups[chip] != groups[query]]
        nearest = min(others, key=lambda chip: distance[query, chip])
        assert answers.right[query] == (labels[nearest] == labels[query])
        assert answers.own[query] == min(
            (chip for chip in others if labels[chip] == labels[query]), key=lambda chip: distance[query, chip]
        )
    assert asked.tasks["recall at 1"].chance == pytest.approx(4 / 22)


def test_a_run_that_knows_is_always_right_and_a_dead_one_guesses(rng):
    """Distance 0 within a class has every trial right; one distance for all has what guessing has, by lot."""
    asked = draw_questions(held_out(25, 8), rng)
    labels = asked.held_out.labels
    knows = (labels[asked.queries][:, None] != labels).astype(np.float32)
    dead = np.ones_like(knows)
    answers = {"selected": [answered(asked, knows)], "baseline": [answered(asked, dead)]}
    rows = identification(asked, finalists(*answers), answers).rows
    for row in rows:
        expected = 1.0 if row.role == "selected" else row.chance
        assert row.accuracy == pytest.approx(expected, abs=0.06)
        low, high = row.accuracy_interval
        assert low <= row.accuracy <= high + 1e-9
    assert {row.task for row in rows} == {"one-shot, 5 classes", "one-shot, 20 classes", "recall at 1"}


def test_the_run_shown_is_the_median_one(rng):
    """Of three runs the one of median validation is shown, with its seed; all of them stand beside it."""
    asked = draw_questions(held_out(5, 4), rng)
    right = [np.arange(20) < number for number in (4, 8, 12)]
    runs = [{name: Answers(own[: len(own)], np.zeros(20, int)) for name in asked.tasks} for own in right]
    asked.tasks.pop("one-shot, 5 classes")
    row = identification(asked, finalists("selected", runs=3), {"selected": runs}).rows[0]
    assert (row.seed, row.accuracy, row.runs_accuracy) == (8, 0.4, (0.2, 0.4, 0.6))
    assert row.mean_accuracy == pytest.approx(0.4)


def test_what_cannot_be_asked_is_left_out_with_its_reason(rng):
    """Two classes: nothing at all. Four: no one-shot task. A class of one chip is not asked about, and may be chosen."""
    assert draw_questions(held_out(2, 30), rng) is None
    asked = draw_questions(held_out(4, 3), rng)
    assert list(asked.tasks) == ["recall at 1"]
    assert asked.left_out == tuple(f"one-shot among {ways} classes is left out: 4 are held out" for ways in (5, 20))
    labels = np.array([0, 0, 1, 1, 2])
    one = draw_questions(HeldOut(labels, np.arange(5), np.arange(5), "chip", False, 5), rng)
    assert sorted(one.queries) == [0, 1, 2, 3]
    assert one.left_out[0].startswith("1 classes have fewer than two held-out chips")
    alone = draw_questions(held_out(6, 1), rng)
    assert (alone.tasks, len(alone.left_out)) == ({}, 1)
    flips = draw_questions(held_out(6, 2, np.repeat(np.arange(6), 2)), rng)  # of each class one picture, twice
    assert flips.tasks == {}


@pytest.mark.parametrize(("classes", "chips", "unit"), [(8, 10, "class"), (30, 5, "class"), (40, 2, "chip")])
def test_intervals_cover_for_other_classes_or_other_chips(classes, chips, unit):
    """Chips around centres, some classes and chips harder than others: at least 93 % of 120 intervals have the true share.

    Whole classes are drawn anew where the class is the unit; else the classes stay and their chips are drawn anew.
    """
    rng = np.random.default_rng(3)

    def drawn_classes():
        return rng.normal(size=(classes, 6)), np.exp(rng.normal(0, 0.5, classes))

    centres, spread = drawn_classes()
    found = {}
    for _ in range(120):
        if unit == "class":
            centres, spread = drawn_classes()
        held = held_out(classes, chips, unit=unit)
        size = spread[held.labels] * np.exp(rng.normal(0, 0.5, len(held.labels)))
        x = centres[held.labels] + 0.8 * size[:, None] * rng.normal(size=(len(held.labels), 6))
        asked = draw_questions(held, rng)
        distance = np.linalg.norm(x[asked.queries][:, None] - x, axis=2).astype(np.float32)
        for row in identification(asked, finalists("selected"), {"selected": [answered(asked, distance)]}).rows:
            found.setdefault(row.task, []).append((row.accuracy, *row.accuracy_interval))
    for values in found.values():
        share, low, high = np.array(values).T
        assert ((low <= share.mean()) & (share.mean() <= high)).mean() >= 0.93


def test_the_section_says_what_was_asked(rng):
    """A row for each task and config, what guessing reaches, whether the classes were trained on, and what is left out."""
    asked = draw_questions(held_out(6, 3, unit="class"), rng)
    answers = {role: [answered(asked, rng.random((18, 18)).astype(np.float32))] for role in ("selected", "baseline")}
    who = identification(asked, finalists(*answers), answers)
    assert from_plain(Identification, json.loads(json.dumps(to_plain(who)))) == who
    page = render_page("identification.html.jinja", who=who)
    assert page.count("<tr>") == 1 + 2 * 2
    assert "None of these classes was trained on." in page
    assert "One-shot among 20 classes is left out: 6 are held out." in page
    assert "takes a class for one look" in page
