"""Thousands of damaged inputs: each is read, or refused in one line; none breaks or hangs the reader."""

import io
import json
import os
import random
import signal
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.trainables.images.written_by_hand import png, tiff
from trainables.errors import InputError
from trainables.images.pixels import decode_image
from trainables.images.readers import read_chips

CASES = int(os.environ.get("FUZZ", "2400"))  # in all
SECONDS = 10  # no single input may take longer


def picture(kind):
    rng = np.random.default_rng(1)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def sixteen_bits(write):
    return write(np.random.default_rng(1).integers(0, 65536, (20, 24, 3)).astype(np.uint16))


def zipped(compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in ("cat/1.png", "cat/2.jpg", "dog/1.bmp"):
            archive.writestr(name, picture({"png": "PNG", "jpg": "JPEG", "bmp": "BMP"}[name[-3:]]))
    return file.getvalue()


def arrays(save):
    file = io.BytesIO()
    save(file, X_train=np.zeros((6, 9, 8, 3), np.float32), Y_train=np.arange(6) % 2)
    return file.getvalue()


def records():
    band = [round(-20 + 0.001 * number, 3) for number in range(75 * 75)]
    return json.dumps([{"id": "a", "band_1": band, "band_2": band, "inc_angle": 40.1, "is_iceberg": 1}]).encode()


SEEDS = {
    "16-bit png": lambda: sixteen_bits(png), "16-bit tif": lambda: sixteen_bits(tiff),
    "16-bit deflated tif": lambda: sixteen_bits(lambda image: tiff(image, compress=True)),
    "png": lambda: picture("PNG"), "jpg": lambda: picture("JPEG"), "tif": lambda: picture("TIFF"),
    "gif": lambda: picture("GIF"), "bmp": lambda: picture("BMP"), "webp": lambda: picture("WEBP"),
    "avif": lambda: picture("AVIF"), "dds": lambda: picture("DDS"), "jp2": lambda: picture("JPEG2000"),
    "tga": lambda: picture("TGA"), "ico": lambda: picture("ICO"),
    "ppm": lambda: picture("PPM"), "zip": lambda: zipped(zipfile.ZIP_STORED),
    "deflated.zip": lambda: zipped(zipfile.ZIP_DEFLATED), "npz": lambda: arrays(np.savez),
    "compressed.npz": lambda: arrays(np.savez_compressed), "json": records,
}  # fmt: skip


def mutated(content, rng):
    """The content cut, or with bytes changed, doubled, zeroed, inserted, swapped with numbers of every size."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 2, 4, 8, 64])
        match rng.randrange(6):
            case 0:
                data = data[:place]
            case 1:
                data[place : place + length] = rng.randbytes(length)
            case 2:
                data[place:place] = data[place : place + length]
            case 3:
                data[place : place + length] = bytes(length)
            case 4:
                data[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x7f\xff\xff\xff", b"[[[["]
                )
            case 5:
                data[place : place + 1] = rng.choice([b"9", b"-", b"e", b'"', b"}", b"/"])
        data = data or bytearray(b"\x00")
    return bytes(data)


def give_up(*_):
    raise TimeoutError(f"an input took longer than {SECONDS} s")


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(SEEDS))
def test_damaged_input_is_read_or_refused(tmp_path, kind):
    """Each of hundreds of mutations a kind gives chips or an InputError of one line, within seconds."""
    rng, seed = random.Random(kind), SEEDS[kind]()
    old = signal.signal(signal.SIGALRM, give_up)
    outcomes = {"read": 0, "refused": 0}
    try:
        for _ in range(CASES // len(SEEDS)):
            content = mutated(seed, rng)
            signal.alarm(SECONDS)
            try:
                if kind.endswith(("zip", "npz", "json")):
                    path = tmp_path / f"x.{kind.split('.')[-1]}"
                    path.write_bytes(content)
                    assert len(read_chips(path))
                else:
                    assert decode_image(content).shape == (75, 75, 3)
                outcomes["read"] += 1
            except InputError as error:
                assert str(error).isprintable()
                outcomes["refused"] += 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
    assert outcomes["refused"]


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    """A zip member and an npz array that would unpack to terabytes, and a picture of 10^10 pixels, are each one line."""
    bomb = zipfile.ZipInfo("cat/1.png")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr(bomb, b"x")
        archive.filelist[0].file_size = 5 * 2**40
    npz = io.BytesIO()
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("X_train.npy", b"x")
        archive.filelist[0].file_size = 3 * 2**40
    (tmp_path / "bomb.npz").write_bytes(npz.getvalue())
    for name, said in (("bomb.zip", "5120 GiB"), ("bomb.npz", "3072 GiB")):
        with pytest.raises(InputError, match=said):
            read_chips(tmp_path / name)
    header = b"P6 100000 100000 255\n"
    with pytest.raises(InputError, match=r"absurdly large|unreadable"):
        decode_image(header + bytes(100))
