"""Guards what trials see of the chips: the split, its pairs and groups, and which sets are refused."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data import ChipSet, channel_statistics
from trainables.errors import InputError
from trainables.images.synthetic import simulate
from trainables.preparation import prepare
from trainables.stored_chips import load

ROOT = Path(__file__).resolve().parents[2]


def with_labels(labels, classes, images=None):
    labels = np.array(labels, dtype=np.int64)
    images = simulate(len(labels), seed=5).images if images is None else images
    return ChipSet(images, labels, classes, "somewhere")


def test_a_trial_never_sees_a_test_chip(prepared):
    """No image of the test split is among the arrays that travel to trials, nor any of its flips."""
    data = prepared.for_trials()
    seen = {image.tobytes() for part in (data.train, data.validation) for image in part.images}
    assert not seen & {prepared.chips.images[index].tobytes() for index in prepared.split.test}
    train_and_val = np.concatenate([prepared.split.train, prepared.split.validation])
    assert not set(prepared.groups[train_and_val]) & set(prepared.groups[prepared.split.test])


def test_normalisation_comes_from_the_training_split_alone(prepared, trial_data):
    """Training chips have mean 0 and deviation 1 in each channel; statistics change with them and with no other chip."""
    images = load(trial_data.train, trial_data).chips.normalised
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(images.std((0, 2, 3)), torch.ones(3), atol=1e-3)
    images = prepared.chips.images.copy()
    images[prepared.split.test] += 5
    images[prepared.split.validation] -= 5
    changed = dataclasses.replace(prepared, chips=dataclasses.replace(prepared.chips, images=images))
    assert np.array_equal(changed.for_trials().mean, trial_data.mean)
    assert np.array_equal(changed.for_trials().sd, trial_data.sd)


def test_channel_statistics_equal_numpys():
    """Mean and deviation equal numpy's in float64 for bytes and floats; a constant channel divides by no zero."""
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    images[..., 2] = 7
    mean, sd = channel_statistics(images)
    assert mean == pytest.approx(images.reshape(-1, 3).mean(0))
    assert sd[:2] == pytest.approx(images.reshape(-1, 3).std(0)[:2])
    assert sd[2] > 0


def test_loaded_chips_are_those_that_were_read(trial_data):
    """On the CPU the pixels of a loaded part are the array's own memory, also where that may not be written to."""
    part = dataclasses.replace(trial_data.train, images=trial_data.train.images.view())
    part.images.flags.writeable = False
    assert load(part, trial_data).chips.pixels.data_ptr() == part.images.ctypes.data


def test_normalised_chips_are_channels_last(trial_data):
    """(M, 75, 75, 3) pixels become (M, 3, 75, 75) tensors whose memory is channels_last."""
    images = load(trial_data.train, trial_data).chips.normalised
    assert images.shape[1:] == (3, 75, 75)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_equal_seeds_prepare_equal_data(chips):
    """Split and pairs are a function of the seed: equal for equal seeds, different for another."""
    one, two, other = (prepare(chips, "grouped", seed) for seed in (4, 4, 5))
    assert np.array_equal(one.split.train, two.split.train)
    assert np.array_equal(one.for_trials().train.pairs.second, two.for_trials().train.pairs.second)
    assert not np.array_equal(one.split.train, other.split.train)


def test_digests_tell_data_apart(chips):
    """The digest is stable, and changes with one pixel, one label or one class name."""
    pixel, label = chips.images.copy(), chips.labels.copy()
    pixel[0, 0, 0, 0] += 1
    label[0] = 1 - label[0]
    variants = [
        dataclasses.replace(chips, images=pixel),
        dataclasses.replace(chips, labels=label),
        dataclasses.replace(chips, classes=("x", "ship")),
    ]
    assert dataclasses.replace(chips).digest() == chips.digest()
    assert len({chips.digest(), *(variant.digest() for variant in variants)}) == 4


def test_a_small_class_is_refused_by_name_or_left_out():
    """A class of nine chips is named with its count; with drop_small_classes it goes, is noted, and labels stay right."""
    chips = with_labels([0] * 12 + [1] * 9 + [2] * 14, ("a", "tiny", "c"))
    with pytest.raises(InputError, match=r"'tiny' \(9\).*--drop-small-classes"):
        prepare(chips, "grouped", 0)
    data = prepare(chips, "grouped", 0, drop_small_classes=True)
    assert data.chips.counts() == {"a": 12, "c": 14}
    assert np.array_equal(data.chips.images[data.chips.labels == 1], chips.images[chips.labels == 2])
    assert any("tiny" in note for note in data.notes)


@pytest.mark.parametrize(("labels", "classes"), [([0] * 30, ("only",)), ([0] * 30 + [1] * 3, ("only", "tiny"))])
def test_one_class_is_refused(labels, classes):
    """One class, or one left after dropping small ones, cannot be verified: InputError that says so."""
    with pytest.raises(InputError, match="only one class"):
        prepare(with_labels(labels, classes), "grouped", 0, drop_small_classes=True)


def test_copies_of_too_few_pictures_are_refused():
    """Twenty flips of two pictures leave a class out of a part: InputError that names it, why, and --split random."""
    pictures = simulate(2, seed=5).images
    images = np.stack([pictures[n % 2][:: (-1) ** (n // 2)] for n in range(20)])
    with pytest.raises(
        InputError, match=r"class '[ab]' would be missing from the \w+ split.*only 1 pictures.*--split random"
    ):
        prepare(with_labels([n % 2 for n in range(20)], ("a", "b"), images), "grouped", 0)


def test_every_class_stands_in_every_part():
    """Four pictures in eight views each, beside sixty single chips, still leave a picture for every part."""
    few = simulate(4, seed=6).images
    views = [np.rot90(p[:, ::-1] if k >= 4 else p, k % 4) for p in few for k in range(8)]
    images = np.concatenate([simulate(60, seed=5).images, np.stack(views)])
    data = prepare(with_labels([0] * 60 + [1] * 32, ("many", "few"), images), "grouped", 0)
    for part in (data.split.train, data.split.validation, data.split.test):
        assert set(data.chips.labels[part].tolist()) == {0, 1}


def test_notes_tell_of_copies_conflicts_and_small_sets(chips):
    """Copies, one picture under two labels, and a small test split are each said."""
    images, labels = (
        np.concatenate([chips.images, chips.images[:4, ::-1]]),
        np.concatenate([chips.labels, chips.labels[:4]]),
    )
    labels[60] = 1 - labels[60]
    images[5] = 0.5
    data = prepare(with_labels(labels, chips.classes, images), "grouped", 0)
    notes = " | ".join(data.notes)
    assert "4 of 64 chips are flips or turns of others; kept together" in notes
    assert "1 of 64 chips are constant (all pixels equal)" in notes
    assert "small set" in notes
    (warning,) = data.warnings
    assert warning.startswith("1 pictures stand in more than one class: ")
    assert "chip 0 (" in warning and "chip 60 (" in warning


def test_pictures_in_two_classes_are_named_up_to_five(chips):
    """Seven pictures in two classes: a warning with five of them by their files, and the number of the others."""
    images, labels = (
        np.concatenate([chips.images, chips.images[:7]]),
        np.concatenate([chips.labels, 1 - chips.labels[:7]]),
    )
    names = tuple(f"{'ab'[label]}/{number}.png" for number, label in enumerate(labels))
    (warning,) = prepare(
        dataclasses.replace(with_labels(labels, ("a", "b"), images), names=names), "grouped", 0
    ).warnings
    assert warning.startswith("7 pictures stand in more than one class: ")
    assert "a/0.png = b/60.png" in warning and warning.count(" = ") == 5 and "and 2 more" in warning


def test_a_fixed_camera_is_told_as_that():
    """Forty nearly equal pictures of two classes are no flips of one picture: the error says what they are."""
    scene = simulate(1, seed=3).images
    images = np.repeat(scene, 40, 0) + np.random.default_rng(0).normal(0, 0.001, (40, 75, 75, 3)).astype(np.float32)
    with pytest.raises(InputError, match=r"20 chips are nearly alike, as from a fixed camera .* crop to what changes"):
        prepare(with_labels(np.arange(40) % 2, ("a", "b"), images), "grouped", 0)


@pytest.mark.slow
def test_many_images_are_prepared_in_little_more_memory_than_they_take():
    """4,000 images are checked, split and paired in less than 1.6 times their own size more: 100,000 within 6 GiB."""
    code = """
import resource, numpy as np
from trainables.data import ChipSet
from trainables.preparation import prepare
images = np.random.default_rng(0).integers(0, 256, (4000, 5, 5, 3), dtype=np.uint8).repeat(15, 1).repeat(15, 2)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
prepare(ChipSet(images, np.arange(4000) % 3, ("a", "b", "c"), "made"), "grouped").for_trials()
print((peak() - before) / images.nbytes)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.6


# --- groups ----------------------------------------------------------------------------------------------------------


def patients(number, chips, seed=0, classes=("ill", "well")):
    """Chips of patients: shifted crops of one picture each, of which each class has `number`, and no class a sign."""
    rng = np.random.default_rng(seed)
    scenes = rng.normal(size=(len(classes) * number, 12, 12, 3)).repeat(8, 1).repeat(8, 2)
    images, labels, groups = [], [], []
    for patient, scene in enumerate(scenes):
        for _ in range(chips):
            row, column = rng.integers(0, 20, 2)
            images.append(scene[row : row + 75, column : column + 75] + rng.normal(0, 0.1, (75, 75, 3)))
            labels.append(patient % len(classes))
            groups.append(patient)
    pixels = (np.clip(np.array(images), -3, 3) * 40 + 125).astype(np.uint8)
    return dataclasses.replace(with_labels(labels, classes, pixels), groups=np.array(groups), group_by="folder")


def test_groups_never_cross_the_split_nor_meet_in_a_pair():
    """Twelve patients a class stand each in one part, at least two of each class in every part; no pair is of one patient."""
    data = prepare(patients(12, 5), "grouped")
    homes = [set(data.chips.groups[getattr(data.split, part)]) for part in data.split.sizes()]
    assert sum(map(len, homes)) == len(set().union(*homes)) == 24
    for part in data.split.sizes():
        indices = getattr(data.split, part)
        own = data.part(part, indices)
        group = data.groups[indices]
        assert (group[own.pairs.first] != group[own.pairs.second]).all()
        assert all(len(set(group[own.labels == label])) >= 2 for label in (0, 1))
        assert own.pairs.similar_share == pytest.approx(0.5, abs=0.1)
    said = " | ".join(data.notes)
    assert "120 chips are in 24 groups (folders inside the classes), kept together" in said
    assert "small set: 120 chips in 24 groups leave" in said


@pytest.mark.parametrize("split", ["grouped", "random"])
def test_chips_kept_for_the_test_stand_there_and_move_no_other(chips, split):
    """They and their flipped copies are tested beside those drawn; training and validation are as without them."""
    without = prepare(chips, split)
    kept = simulate(6, seed=9)
    images = np.concatenate([kept.images, chips.images, kept.images[:, :, ::-1]])
    labels = np.concatenate([kept.labels, chips.labels, kept.labels])
    marked = np.arange(len(images)) < 6
    if split == "random":
        marked[-6:] = True
    more = prepare(dataclasses.replace(chips, images=images, labels=labels, test_only=marked), split)
    ends = np.concatenate([np.arange(6), len(chips) + 6 + np.arange(6)])
    assert np.array_equal(more.split.test, np.sort(np.concatenate([without.split.test + 6, ends])))
    assert np.array_equal(more.split.train, without.split.train + 6)
    assert np.array_equal(more.for_trials().validation.pairs.first, without.for_trials().validation.pairs.first)


def test_a_random_split_says_that_groups_are_torn_apart():
    """--split random treats chips one by one; the note says that groups are not kept together."""
    data = prepare(patients(12, 5), "random")
    assert set(data.groups[data.split.train]) & set(data.groups[data.split.test])
    assert any("NOT kept together (--split random)" in note for note in data.notes)


def test_too_few_groups_are_refused_with_what_would_do():
    """A class of five patients is named; --drop-small-classes leaves it out with a note, and six are enough."""
    few = patients(6, 4, classes=("a", "b", "c"))
    kept = (few.labels < 2) | (few.groups > 3)  # one of c's patients is gone
    chips = dataclasses.replace(few, images=few.images[kept], labels=few.labels[kept], groups=few.groups[kept])
    assert len(set(chips.groups[chips.labels == 2])) == 5
    with pytest.raises(InputError, match=r"fewer than 6 groups \(folder\) in class 'c' \(5\).*--group-by none"):
        prepare(chips, "grouped")
    data = prepare(chips, "grouped", drop_small_classes=True)
    assert data.chips.classes == ("a", "b")
    assert any("left out classes with fewer than 6 groups: 'c' (5)" in note for note in data.notes)


def test_a_picture_that_two_groups_share_holds_them_together():
    """A scene copied from one patient's folder to another's joins both; a black frame in each patient's joins none."""
    chips = patients(12, 5)
    images = chips.images.copy()
    images[5] = images[0][::-1]  # patient 1 shows a picture of patient 0, flipped
    images[4::5] = 0
    data = prepare(dataclasses.replace(chips, images=images), "grouped")
    assert data.groups[0] == data.groups[5]
    assert len(set(data.groups)) == 23
    assert any("1 groups hold pictures of other groups" in note for note in data.notes)


def test_groups_of_two_classes_are_split_by_the_rarer_one():
    """Thirty patients with healthy pictures, eight of them with ill ones too: every part has two of the eight."""
    healthy, ill = patients(30, 4, classes=("well",)), patients(8, 3, seed=1, classes=("ill",))
    chips = with_labels([0] * 120 + [1] * 24, ("well", "ill"), np.concatenate([healthy.images, ill.images]))
    data = prepare(
        dataclasses.replace(chips, groups=np.concatenate([healthy.groups, ill.groups]), group_by="folder"), "grouped"
    )
    for part in data.split.sizes():
        indices = getattr(data.split, part)
        assert len(set(data.groups[indices][data.chips.labels[indices] == 1])) >= 2


@pytest.mark.slow
def test_classes_that_say_nothing_stay_at_chance_on_the_test_pairs(tmp_path):
    """Two classes of 12 patients, 14 shifted crops each, classes without a sign: chance on the test pairs, no adoption.

    Patients torn apart by the split are recognised instead: the same network then has two thirds of its test pairs right.
    """
    from safetensors.torch import save_file

    from analysis.checks.chance import chance
    from analysis.checks.evidence import evidence_of
    from analysis.scores import Finalist
    from studies.describe import described_grouping
    from studies.evaluate import evaluate
    from tests.build import LOSS, saying, study
    from trainables.config import TrialConfig
    from trainables.ensemble import pack
    from trainables.training import DeviceData, Run, train

    def tested(chips, name):
        data = prepare(chips, "grouped")
        config = TrialConfig().override({"epochs": 6, "optimiser.lr": 0.003})
        run = Run.fresh(config)
        list(train(config, DeviceData.of(data.for_trials()), run))
        save_file(pack(run.networks), tmp_path / name)
        scores, _ = evaluate(data, {"selected": Finalist(config, [tmp_path / name], [0], [0.0])}, tmp_path, name)
        return scores["selected"]

    chips = patients(12, 14)
    seen = study(val_accuracy=[1.0] * 27)  # however well it does on the validation pairs of four patients
    seen = saying(seen, data={"grouping": described_grouping(prepare(chips, "grouped"))})
    assert chance(evidence_of(seen, LOSS))[0].severity == "note"  # and so it is not adopted (test_report.py)
    kept = tested(chips, "together")
    low, high = kept.accuracy_interval
    assert 0.3 < kept.accuracy < 0.7
    assert low < 0.5 < high
    assert tested(dataclasses.replace(chips, groups=None), "apart").accuracy > 0.65


# --- whole classes held out -------------------------------------------------------------------------------------------


def people(number, chips=4, groups=None):
    """So many classes of so many chips each, no two of them near-duplicates."""
    made = with_labels(np.arange(number).repeat(chips), tuple(f"p{n:02d}" for n in range(number)))
    return made if groups is None else dataclasses.replace(made, groups=np.array(groups), group_by="folder")


def test_each_part_has_classes_of_its_own():
    """Of forty classes 64 / 16 / 20 % of the chips, no class in two parts; pairs of both kinds in each; a note says so."""
    data = prepare(people(40), "classes")
    parts = {part: set(data.classes_of(part)) for part in data.split.sizes()}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 40
    assert data.split.sizes() == {"train": 100, "validation": 28, "test": 32}
    for part in parts:
        similar = data.part(part, getattr(data.split, part)).pairs.similar_share
        assert similar == pytest.approx(0.5, abs=0.02)
    assert "whole classes are held out: 25 to train on, 7 others for validation, 8 others for the test" in data.notes
    assert any("160 chips in 40 classes leave 7 classes for validation and 8 for the test" in n for n in data.notes)
    assert np.array_equal(data.units, data.chips.labels)
    assert prepare(people(40), "classes").split.sizes() == data.split.sizes()


def test_six_classes_of_two_chips_are_enough_and_five_are_not():
    """Two classes for each part, two chips for a similar pair: with fewer one line says what is needed."""
    data = prepare(people(6, 2), "classes")
    assert {part: len(data.classes_of(part)) for part in data.split.sizes()} == {"train": 2, "validation": 2, "test": 2}
    assert set(data.part("test", data.split.test).pairs.target.tolist()) == {0, 1}
    with pytest.raises(InputError, match=r"--split classes needs 6 classes, two for each .* and there are 5"):
        prepare(people(5, 2), "classes")
    labels = np.append(np.arange(6).repeat(2), 6)
    with pytest.raises(InputError, match=r"fewer than 2 chips in class 'lone' \(1\).*--drop-small-classes"):
        prepare(with_labels(labels, (*"abcdef", "lone")), "classes")


def test_classes_that_share_a_picture_stay_on_one_side():
    """A picture of one class is also in another: both stand in one part; so few that five are left are refused."""
    chips = people(12)
    chips.images[4] = chips.images[0][::-1]  # p01 shows a picture of p00, flipped
    data = prepare(chips, "classes")
    assert any({"p00", "p01"} <= set(data.classes_of(part)) for part in data.split.sizes())
    few = people(6)
    few.images[4] = few.images[0]
    with pytest.raises(InputError, match=r"needs 6 classes that share no picture or group, .* there are 5"):
        prepare(few, "classes")


def test_held_out_classes_keep_the_users_groups_apart_in_pairs():
    """No pair lies within a group here either; a class of one group, or of flips of one picture, is refused by name."""
    data = prepare(people(12, 4, np.arange(48) // 2), "classes")
    for part in data.split.sizes():
        indices = getattr(data.split, part)
        pairs, group = data.part(part, indices).pairs, data.groups[indices]
        assert (group[pairs.first] != group[pairs.second]).all()
    with pytest.raises(InputError, match=r"fewer than 2 groups \(folder\) in class 'p00' \(1\).* for a similar pair"):
        prepare(people(12, 4, np.maximum(np.arange(48) // 2, 1)), "classes")
    chips = people(12)
    chips.images[1:4] = [np.rot90(chips.images[0], turn) for turn in (1, 2, 3)]
    with pytest.raises(InputError, match="class 'p00' has no similar pair: its 4 chips are flips or turns"):
        prepare(chips, "classes")


def test_fresh_pairs_are_as_many_and_as_balanced(prepared):
    """New partners of the training chips: each chip first in five pairs, the share of similar ones within chance, all others."""
    data = prepared.for_trials()
    fixed = load(data.train, data)
    fresh = fixed.with_fresh_pairs(seed=3, epoch=7)
    assert torch.equal(fresh.first, fixed.first)
    assert not torch.equal(fresh.second, fixed.second)
    assert fresh.chips is fixed.chips
    labels = torch.tensor(data.train.labels)
    assert torch.equal(fresh.target, (labels[fresh.first] != labels[fresh.second]).float())
    assert abs(float(fresh.target.mean() - fixed.target.mean())) < 0.1


def test_fresh_pairs_of_many_classes_have_the_same_balance_to_the_pair():
    """With more than two classes as many pairs are similar as in the fixed ones, whatever seed and epoch."""
    made = prepare(with_labels(np.arange(120) % 4, ("a", "b", "c", "d")), "grouped")
    data = made.for_trials()
    fixed = load(data.train, data)
    for seed, epoch in ((0, 0), (0, 1), (5, 0)):
        fresh = fixed.with_fresh_pairs(seed, epoch)
        assert float(fresh.target.sum()) == float(fixed.target.sum())
        assert torch.equal(fresh.second, fixed.with_fresh_pairs(seed, epoch).second)
    drawn = {tuple(fixed.with_fresh_pairs(seed, epoch).second.tolist()) for seed in range(3) for epoch in range(4)}
    assert len(drawn) == 12


def test_fresh_pairs_never_lie_within_a_group():
    """What keeps the user's groups apart in the fixed pairs keeps them apart in new ones."""
    labels, groups = np.arange(120) % 2, np.arange(120) // 5
    chips = dataclasses.replace(with_labels(labels, ("a", "b")), groups=groups * 2 + labels, group_by="folder")
    made = prepare(chips, "grouped")
    data = made.for_trials()
    own = made.groups[made.split.train]
    for epoch in range(3):
        fresh = load(data.train, data).with_fresh_pairs(0, epoch)
        assert (own[fresh.first.numpy()] != own[fresh.second.numpy()]).all()
