"""Guards each augmentation: what it does to a chip, how often, and that it leaves the stored one alone."""

import pytest
import torch
from scipy import stats
from torch import Generator
from torchvision.transforms.v2 import functional as vision

from trainables.augment import GREY_WEIGHTS, Warps, draw_views, draw_warps, gather, warp
from trainables.config import Augmentation

IMAGES = torch.rand(7, 3, 11, 9, generator=Generator().manual_seed(0)).to(memory_format=torch.channels_last)


def augmented(chips, augmentation, generator):
    """The chips as a training step sees them."""
    return gather(IMAGES, chips, draw_views(len(chips), augmentation, generator))


def grey(chip):
    luma = sum(weight * chip[channel] for channel, weight in enumerate(GREY_WEIGHTS))
    return luma.expand(3, -1, -1)


def test_without_augmentation_a_batch_is_the_chips_themselves():
    """theta 0 gives images[chips] to the bit and draws nothing from the generator."""
    generator = Generator().manual_seed(1)
    before = generator.get_state()
    chips = torch.tensor([3, 0, 3])
    assert torch.equal(augmented(chips, Augmentation(0.0), generator), IMAGES[chips])
    assert torch.equal(generator.get_state(), before)


def test_with_certainty_every_transform_hits():
    """theta 1 flips both ways and turns grey, as torchvision's own functions one after the other."""
    batch = augmented(torch.arange(7), Augmentation(1.0), Generator().manual_seed(1))
    for chip, image in zip(batch, IMAGES, strict=True):
        assert torch.allclose(chip, grey(vision.vertical_flip(vision.horizontal_flip(image))), atol=1e-6)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_each_chip_has_its_own_draws_at_rate_theta():
    """Each result is one of the eight combinations, and each transform hits about theta of 3,000 chips (p > 0.001)."""
    chips = torch.zeros(3000, dtype=torch.long)
    image = IMAGES[0]
    variants = {
        (h, v, g): (lambda x, g=g: grey(x) if g else x)(image.flip([d for d, on in ((-1, h), (-2, v)) if on]))
        for h in (0, 1)
        for v in (0, 1)
        for g in (0, 1)
    }
    counts = torch.zeros(3)
    for chip in augmented(chips, Augmentation(0.7), Generator().manual_seed(2)):
        hits = [key for key, variant in variants.items() if torch.allclose(chip, variant, atol=1e-6)]
        assert len(hits) == 1
        counts += torch.tensor(hits[0])
    for count in counts.tolist():
        assert stats.binomtest(int(count), 3000, 0.7).pvalue > 1e-3


@pytest.mark.parametrize("theta", [0.3, 1.0])
def test_the_source_images_stay_as_they_are(theta):
    """Augmentation never writes into the data set."""
    before = IMAGES.clone()
    augmented(torch.arange(7), Augmentation(theta), Generator().manual_seed(3))
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize("switch", ["horizontal_flip", "vertical_flip", "greyscale"])
def test_a_transform_that_is_off_never_hits(switch):
    """Switched off, a transform hits no chip, and the other two hit the chips that they would have hit with it on."""
    chips = torch.arange(7).repeat(20)
    undo = {"horizontal_flip": lambda x: x.flip(-1), "vertical_flip": lambda x: x.flip(-2), "greyscale": grey}[switch]
    all_on = augmented(chips, Augmentation(0.5), Generator().manual_seed(4))
    one_off = augmented(chips, Augmentation(0.5, **{switch: False}), Generator().manual_seed(4))
    hit = torch.tensor([not torch.allclose(a, b, atol=1e-6) for a, b in zip(all_on, one_off, strict=True)])
    assert 0 < hit.sum() < len(chips)
    for a, b in zip(all_on[hit], one_off[hit], strict=True):
        assert torch.allclose(a, undo(b), atol=1e-6)


def test_with_every_transform_off_nothing_happens():
    """theta 1 with all three switches off gives the chips themselves."""
    off = Augmentation(1.0, horizontal_flip=False, vertical_flip=False, greyscale=False)
    assert torch.equal(augmented(torch.arange(7), off, Generator().manual_seed(1)), IMAGES)


SQUARE = torch.rand(5, 3, 16, 16, generator=Generator().manual_seed(0))
BLACK = torch.tensor([-1.0, -2.0, -0.5])


def warped(generator=1, theta=1.0, **most):
    """Five squares as a training step sees them, with what was drawn."""
    warps = draw_warps(5, Augmentation(theta, **most), Generator().manual_seed(generator))
    return warp(SQUARE.clone(), warps, BLACK), warps


def test_pictures_are_not_changed_by_default():
    """Without crop, turn and brightness nothing is drawn from the generator, whatever theta; nor with them at theta 0."""
    generator = Generator().manual_seed(1)
    before = generator.get_state()
    assert draw_warps(5, Augmentation(1.0), generator) is None
    assert draw_warps(5, Augmentation(0.0, crop=0.3, turn=20.0, brightness=0.4), generator) is None
    assert torch.equal(generator.get_state(), before)


def test_a_crop_is_a_window_of_the_chip_made_as_large_as_it():
    """Every pixel is the chip's, read by a loop at the place that the window says; windows stay inside and differ."""
    drawn, warps = warped(crop=0.6)
    sides, middle = warps.place[:, 0, 0], warps.place[:, :, 2]
    assert ((sides >= 0.4) & (sides < 1)).all()
    assert (middle.abs() <= 1 - sides[:, None] + 1e-6).all()
    assert len(set(sides.tolist())) == 5
    centres = (2 * torch.arange(16) + 1) / 16 - 1
    for chip in range(5):
        for row, column in ((0, 0), (3, 12), (15, 7)):
            x, y = (sides[chip] * centres[at] + middle[chip, axis] for axis, at in ((0, column), (1, row)))
            across, down = (float((place + 1) * 8 - 0.5) for place in (x, y))
            expected = reference(SQUARE[chip], across, down)
            assert torch.allclose(drawn[chip, :, row, column], expected, atol=1e-4)


def reference(chip, across, down):
    """A chip (3, S, S) read linearly at a place in pixels, edges repeated half a pixel outwards."""
    left, top = int(across // 1), int(down // 1)
    total = torch.zeros(3)
    for x in (left, left + 1):
        for y in (top, top + 1):
            share = (1 - abs(across - x)) * (1 - abs(down - y))
            total += share * chip[:, min(max(y, 0), 15), min(max(x, 0), 15)]
    return total


def test_a_turn_is_a_turn():
    """The map is a rotation by at most the angle, both ways; by a right angle the chip is torch's `rot90` of it."""
    _, warps = warped(turn=30.0)
    angles = torch.atan2(warps.place[:, 1, 0], warps.place[:, 0, 0]) * 180 / torch.pi
    assert (angles.abs() <= 30).all()
    assert angles.min() < 0 < angles.max()
    assert torch.allclose(torch.linalg.det(warps.place[:, :, :2]), torch.ones(5), atol=1e-5)
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]).expand(5, 2, 3)
    turned = warp(SQUARE.clone(), Warps(quarter, torch.ones(5), torch.ones(5, dtype=torch.bool)), BLACK)
    assert torch.allclose(turned, torch.rot90(SQUARE, 1, (2, 3)), atol=1e-4)


def test_brightness_multiplies_pixels_as_they_were_stored():
    """Normalised, a pixel x is b + f (x - b), b being black; black stays black, and 0.5 to 1.5 is where f lies."""
    drawn, warps = warped(brightness=0.5)
    assert ((warps.light >= 0.5) & (warps.light <= 1.5)).all()
    for chip, seen, light in zip(SQUARE, drawn, warps.light, strict=True):
        black = BLACK[:, None, None]
        assert torch.allclose(seen, black + light * (chip - black), atol=1e-6)


def test_each_warp_hits_by_its_own_draw():
    """At theta 0.4 crop, turn and brightness each hit about that share of 3,000 chips (p > 0.001); the rest stay as they are."""
    warps = draw_warps(3000, Augmentation(0.4, crop=0.3, turn=20.0, brightness=0.4), Generator().manual_seed(2))
    kept = torch.linalg.det(warps.place[:, :, :2])
    counts = [(kept < 1 - 1e-6).sum(), (warps.place[:, 1, 0] != 0).sum(), (warps.light != 1).sum()]
    for count in counts:
        assert stats.binomtest(int(count), 3000, 0.4).pvalue > 1e-3
    drawn, warps = warped(theta=0.4, crop=0.3, generator=5)
    assert 0 < warps.moved.sum() < 5
    assert torch.equal(drawn[~warps.moved], SQUARE[~warps.moved])
