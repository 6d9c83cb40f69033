"""File and class names that mean harm, or are only unusual."""

import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainables.errors import InputError
from trainables.images.readers import read_chips

ODD = ["<img src=x onerror=alert(1)>", "two words", "line\nbreak", "tab\there", "ship\x1b[2J", "氷山", "кот",
       "x" * 200, "'quote\" & co", "-rf", "$(reboot)", "%s%n"]  # fmt: skip


def folder(root, names, count=1):
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((5, 5, 3), 10 * number, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_odd_class_names_are_read_and_can_be_shown_on_one_line(tmp_path):
    """Markup, spaces, line breaks, escapes, other scripts and 200 letters are class names like others, each one line."""
    chips = read_chips(folder(tmp_path / "chips", ODD))
    assert len(chips.classes) == len(ODD)
    assert all(name.isprintable() for name in chips.classes)
    assert "氷山" in chips.classes
    assert json.loads(json.dumps(chips.classes)) == list(chips.classes)


def test_a_bad_file_with_a_line_break_in_its_name_is_still_one_line(tmp_path):
    """The error that names the file has no second line and no escape sequence."""
    root = folder(tmp_path / "chips", ["a", "b"])
    (root / "a" / "bad\n\x1b[2J.png").write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        read_chips(root)
    assert str(caught.value).isprintable()


def test_links_are_followed(tmp_path):
    """Linked images and linked class folders are read, out of the folder too, as DVC, git-annex and caches keep them."""
    store = folder(tmp_path / "store", ["x", "y"], count=2)
    root = folder(tmp_path / "chips", ["a"], count=2)
    (root / "a" / "linked.png").symlink_to(store / "x" / "0.png")
    (root / "b").symlink_to(store / "y")
    (root / "c").symlink_to(store / "y")  # twice the same folder is no loop
    assert read_chips(root).counts() == {"a": 3, "b": 2, "c": 2}


def test_a_linked_class_that_leads_nowhere_does_not_vanish(tmp_path):
    """A broken link in the place of a class folder is a class without a picture, named with what it points to."""
    root = folder(tmp_path / "chips", ["a", "b"])
    (root / "c").symlink_to(tmp_path / "gone")
    assert set(read_chips(root).lacking) == {"c"}


def test_a_link_in_a_zip_is_refused(tmp_path):
    """A zip's member that is a link may point anywhere on this machine."""
    link = zipfile.ZipInfo("a/0.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match=r"'a/0.png' is a link"):
        read_chips(tmp_path / "x.zip")


def test_a_file_that_is_no_file_is_passed_over(tmp_path):
    """A named pipe among the images is not opened: reading it would wait for ever."""
    root = folder(tmp_path / "chips", ["a", "b"])
    os.mkfifo(root / "a" / "pipe.png")
    assert len(read_chips(root)) == 2
