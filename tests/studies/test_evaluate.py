"""Guards what the test split is asked, by which rule, and that every look is on record."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.scores import CRITERIA, Finalist
from analysis.thresholds import best_f1
from studies.evaluate import LEDGER, SHIP_PARTNERS, evaluate, examine, identify, ship_task, test_pairs
from trainables.config import TrialConfig
from trainables.data import ChipSet, channel_statistics
from trainables.images.synthetic import simulate
from trainables.json_values import to_plain
from trainables.losses import make_loss
from trainables.preparation import prepare
from trainables.stored_chips import load
from trainables.training import Member, validate


def weights_of(seed, path):
    member = Member.fresh(TrialConfig().override({"seed": seed}))
    save_file({name: w.contiguous() for name, w in member.model.state_dict().items()}, path)
    return path


@pytest.fixture
def finalists(tmp_path):
    paths = [weights_of(seed, tmp_path / f"{seed}.safetensors") for seed in range(4)]
    return {
        "selected": Finalist(TrialConfig(), paths[:3], [0, 1, 2], [0.5, 0.1, 0.3]),
        "baseline": Finalist(TrialConfig(), paths[2:], [1, 2], [0.5, 0.4]),
    }


def test_scores_equal_a_loop_over_the_test_pairs(prepared, finalists, tmp_path):
    """Counts, accuracy and Jaccard equal a pair-by-pair forward of the median run, normalised by training statistics."""
    scores, _ = evaluate(prepared, finalists, tmp_path, "lr/s")
    part = prepared.part("test", prepared.split.test)
    mean, sd = channel_statistics(prepared.chips.images[prepared.split.train])
    chips = torch.from_numpy((part.images - mean) / sd).permute(0, 3, 1, 2)
    model = Member.fresh(TrialConfig().override({"seed": 2})).model  # validation 0.3 is the median of 0.5, 0.1, 0.3
    tp = tn = fp = fn = 0
    with torch.no_grad():
        for a, b, target in zip(part.pairs.first, part.pairs.second, part.pairs.target, strict=True):
            similar = torch.sigmoid(model(chips[a][None], chips[b][None])).item() < 0.5
            if similar:
                tp, fp = tp + (target == 0), fp + (target == 1)
            else:
                tn, fn = tn + (target == 1), fn + (target == 0)
    score = scores["selected"]
    assert (score.tp, score.tn, score.fp, score.fn) == (tp, tn, fp, fn)
    assert score.accuracy == (tp + tn) / len(part.pairs)
    assert score.jaccard == pytest.approx(tp / (tp + fn + fp) if tp + fn + fp else 0)
    assert score.seed == 2
    assert score.pairs == 5 * len(prepared.split.test)
    assert len(score.runs_accuracy) == 3
    low, high = score.accuracy_interval
    assert 0 <= low <= score.accuracy <= high <= 1


def test_every_look_is_in_the_ledger(prepared, finalists, tmp_path):
    """Each call appends one line with the study, the models and the data's digest."""
    evaluate(prepared, finalists, tmp_path, "lr/one")
    evaluate(prepared, {"selected": finalists["selected"]}, tmp_path, "lr/two")
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert [line["study"] for line in lines] == ["lr/one", "lr/two"]
    assert lines[0]["data"] == prepared.chips.digest()
    assert "selected (3 runs), baseline (2 runs)" in lines[0]["purpose"]


def test_the_gain_is_over_the_seeds_that_both_finished_with(prepared, finalists, tmp_path):
    """The gain is the mean difference in accuracy under the same seeds, inside its interval; alone, there is none."""
    scores, gain = evaluate(prepared, finalists, tmp_path, "lr/s")
    selected, baseline = (scores[role].runs_accuracy for role in ("selected", "baseline"))
    assert gain.value == pytest.approx(np.mean(selected[1:]) - np.mean(baseline))
    assert gain.seeds == 2
    assert gain.low <= gain.value <= gain.high
    assert evaluate(prepared, {"selected": finalists["selected"]}, tmp_path, "lr/s")[1] is None


def test_the_median_run_is_typical():
    """The run shown is the lower median by validation, neither best nor worst of three or more."""
    for values, expected in (([0.5, 0.1, 0.3], 2), ([0.4], 0), ([0.2, 0.1], 1), ([1, 4, 2, 3], 2)):
        assert Finalist(TrialConfig(), [], [], values).median() == expected
    assert np.median([0.5, 0.1, 0.3]) == 0.3


def test_the_examination_has_a_row_for_each_task_threshold_and_role(prepared, finalists, tmp_path):
    """Test pairs and ship task, four criteria, both configs: sixteen rows, gains in selected's alone, two ledger lines."""
    rows = examine(prepared, finalists, tmp_path, "final/s")
    assert [(r.task, r.criterion, r.role) for r in rows] == [
        (task, criterion, role)
        for task in ("test pairs", "ship task")
        for criterion in CRITERIA
        for role in ("selected", "baseline")
    ]
    assert all((row.gain is not None) == (row.role == "selected") for row in rows)
    assert len((tmp_path / LEDGER).read_text().splitlines()) == 2
    json.dumps(to_plain(rows), allow_nan=False)


def test_at_one_half_the_examination_is_the_ordinary_test(prepared, finalists, tmp_path):
    """The rows of the test pairs at 0.5 are, field by field, what every study reports."""
    scores, gain = evaluate(prepared, finalists, tmp_path, "final/s")
    rows = {r.role: r for r in examine(prepared, finalists, tmp_path, "final/s")[:2]}
    for role, score in scores.items():
        assert {name: getattr(rows[role], name) for name in vars(score)} == vars(score)
    assert rows["selected"].gain == gain


def test_deciding_by_cosine_looks_at_the_embeddings_alone(prepared, finalists, tmp_path):
    """A pair is called similar where the cosine of its chips' embeddings is above 0.5, found here pair by pair."""
    rows = examine(prepared, finalists, tmp_path, "final/s")
    row = next(r for r in rows if r.criterion == "cosine" and r.role == "selected")
    part = prepared.part("test", prepared.split.test)
    mean, sd = channel_statistics(prepared.chips.images[prepared.split.train])
    chips = torch.from_numpy((part.images - mean) / sd).permute(0, 3, 1, 2)
    model, right = Member.fresh(TrialConfig().override({"seed": 2})).model, 0
    with torch.no_grad():
        embeddings = model.eval().encode(chips).double().numpy()
    for a, b, target in zip(part.pairs.first, part.pairs.second, part.pairs.target, strict=True):
        one, other = embeddings[a], embeddings[b]
        cosine = one @ other / np.sqrt((one @ one) * (other @ other))
        right += (cosine > 0.5) == (target == 0)
    assert row.accuracy == right / len(part.pairs)
    assert row.threshold == 0.5


def test_each_run_has_its_own_threshold_from_its_own_validation_pairs(prepared, finalists, tmp_path):
    """At "best F1" every run's accuracy is that at the F1 threshold of its validation scores, found here by hand."""
    rows = examine(prepared, finalists, tmp_path, "final/s")
    row = next(r for r in rows if r.criterion == "best F1" and r.role == "selected")
    data, loss = prepared.for_trials(), make_loss(TrialConfig().loss)
    validation, test = load(data.validation, data), load(prepared.part("test", prepared.split.test), data)
    expected = []
    for seed in (0, 1, 2):
        model = Member.fresh(TrialConfig().override({"seed": seed})).model
        own = validate(model, validation, loss)[1].double().numpy()
        threshold = best_f1(own, validation.target.numpy())
        called = validate(model, test, loss)[1].double().numpy() < threshold
        expected.append(float((called == (test.target.numpy() == 0)).mean()))
        if seed == row.seed:
            assert row.threshold == pytest.approx(threshold, abs=1e-6)
    assert row.runs_accuracy == pytest.approx(expected)


@pytest.mark.parametrize(("named", "label"), [(None, "ship"), ("iceberg", "iceberg")])
def test_the_ship_task_is_each_chip_of_one_class_against_fifteen_others(prepared, named, label):
    """Every test chip of the class, as often as it has partners, never with itself or a partner twice."""
    task = ship_task(prepared, named)
    labels = prepared.chips.labels[prepared.split.test]
    own = np.flatnonzero(labels == prepared.chips.classes.index(label))
    partners = min(SHIP_PARTNERS, len(labels) - 1)
    pairs = task.part.pairs
    assert sorted(pairs.first) == sorted(np.repeat(own, partners))
    assert len(set(zip(pairs.first, pairs.second, strict=True))) == len(pairs)
    assert (pairs.first != pairs.second).all()
    assert (pairs.target == (labels[pairs.first] != labels[pairs.second])).all()
    assert task.name == f"{label} task"


def test_without_a_class_called_ship_the_first_of_two_is_asked(prepared, whole_classes):
    """Two classes named otherwise: the first in order stands in for the ships; of many none does, but one may be named."""
    import dataclasses

    other = dataclasses.replace(prepared, chips=dataclasses.replace(prepared.chips, classes=("cat", "dog")))
    assert ship_task(other).name == "cat task"
    assert ship_task(whole_classes) is None
    named = whole_classes.classes_of("test")[1]
    assert ship_task(whole_classes, named).name == f"{named} task"


@pytest.fixture(scope="module")
def whole_classes():
    """Thirty classes of six chips, whole ones held out: six of them for the test."""
    chips = ChipSet(
        simulate(180, seed=5).images, np.arange(30).repeat(6), tuple(f"c{n:02d}" for n in range(30)), "made"
    )
    return prepare(chips, "classes")


def test_which_class_is_asked_of_every_run_by_its_own_evidence(whole_classes, finalists, tmp_path):
    """The nearest of all test chips, found here chip by chip with the logit, is what recall at 1 counts; a look is noted."""
    data = whole_classes
    who = identify(data, finalists, tmp_path, "final/s")
    assert [(row.task, row.role) for row in who.rows] == [
        (task, role) for task in ("one-shot, 5 classes", "recall at 1") for role in ("selected", "baseline")
    ]
    assert who.unseen and {row.unit for row in who.rows} == {"class"}
    assert who.left_out == ("one-shot among 20 classes is left out: 6 are held out",)
    (line,) = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert line["purpose"] == "identification: selected (3 runs), baseline (2 runs)"
    row, labels = who.rows[2], data.chips.labels[data.split.test]
    mean, sd = channel_statistics(data.chips.images[data.split.train])
    chips = torch.from_numpy((data.chips.images[data.split.test] - mean) / sd).permute(0, 3, 1, 2)
    model, right = Member.fresh(TrialConfig().override({"seed": row.seed})).model.eval(), 0
    with torch.no_grad():
        for chip in range(len(chips)):
            logits = model(chips[[chip]].expand_as(chips), chips).squeeze(-1)
            logits[chip] = torch.inf
            right += labels[int(logits.argmin())] == labels[chip]
    assert row.accuracy == right / len(chips)
    assert (row.queries, row.classes, row.trials) == (36, 6, 36)


def test_an_ensemble_answers_by_its_mean_score(whole_classes, tmp_path):
    """Two equal networks averaged choose as one does, but where scores are too near their bounds to be told apart."""
    alone = weights_of(1, tmp_path / "alone.safetensors")
    both = {f"{n}.{name}": tensor for n in range(2) for name, tensor in load_file(alone).items()}
    save_file(both, tmp_path / "both.safetensors")
    averaged = TrialConfig().override({"ensemble.members": 2, "ensemble.combine": "average"})
    finalists = {
        "selected": Finalist(averaged, [tmp_path / "both.safetensors"], [0], [0.0]),
        "baseline": Finalist(TrialConfig(), [alone], [0], [0.0]),
    }
    rows = identify(whole_classes, finalists, tmp_path, "final/s").rows
    assert rows[0].accuracy == pytest.approx(rows[1].accuracy, abs=0.02)


def test_of_whole_classes_the_class_is_what_intervals_number(whole_classes):
    """Test pairs and ship task are of held-out classes alone, and each side of a pair is its class."""
    data = whole_classes
    for task in (test_pairs(data), ship_task(data, data.classes_of("test")[0])):
        assert set(task.first) | set(task.second) <= set(data.chips.labels[data.split.test])
        assert ((task.first == task.second) == task.similar).all()
        assert 0 < task.similar.mean() < 1
