"""Guards how folders and names become classes and groups, and which layouts are refused."""

from pathlib import PurePosixPath

import pytest

from trainables.errors import InputError
from trainables.images.layout import group_by, lay_out


def paths(*names):
    return [PurePosixPath(name) for name in names]


def under(*folders, images=2):
    """Images 0.png, 1.png, ... in each folder."""
    return paths(*(f"{folder}/{number}.png" for folder in folders for number in range(images)))


def laid(images, **how):
    return lay_out(images, {above for image in images for above in image.parents}, "somewhere", **how)


# --- groups ----------------------------------------------------------------------------------------------------------


def test_folders_inside_a_class_are_groups():
    """class/patient/*.png: each patient is a group; one with pictures of two classes is one group."""
    layout = laid(under("ill/anna", "ill/bert", "well/anna", "well/carl"))
    assert layout.classes == ("ill",) * 4 + ("well",) * 4
    assert layout.groups == ("anna", "anna", "bert", "bert", "anna", "anna", "carl", "carl")


def test_deeper_folders_belong_to_the_patient():
    """class/patient/session/*.png: the outermost folder that tells images apart is the group."""
    layout = laid(
        under("x/all/ill/anna/a", "x/all/ill/anna/b", "x/all/ill/bert/a", "x/all/well/carl/a", "x/all/well/dora/a")
    )
    assert set(layout.groups) == {"anna", "bert", "carl", "dora"}


@pytest.mark.parametrize(
    "images",
    [
        under("cat", "dog"),
        under("cat/images", "dog/images"),
        under("cat/a", "cat/b", "dog/c", images=1),
    ],
    ids=["no folders", "one folder in every class", "a folder for every image"],
)
def test_folders_that_tell_nothing_are_no_groups(images):
    """Without inner folders, with one and the same in every class, or with one an image, nothing is grouped."""
    assert laid(images).groups is None


def test_images_beside_groups_stand_alone():
    """Images that lie in the class folder itself are in no group."""
    layout = laid(under("cat/a", "dog/b") + paths("cat/9.png"))
    assert layout.groups == ("a", "a", "b", "b", None)


def test_a_prefix_of_the_file_names_groups():
    """prefix:REGEX groups by what it matches, or by its first bracket; names that do not match are counted in a note."""
    images = paths("cat/p1_a.png", "cat/p1_b.png", "dog/p2_a.png", "dog/other.png")
    for pattern in (r"p\d+", r"(p\d+)_."):
        layout = laid(images, by=f"prefix:{pattern}")
        assert layout.groups == ("p1", "p1", "p2", None)
        assert "1 of 4 file names do not begin with" in layout.notes[0]
    with pytest.raises(InputError, match=r"no file name begins so, as 'p1_a\.png' does not"):
        laid(images, by="prefix:patient")


def test_groups_that_are_not_wanted_are_said():
    """--group-by none groups nothing, and a note says how many folders that leaves alone."""
    layout = laid(under("ill/anna", "ill/bert", "well/carl"), by="none")
    assert layout.groups is None
    assert layout.notes == ("3 folders inside the classes are not taken as groups (--group-by none)",)


@pytest.mark.parametrize("text", ["folders", "prefix:", "prefix:(", ""])
def test_a_wrong_way_to_group_is_refused(text):
    """Anything but folder, none and prefix:REGEX is one line that says so."""
    with pytest.raises(InputError, match="--group-by"):
        group_by(text)
    assert [group_by(good) for good in ("folder", "none", "prefix:a+")] == ["folder", "none", "prefix:a+"]


# --- splits ----------------------------------------------------------------------------------------------------------

SPLITS = [
    ("train", "test"), ("Training", "Testing"), ("training_set", "test_set"), ("seg_train", "seg_test"),
    ("train", "val", "test"), ("TRAIN", "VALID"), ("train_data", "test_data"), ("trainset", "testset"),
    ("asl_alphabet_train", "asl_alphabet_test"), ("TrainSet", "TestSet"), ("train2017", "val2017"),
    ("Train Images", "Test Images"), ("training", "evaluation"), ("train", "dev"), ("train", "holdout"),
]  # fmt: skip


@pytest.mark.parametrize("names", SPLITS, ids="-".join)
def test_a_split_in_any_spelling_is_refused_with_the_way_out(names):
    """Folders named like parts of a split, with the same classes inside, directly or one folder deeper, are no classes."""
    for deeper in ("", f"{names[0]}/"):
        images = under(
            *(f"{name}/{deeper if name == names[0] else ''}{kind}" for name in names for kind in ("cat", "dog"))
        )
        with pytest.raises(
            InputError, match=r"look like a split, not like classes; give one of them, .*--merge-splits"
        ):
            laid(images)
        merged = laid(images, merge_splits=True)
        assert merged.classes == ("cat", "cat", "dog", "dog") * len(names)
        assert merged.groups is None
        assert "merged the folders" in merged.notes[0]


def test_a_split_beside_something_else_is_refused():
    """seg_pred without classes beside seg_train and seg_test hides no split; nor is it merged into the set."""
    images = under("seg_train/cat", "seg_train/dog", "seg_test/cat", "seg_test/dog", "seg_pred")
    with pytest.raises(InputError, match="the folders seg_test, seg_train look like a split"):
        laid(images)
    with pytest.raises(InputError, match="seg_pred lies beside the split"):
        laid(images, merge_splits=True)


def test_a_split_without_class_folders_is_refused():
    """train/*.png and test/*.png are two parts of a set without labels, and no classes."""
    with pytest.raises(InputError, match="the folders test, train look like a split"):
        laid(under("train", "test"))
    with pytest.raises(InputError, match="lies in no class folder"):
        laid(under("train", "test"), merge_splits=True)


def test_a_split_inside_the_classes_is_refused_too():
    """cat/train, cat/test: two groups that are none; merged they leave the folders below them as groups."""
    images = under(
        *(f"{kind}/{part}/{who}" for kind in ("cat", "dog") for part in ("train", "test") for who in ("a", "b"))
    )
    with pytest.raises(InputError, match="inside the class folders lie test, train"):
        laid(images)
    assert set(laid(images, merge_splits=True).groups) == {"a", "b"}


@pytest.mark.parametrize(
    "names",
    [
        ("train", "bus", "car"), ("train_station", "train_interior"), ("test1", "test2"),
        ("contrast", "latest"), ("val", "oak"), ("trains", "tests"),
    ],
    ids="-".join,
)  # fmt: skip
def test_classes_that_only_sound_like_a_split_are_classes(names):
    """A vehicle, a place, a numbered session: without a second part of a split beside them they are classes."""
    images = under(*(f"{name}/{who}" for name in names for who in ("a", "b")))
    assert set(laid(images).classes) == set(names)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_a_set_nested_in_itself_is_refused_by_name():
    """cell_images/ with two classes and once more cell_images/ with the same two: named, with the number of its images."""
    images = under(
        "cell_images/sick", "cell_images/well", "cell_images/cell_images/sick", "cell_images/cell_images/well"
    )
    with pytest.raises(InputError, match=r"'cell_images/cell_images' holds the set once more \(sick, well, 4 images\)"):
        laid(images)


def test_names_in_two_unicode_forms_are_one_class():
    """A name as a Mac writes it, e and accent apart, and as others do are one class, and a note says so."""
    mac, other = "cafe\u0301", "caf\u00e9"
    layout = laid(under(mac, other, "tea"))
    assert layout.classes == (other,) * 4 + ("tea",) * 2
    assert "Unicode" in layout.notes[0] and other in layout.notes[0]
    assert laid(under(mac, "tea")).classes[0] == mac  # as it was read before


def test_empty_folders_where_classes_lie_are_known():
    """A folder beside the classes that holds no image is told from one inside them, and from one above."""
    images = under("set/cat", "set/dog/inner")
    folders = {above for image in images for above in image.parents} | set(
        paths("set/fox/den", "set/fox", "set/cat/no", "docs")
    )
    layout = lay_out(images, folders, "s")
    assert dict(layout.empty) == {"fox": PurePosixPath("set/fox")}
    assert layout.notes == ("passed over folders without an image, beside the one that holds all: docs",)
