"""Guards that a split keeps together what belongs together, and what counts as the same picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from trainables import splits
from trainables.images.synthetic import simulate
from trainables.splits import joined, near_duplicates, rarest_labels, split_chips


def turned(image, k):
    """One of the eight flips and quarter turns."""
    return np.rot90(image[:, ::-1] if k >= 4 else image, k % 4)


@given(st.lists(st.integers(0, 30), min_size=10, max_size=80), st.integers(0, 2**32), st.integers(2, 4))
def test_a_grouped_split_partitions_and_keeps_groups_together(groups, seed, classes):
    """Every chip is in exactly one part, and no group is in two."""
    groups = np.array(groups)
    labels = groups % classes
    split = split_chips(labels, groups, "grouped", np.random.default_rng(seed))
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    homes = [set(groups[part].tolist()) for part in parts]
    assert not (homes[0] & homes[1] or homes[0] & homes[2] or homes[1] & homes[2])


@given(st.lists(st.integers(1, 40), min_size=6, max_size=20), st.integers(0, 2**32))
def test_each_part_gets_its_least_of_groups(sizes, seed):
    """Six groups or more of any size leave at least two for each part."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = split_chips(np.zeros_like(groups), groups, "grouped", np.random.default_rng(seed), least=2)
    assert min(split.group_counts(groups).values()) >= 2


def test_two_groupings_are_joined_through_chains():
    """0 and 1 share a picture, 1 and 2 a patient: all three are one; 3 stays alone."""
    both = joined(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7]))
    assert both[0] == both[1] == both[2] != both[3]


def test_a_group_counts_for_the_label_that_few_groups_have():
    """Of four patients with healthy pictures one has ill ones too: she counts among the ill."""
    labels, groups = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 3])
    assert rarest_labels(labels, groups).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["grouped", "random"])
def test_parts_are_64_16_20_in_every_class(kind):
    """Without duplicates each class is split 64 / 16 / 20 % to within a chip; 4,113 chips leave 823 for the test."""
    labels = np.array([0] * 2064 + [1] * 2049)
    split = split_chips(labels, np.arange(4113), kind, np.random.default_rng(0))
    assert split.sizes() == {"train": 2632, "validation": 658, "test": 823}
    assert (labels[split.test] == 0).sum() == 413


def test_a_random_split_separates_copies():
    """`random`, the report's way, ignores groups: of 200 pictures in three copies some straddle the split."""
    groups = np.repeat(np.arange(200), 3)
    split = split_chips(groups % 2, groups, "random", np.random.default_rng(0))
    assert set(groups[split.train]) & set(groups[split.test])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_flips_and_turns_are_found_and_nothing_else(dtype):
    """All eight views of a chip are one group, also where rounding moved a tenth of the pixels by one grey level."""
    images = simulate(40, seed=1).images
    grey = 0.01
    if dtype == np.uint8:
        images, grey = ((images + 1) * 100).clip(1, 254).astype(np.uint8), 1
    moved = np.random.default_rng(0).choice([-grey, 0, grey], (320, *images.shape[1:]), p=[0.05, 0.9, 0.05])
    copies = np.stack([turned(image, k) for image in images for k in range(8)])
    copies = (copies + moved).astype(dtype)
    groups = near_duplicates(np.concatenate([images, copies]))
    assert (groups[:40, None] == groups[40:].reshape(40, 8)).all()
    assert len(set(groups.tolist())) == 40


@pytest.mark.parametrize("scale", [1, 1e4])
def test_small_targets_on_an_empty_ground_are_different_pictures(scale):
    """Sixty 3 x 3 dots at different places on black are sixty pictures, also where one stray pixel is 10,000 as bright."""
    images = np.zeros((60, 75, 75, 3), np.float32)
    for number in range(60):
        row, column = 3 + 4 * (number // 10), 26 + number % 10  # no place is a flip or turn of another
        images[number, row : row + 3, column : column + 3] = 1
    images[0, 70, 70] = scale
    assert len(set(near_duplicates(images).tolist())) == 60


class Counted(cKDTree):
    """A tree that counts the candidates it gives."""

    given = 0

    def query_ball_point(self, *args, **kwargs):
        found = super().query_ball_point(*args, **kwargs)
        Counted.given += len(found)
        return found


@pytest.mark.parametrize("set_", ["hazy and one sharp", "a fixed camera"])
def test_candidates_grow_with_the_pictures_not_with_their_square(monkeypatch, set_):
    """Of 1,500 hazy pictures and one of full contrast, and of 1,500 of one scene, each is looked at a few times alone."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (1, 5, 5, 3)).repeat(15, 1).repeat(15, 2)
    if set_ == "a fixed camera":
        images = scene + rng.integers(-3, 4, (1500, 75, 75, 3))
    else:
        images = np.concatenate([128 + rng.normal(0, 4, (1499, 5, 5, 3)).repeat(15, 1).repeat(15, 2), scene])
    compared = []
    same = splits.same_picture
    monkeypatch.setattr("scipy.spatial.cKDTree", Counted)
    monkeypatch.setattr(splits, "same_picture", lambda *args: compared.append(1) or same(*args))
    Counted.given = 0
    groups = near_duplicates(images.clip(0, 255).astype(np.uint8))
    assert len(set(groups.tolist())) == (1 if set_ == "a fixed camera" else 1500)
    assert Counted.given < 20 * 1500
    assert len(compared) < 2 * 1500


def test_blank_images_are_one_picture():
    """Three hundred black images are one group."""
    assert set(near_duplicates(np.zeros((300, 75, 75, 3), np.uint8)).tolist()) == {0}


def test_real_faces_have_no_false_duplicates(shared_data):
    """400 different face photographs are 400 groups: likeness of a person is not sameness of a picture."""
    from trainables.images.readers import read_chips

    faces = read_chips(shared_data / "att_faces" / "att_faces.zip")
    assert len(set(near_duplicates(faces.images).tolist())) == 400
