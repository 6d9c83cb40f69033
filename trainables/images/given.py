"""An image as a caller has it, a file, a Pillow image or an array, as the chip that a network takes."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainables.errors import InputError
from trainables.images.arrays import resized
from trainables.images.files import alone, user_path
from trainables.images.pixels import Picture, decode_picture, first_line

Given = str | PathLike[str] | Image.Image | NDArray[np.generic]


def picture_of(image: str | PathLike[str] | Image.Image, side: int) -> Picture:
    """Return a file or a Pillow image as an 8-bit chip (`side`, `side`, 3), by the rules of `trainables.images.pixels`.

    Raises InputError, naming the file, where there is none to be read.
    """
    if isinstance(image, Image.Image):
        return decode_picture(_encoded(image), side)
    path = user_path(str(image)) if isinstance(image, str) else Path(image)
    try:
        return decode_picture(alone(path).read(), side)
    except InputError as error:
        said = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: {said}; give a readable image") from error


def _encoded(image: Image.Image) -> bytes:
    """The image as a file that loses nothing, so that what is not a file is read as one."""
    content = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        if not upright.mode.startswith(("I", "F")):
            upright = upright.convert("RGB")
        upright.save(content, "TIFF")
    except (OSError, ValueError, SyntaxError) as error:  # Pillow reads a file when its pixels are first asked for
        raise InputError(f"unreadable or truncated image ({first_line(error)}); give a readable one") from error
    return content.getvalue()


def array_chip(image: NDArray[np.generic], side: int) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return an array (H, W) or (H, W, 3) as a chip (`side`, `side`, 3): its numbers, resized with antialiasing.

    Whole numbers of 0 to 255 become uint8, all others float32. Raises InputError for another shape, or for what is no
    finite number.
    """
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise InputError(f"an array of shape {image.shape} is no image; give (H, W, 3), or (H, W) for greys")
    if image.dtype.kind not in "buif" or not np.isfinite(image).all():
        raise InputError(f"an array of {image.dtype} whose values are not all finite numbers is no image")
    numbers = image.astype(np.uint8) if image.dtype.kind == "b" else image
    chip: NDArray[np.uint8] | NDArray[np.float32] = resized(numbers[None], "an array", "it", side)[0]
    return chip
