import pytest
import torch
from scipy import stats
from torch import Generator
from torchvision.transforms.v2 import functional as vision

from trainables.augment import GREY_WEIGHTS, draw_views, gather
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
