"""From the bytes of an image file to a chip, and what was done to its numbers on the way.

One rule says what is stretched. Eight bits a channel are taken as they are. Greys and colours of more (16 bits, 32
bits, floats) are stretched to 0..255 by the image's own range, all channels by the same: radar counts use little of 16
bits, and a network that normalises sees contrast, not level. Pixels without a value (NaN, infinite, the file's own
nodata value, a fill value such as -9999 far outside the rest) do not count for the range, and become 0.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from trainables.config import SIDE
from trainables.errors import InputError

# pixels by the header: what was always read whole; what is read and reduced; what a JPEG decoder reduces by itself
LARGE, LARGEST, LARGEST_JPEG = 89_478_485, 2 * 89_478_485, 2**28
REDUCED = 4  # times a chip's side: what an image that is reduced keeps at least for the antialiased resize

FEW_LEVELS, MANY_LEVELS = 16, 64  # after and before a stretch: a few bright pixels took the range
GDAL_NODATA, PLANAR, BITS = 42113, 284, 258  # TIFF tags
_FILL = re.compile(r"-9{3,}(\.0+)?|-(32768|32767|2147483648)(\.0+)?")
HUGE = 1e20  # fill values of climate and terrain files begin here

# what may be said about an image that was read, by what a note calls it
STRETCHED = "stretched"
NO_VALUE = "pixels without a value (NaN, nodata, fill), taken as 0"
LOST_LEVELS = (
    f"no more than {FEW_LEVELS} levels left of more than {MANY_LEVELS}: a few pixels far from the rest take the range"
)
MORE_PAGES = "further pages or frames, of which the first alone is read"
EIGHT_OF_SIXTEEN = "16-bit colours in a format of which 8 bits are read (PNG and TIFF keep them)"


@dataclass(frozen=True)
class Picture:
    """A decoded image: `pixels` (S, S, 3) uint8, and what there is to say about it."""

    pixels: NDArray[np.uint8]
    remarks: frozenset[str] = frozenset()


def decode_image(data: bytes, side: int = SIDE) -> NDArray[np.uint8]:
    """Decode any image into (S, S, 3) uint8, upright, resized with antialiasing; raise InputError if unreadable."""
    return decode_picture(data, side).pixels


def decode_picture(data: bytes, side: int = SIDE) -> Picture:
    """Decode an image as `decode_image` does, and tell what was done to it."""
    try:
        with _opening():
            upright, remarks = _upright(data, REDUCED * side)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"absurdly large image ({first_line(error)})") from error
    except InputError:
        raise
    except Exception as error:  # each of Pillow's decoders has its own for damaged bytes
        raise InputError(f"unreadable or truncated image ({first_line(error)})") from error
    from torchvision.transforms.v2 import functional as vision  # seconds, and only where there are images to resize

    pixels = vision.pil_to_tensor(upright)
    resized = vision.resize(pixels, [side, side], antialias=True)
    return Picture(np.asarray(resized.permute(1, 2, 0).contiguous()), frozenset(remarks))


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, in one line without its objects' addresses."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"\s*<[^<>]*( at 0x[0-9a-f]+|\.BytesIO[^<>]*)>", "", line)[:120]


@contextlib.contextmanager
def _opening() -> Iterator[None]:
    """Pillow without a word about oddities that it can read past, and with our own bound on sizes."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST_JPEG
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _upright(data: bytes, kept: int) -> tuple[Image.Image, set[str]]:
    """The image (8 bits, RGB), the right side up, and the remarks on it; what is reduced keeps `kept` a side."""
    remarks: set[str] = set()
    with Image.open(io.BytesIO(data)) as image:
        large = image.width * image.height > LARGE
        if large and image.format in ("JPEG", "MPO"):
            image.draft("RGB", (kept, kept))
        elif large and (image.width * image.height > LARGEST or image.mode.startswith(("I", "F"))):
            raise InputError(f"absurdly large image ({image.width} x {image.height} pixels)")
        if _has_more_pages(image):
            remarks.add(MORE_PAGES)
        if _is_scaled_down(image):
            remarks.add(EIGHT_OF_SIXTEEN)
        sixteen, nodata = _has_sixteen_bits(image) and not _in_planes(image), _nodata(image)
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith(("I", "F")):
            grey = _stretched(np.asarray(upright, dtype=np.float64), nodata, remarks)
            return Image.fromarray(grey).convert("RGB"), remarks
        if sixteen and upright.mode in ("RGB", "RGBA"):
            colours = np.asarray(upright, dtype=np.float64) * 256 + _low_bytes(data)
            return Image.fromarray(_stretched(colours[..., :3], nodata, remarks)), remarks
    upright = upright.convert("RGB")
    if large:
        upright = upright.reduce(max(1, min(upright.size) // kept))
    return upright, remarks


def _has_more_pages(image: Image.Image) -> bool:
    if image.format == "MPO":  # a phone's JPEG with a preview or a gain map
        return False
    try:
        return bool(getattr(image, "n_frames", 1) > 1)
    except Exception:  # the first page may be whole where the list of pages is damaged
        return False


# --- more than eight bits --------------------------------------------------------------------------------------------


def _has_sixteen_bits(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel, of which Pillow's colour modes hold the high eight."""
    tiles = _tiles(image)
    return bool(tiles) and all(_raw_mode(tile).endswith((";16L", ";16B", ";16N")) for tile in tiles)


def _is_scaled_down(image: Image.Image) -> bool:
    """Whether Pillow brings the file's colours to eight bits while it decodes: a PPM's, or those in separate planes."""
    args = [tile.args for tile in _tiles(image) if tile.codec_name == "ppm" and image.mode == "RGB"]
    if any(isinstance(one, tuple) and len(one) > 1 and isinstance(one[1], int) and one[1] > 255 for one in args):
        return True
    return _in_planes(image) and _has_sixteen_bits(image)


def _in_planes(image: Image.Image) -> bool:
    """Whether a TIFF keeps each channel by itself; raise InputError for 16 bits so, which Pillow takes for eight."""
    tags = getattr(image, "tag_v2", {})
    planes = tags.get(PLANAR) == 2 and image.mode in ("RGB", "RGBA")
    if planes and max(tags.get(BITS, (8,))) > 8 and not _has_sixteen_bits(image):
        raise InputError("16-bit colours in separate planes cannot be read; save it with its channels interleaved")
    return planes


def _tiles(image: Image.Image) -> list[ImageFile._Tile]:
    return list(getattr(image, "tile", []))


def _raw_mode(tile: ImageFile._Tile) -> str:
    """How the bytes of a file stand for pixels, in Pillow's words."""
    return str(tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args)


def _low_bytes(data: bytes) -> NDArray[np.float64]:
    """The low byte of each 16-bit colour, (H, W, C): what Pillow takes for the high one where they are read swapped."""
    with Image.open(io.BytesIO(data)) as image:
        tiles = []
        for tile in _tiles(image):
            raw = _raw_mode(tile)
            swapped = raw[:-1] + ("L" if raw.endswith("B") else "B")
            args = (swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped
            tiles.append(tile._replace(args=args))
        image.tile = tiles
        image.load()
        return np.asarray(ImageOps.exif_transpose(image), dtype=np.float64)


def _nodata(image: Image.Image) -> float | None:
    """The value that the file itself says stands for none."""
    tags = getattr(image, "tag_v2", {})
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return float(str(tags[GDAL_NODATA]).strip("\x00 "))
    return None


def _stretched(values: NDArray[np.float64], nodata: float | None, remarks: set[str]) -> NDArray[np.uint8]:
    """Stretch (H, W) or (H, W, C) to 0..255 by the range of the pixels that have a value."""
    valid = np.isfinite(values)
    if nodata is not None:
        valid &= values != nodata
    valid &= np.abs(values) < HUGE
    for _ in range(2):  # the lowest value may be a fill value, and behind it another
        if (fill := _fill_value(values[valid])) is not None:
            valid &= values != fill
    if not valid.any():
        raise InputError("no pixel has a value: all are NaN, nodata or a fill value")
    low, high = values[valid].min(), values[valid].max()
    grey: NDArray[np.uint8] = (
        ((np.where(valid, values, low) - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
    )
    remarks.add(STRETCHED)
    if not valid.all():
        remarks.add(NO_VALUE)
    if np.count_nonzero(np.bincount(grey.ravel())) <= FEW_LEVELS and len(np.unique(values[valid])) > MANY_LEVELS:
        remarks.add(LOST_LEVELS)
    return grey


def _fill_value(values: NDArray[np.float64]) -> float | None:
    """The lowest value, if it is one that stands for none and lies farther from the rest than the rest is wide."""
    if not len(values) or not _FILL.fullmatch(repr(float(lowest := values.min()))):
        return None
    rest = values[values != lowest]
    far = len(rest) and rest.min() - lowest > max(rest.max() - rest.min(), 1.0)
    return float(lowest) if far else None
