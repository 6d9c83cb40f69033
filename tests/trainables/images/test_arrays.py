"""Guards that images in memory become the chips that the same images in files become, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.errors import InputError
from trainables.images.arrays import Arrays, from_dataset
from trainables.images.readers import read_chips

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
LABELS = np.array([4, 4, 7, 7, 4, 7])


def test_they_are_the_chips_of_an_npz_of_the_same_arrays(tmp_path):
    """Equal pixels, labels, classes and scale, whatever the kind of number."""
    for kind in (np.uint8, np.float32, np.int32):
        np.savez(tmp_path / "a.npz", X_train=IMAGES.astype(kind), Y_train=LABELS)
        read, given = read_chips(tmp_path / "a.npz"), Arrays(IMAGES.astype(kind), LABELS).chips()
        assert given.digest() == read.digest()
        assert given.scale == read.scale


def test_a_dataset_of_pillow_images_is_the_folder_of_their_files(tmp_path):
    """Images of any size in a dataset with `classes` give the pixels, labels and names that a folder of PNGs gives."""
    images = [Image.fromarray(RNG.integers(0, 256, (20 + n, 40, 3), dtype=np.uint8)) for n in range(4)]
    for number, image in enumerate(images):
        folder = tmp_path / ("boat" if number < 2 else "ship")
        folder.mkdir(exist_ok=True)
        image.save(folder / f"{number}.png")
    given = from_dataset(Named(zip(images, (0, 0, 1, 1), strict=True))).chips()
    assert given.digest() == read_chips(tmp_path).digest()
    assert given.classes == ("boat", "ship")


class Named(list):
    classes = ("boat", "ship", "tug")  # of which none is there


class Streamed(torch.utils.data.IterableDataset):
    """A dataset without a length, as torch has them."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        return (self.dataset[index] for index in range(len(self.dataset)))


def test_tensors_have_their_channels_first():
    """A TensorDataset of (C, H, W) gives the chips of the same images with channels last; greys are repeated."""
    tensors = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    dataset = torch.utils.data.TensorDataset(tensors, torch.from_numpy(LABELS))
    assert from_dataset(dataset).chips().digest() == Arrays(IMAGES, LABELS).chips().digest()
    assert from_dataset(Streamed(dataset)).chips().digest() == Arrays(IMAGES, LABELS).chips().digest()
    grey = torch.utils.data.TensorDataset(tensors[:, :1], torch.from_numpy(LABELS))
    assert from_dataset(grey).chips().digest() == Arrays(IMAGES[..., :1], LABELS).chips().digest()


def test_groups_are_kept_and_images_read_at_any_side():
    """Names of groups become numbers, one a name; `side` is the chips'."""
    chips = Arrays(IMAGES, LABELS, groups=["b", "a", "b", "c", "a", "c"]).chips(90)
    assert chips.groups.tolist() == [1, 0, 1, 2, 0, 2]
    assert chips.images.shape == (6, 90, 90, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Arrays(IMAGES[:4], LABELS), "images holds 4 images, labels 6 labels"),
        (Arrays(IMAGES.transpose(0, 3, 1, 2), LABELS), "channels first"),
        (Arrays(IMAGES, LABELS, classes=["a", "b"]), "classes names 2; labels must then be numbers from 0 to 1"),
        (Arrays(IMAGES, LABELS, groups=[1, 2]), r"groups has shape \(2,\); expected \(6,\)"),
        (Arrays([IMAGES[0], IMAGES[1].astype(float)[:5]], [0, 1]), "differ in kind or channels"),
        (Arrays([IMAGES[0], IMAGES[1, 0]], [0, 1]), "differ in kind or channels"),
        (Arrays(np.full((2, 9, 9), np.nan), [0, 1]), r"images\[0\] has NaN"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(given, said):
    """Each raises InputError that names the array and what would be right."""
    with pytest.raises(InputError, match=said) as refused:
        given.chips()
    assert "\n" not in str(refused.value)
