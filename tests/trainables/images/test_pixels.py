"""What becomes of an image file's numbers, on files made byte by byte where Pillow cannot write them."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.trainables.images.written_by_hand import png, tiff
from trainables.errors import InputError
from trainables.images import pixels
from trainables.images.pixels import EIGHT_OF_SIXTEEN, LOST_LEVELS, MORE_PAGES, NO_VALUE, STRETCHED, decode_picture

ROOT = Path(__file__).resolve().parents[3]


def saved(image, kind="TIFF", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


FAINT = np.linspace(1000, 1600, 75 * 75 * 3).reshape(75, 75, 3).astype(np.uint16)  # within three of 256 high bytes
WRITERS = {
    "png": png,
    "png with alpha": lambda image: png(np.dstack([image, np.full((75, 75), 65535, np.uint16)])),
    "tiff": tiff,
    "tiff, big-endian": lambda image: tiff(image, ">"),
    "tiff, compressed": lambda image: tiff(image, compress=True),
    "tiff, big-endian, compressed": lambda image: tiff(image, ">", compress=True),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_sixteen_bit_colours_keep_their_levels(kind):
    """A 16-bit colour image that uses 601 of 65,536 levels fills 0 to 255, all channels by one range, as greys do."""
    found = decode_picture(WRITERS[kind](FAINT))
    expected = ((FAINT - 1000.0) / 600 * 255).round()
    assert np.array_equal(found.pixels, expected)
    assert found.remarks == {STRETCHED}


def test_sixteen_bits_in_planes_are_told():
    """Pillow reads planes of 16 bits as eight, or as noise: the first is said, the second refused."""
    assert EIGHT_OF_SIXTEEN in decode_picture(tiff(FAINT, compress=True, planes=True)).remarks
    with pytest.raises(InputError, match="separate planes"):
        decode_picture(tiff(FAINT, planes=True))
    ppm = b"P6 75 75 65535\n" + FAINT.astype(">u2").tobytes()
    assert EIGHT_OF_SIXTEEN in decode_picture(ppm).remarks


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -9999, -999, -99999, -32768, -3.4028235e38, 1e38])
def test_what_stands_for_no_value_does_not_stretch(value):
    """NaN, infinities and fill values leave the rest its contrast, become 0, and are remarked on."""
    image = np.linspace(0.1, 0.9, 75 * 75).reshape(75, 75).astype(np.float32)
    expected = decode_picture(saved(image)).pixels
    holed = image.copy()
    holed[10:20, 10:30] = value
    found = decode_picture(saved(holed))
    assert found.remarks == {STRETCHED, NO_VALUE}
    assert (found.pixels[10:20, 10:30] == 0).all()
    rest = np.ones((75, 75), bool)
    rest[10:20, 10:30] = False
    assert np.array_equal(found.pixels[rest], expected[rest])


def test_the_file_s_own_nodata_value_counts_as_none():
    """GDAL's tag says 7: pixels of 7 leave the range alone, though 7 is no usual fill value."""
    image = np.linspace(0.1, 0.9, 75 * 75).reshape(75, 75).astype(np.float32)
    image[0] = 7
    tags = ImageFileDirectory_v2()
    tags[42113] = "7"
    tags.tagtype[42113] = 2
    found = decode_picture(saved(image, tiffinfo=tags))
    assert NO_VALUE in found.remarks
    assert found.pixels[-1].max() == 255 and (found.pixels[0] == 0).all()
    assert NO_VALUE not in decode_picture(saved(image)).remarks


def test_values_that_only_look_like_a_fill_value_count():
    """-999 within the range of the rest, and one bright target far above it, are values."""
    heights = np.linspace(-3000, 500, 75 * 75).reshape(75, 75).astype(np.float32)
    heights[3, 3] = -999
    assert NO_VALUE not in decode_picture(saved(heights)).remarks
    sea = np.random.default_rng(0).exponential(1, (75, 75)).astype(np.float32)
    sea[40, 40] = 9999
    found = decode_picture(saved(sea))
    assert found.pixels[40, 40].max() == 255
    assert found.remarks == {STRETCHED, LOST_LEVELS}


def test_an_image_without_any_value_is_unreadable():
    """All NaN: InputError, so that --skip-bad can leave it out."""
    with pytest.raises(InputError, match="no pixel has a value"):
        decode_picture(saved(np.full((9, 9), np.nan, np.float32)))


def test_one_hot_pixel_of_sixteen_bits_is_remarked_on():
    """Greys of six hundred levels keep 200 and more; a single pixel of 65,535 leaves three, and the remark says so.

    Eight bits never need it.
    """
    image = np.linspace(0, 600, 75 * 75).reshape(75, 75).astype(np.uint16)
    found = decode_picture(saved(image))
    assert found.remarks == {STRETCHED}
    assert len(np.unique(found.pixels)) > 200
    image[5, 5] = 65535
    assert LOST_LEVELS in decode_picture(saved(image)).remarks
    assert decode_picture(saved((image % 3).astype(np.uint8))).remarks == frozenset()


def test_further_pages_are_told_and_a_phone_s_preview_is_not():
    """A TIFF of two pages and an animation are remarked on; an MPO, a phone's JPEG with a second picture, is not."""
    page = Image.fromarray(np.zeros((9, 9), np.uint8))
    other = Image.fromarray(np.full((9, 9), 200, np.uint8))
    for kind, said in (("TIFF", {MORE_PAGES}), ("GIF", {MORE_PAGES}), ("MPO", set())):
        file = io.BytesIO()
        page.save(file, kind, save_all=True, append_images=[other])
        assert decode_picture(file.getvalue()).remarks == said


def test_no_message_shows_an_object_s_address():
    """What is no image is said without <_io.BytesIO object at 0x...>."""
    with pytest.raises(InputError) as caught:
        decode_picture(b"hello")
    assert str(caught.value) == "unreadable or truncated image (cannot identify image file)"


@pytest.mark.slow
def test_a_phone_s_largest_photographs_are_read_in_bounded_memory(tmp_path):
    """A JPEG of 12,000 x 9,000 pixels and a PNG of as many are read within 1 GiB and 1.5 GiB more than Python takes."""
    code = """
import resource, sys
from trainables.images.pixels import decode_image
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
for path in sys.argv[1:]:
    chip = decode_image(open(path, "rb").read())
    print(peak() - before, chip[10].mean() < chip[60].mean())
"""
    ramp = Image.linear_gradient("L").resize((12000, 9000)).convert("RGB")
    paths = [tmp_path / "large.jpeg", tmp_path / "large.png"]
    ramp.save(paths[0])
    ramp.save(paths[1], compress_level=1)
    command = [sys.executable, "-c", code, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    jpeg, png_ = (line.split() for line in done.stdout.splitlines())
    assert (int(jpeg[0]) < 1024, jpeg[1]) == (int(png_[0]) < 1536, png_[1]) == (True, "True")


@pytest.mark.parametrize(("width", "height", "kind"), [(60_000, 60_000, "JPEG"), (20_000, 20_000, "PNG")])
def test_true_bombs_are_refused_by_their_header(width, height, kind):
    """A JPEG of 3.6 and a PNG of 0.4 gigapixels by their headers are refused before they are decoded."""
    content = bytearray(saved(np.zeros((8, 8, 3), np.uint8), kind))
    if kind == "PNG":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    with pytest.raises(InputError, match="absurdly large"):
        decode_picture(bytes(content))


def test_pillow_s_own_bound_is_left_as_it_was():
    """Reading an image changes nothing for whoever uses Pillow beside us."""
    before = Image.MAX_IMAGE_PIXELS
    pixels.decode_image(saved(np.zeros((8, 8, 3), np.uint8)))
    assert before == Image.MAX_IMAGE_PIXELS
