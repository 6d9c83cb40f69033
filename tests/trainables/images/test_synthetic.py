"""Guards that the simulated chips are reproducible and resemble the report's."""

import hashlib

import numpy as np

from trainables.images.readers import read_chips
from trainables.images.synthetic import COUNT, TEST_ONLY, embedded, simulate
from trainables.preparation import prepare
from trainables.splits import near_duplicates


def background(images):
    """The chips' upper and lower fifteen rows, where there is mostly sea."""
    return np.concatenate([images[:, :15], images[:, -15:]], axis=1)


def lag_one(images):
    sea = images[:, :15, :, 0]
    sea = sea - sea.mean((1, 2), keepdims=True)
    return float((sea[:, :, 1:] * sea[:, :, :-1]).mean() / (sea**2).mean())


def test_equal_seeds_give_equal_chips():
    """The same seed gives the same chips to the bit, another seed others; both classes in equal numbers."""
    assert np.array_equal(simulate(12, 4).images, simulate(12, 4).images)
    assert not np.array_equal(simulate(12, 4).images, simulate(12, 5).images)
    assert simulate(12, 4).counts() == {"iceberg": 6, "ship": 6}


def test_chips_are_rendered_as_the_reports():
    """Each channel of each chip has mean 0 and range 1, and the third channel follows the first two."""
    images = simulate(20, 0).images
    assert images.shape == (20, 75, 75, 3)
    assert np.abs(images.mean((1, 2))).max() < 1e-5
    assert np.allclose(np.ptp(images, axis=(1, 2)), 1, atol=1e-5)
    assert np.corrcoef(images[..., 2].ravel(), (images[..., 0] + images[..., 1]).ravel())[0, 1] > 0.95


def test_no_two_chips_are_one_picture():
    """200 simulated chips are 200 pictures: nothing leaks between the parts of a split."""
    assert len(set(near_duplicates(simulate(200, 0).images).tolist())) == 200


def test_speckle_and_contrast_resemble_real_chips(shared_data):
    """Sea deviation, target contrast and neighbour correlation lie within 25 % of those of 35 real chips."""
    real = read_chips(shared_data / "statoil_chips" / "chips.zip").images.astype(float) / 100
    ours = simulate(200, 0).images.astype(float)
    assert np.isclose(background(ours).std((1, 2)).mean(), background(real).std((1, 2)).mean(), rtol=0.25)
    contrast = [(x.max((1, 2)) - x.mean((1, 2))).mean() for x in (ours, real)]
    assert np.isclose(*contrast, rtol=0.25)
    assert np.isclose(lag_one(ours), lag_one(real), atol=0.1)


def test_the_default_set_prepares():
    """The embedded default has nothing to warn of, and trains and validates on what it always did; 560 chips test."""
    chips = embedded()
    data = prepare(chips, "grouped", 0)
    assert data.notes == data.warnings == ()
    assert data.split.sizes() == {"train": 512, "validation": 128, "test": 160 + TEST_ONLY}
    assert set(range(COUNT, COUNT + TEST_ONLY)) <= set(data.split.test.tolist())
    assert np.array_equal(chips.images[:12], simulate(12).images)
    trained = data.for_trials()
    numbers = [data.split.train, data.split.validation, data.groups[:COUNT]]
    numbers += [side for part in (trained.train, trained.validation) for side in (part.pairs.first, part.pairs.second)]
    digest = hashlib.sha256(b"".join(array.astype("<i8").tobytes() for array in numbers)).hexdigest()
    assert digest == "62ded9cbe47baa94ba1f6a8c4fc79e1743ca22233d9e7d4cba1d9f032f6d5e24"
