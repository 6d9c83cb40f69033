"""File and class names that mean harm, or are only unusual."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from trainables.errors import InputError
from trainables.readers import read_chips

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


def test_links_do_not_lead_out(tmp_path):
    """A link to a file outside, and a link to any folder, are refused by name; a link within the folder is a file."""
    root = folder(tmp_path / "chips", ["a", "b"], count=2)
    (root / "a" / "again.png").symlink_to(root / "b" / "0.png")
    assert len(read_chips(root)) == 5
    secret = tmp_path / "secret.png"
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(secret)
    (root / "a" / "out.png").symlink_to(secret)
    with pytest.raises(InputError, match=r"'out.png' is a link out of the folder"):
        read_chips(root)
    (root / "a" / "out.png").unlink()
    (root / "c").symlink_to(tmp_path)
    with pytest.raises(InputError, match="'c' is a link to a folder"):
        read_chips(root)


def test_a_file_that_is_no_file_is_passed_over(tmp_path):
    """A named pipe among the images is not opened: reading it would wait for ever."""
    root = folder(tmp_path / "chips", ["a", "b"])
    os.mkfifo(root / "a" / "pipe.png")
    assert len(read_chips(root)) == 2
