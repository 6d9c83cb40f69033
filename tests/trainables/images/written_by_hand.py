"""Image files made byte by byte, of kinds that Pillow cannot write."""

import struct
import zlib

import numpy as np


def png(image):
    """A 16-bit RGB or RGBA PNG of (H, W, C) uint16."""
    height, width, channels = image.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(image, order="<", compress=False, planes=False):
    """A 16-bit RGB TIFF of (H, W, 3) uint16, one strip, channels interleaved or in planes."""
    height, width, _ = image.shape
    data = (np.moveaxis(image, -1, 0) if planes else image).astype(f"{order}u2").tobytes()
    strips = [data[n * len(data) // 3 : (n + 1) * len(data) // 3] for n in range(3)] if planes else [data]
    strips = [zlib.compress(strip) for strip in strips] if compress else strips
    body, places = b"", []
    for strip in strips:
        places.append(8 + len(body))
        body += strip + b"\0" * (len(strip) % 2)
    numbers = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [16, 16, 16]), (259, 3, [8 if compress else 1]), (262, 3, [2]),
        (273, 4, places), (277, 3, [3]), (278, 4, [height]), (279, 4, [len(strip) for strip in strips]),
        (284, 3, [2 if planes else 1]),
    ]  # fmt: skip
    start = 8 + len(body)
    extra, entries = b"", b""
    for tag, kind, values in numbers:
        packed = struct.pack(f"{order}{len(values)}{'HI'[kind == 4]}", *values)
        if len(packed) > 4:
            place = start + 2 + 12 * len(numbers) + 4 + len(extra)
            extra += packed
            packed = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + body + struct.pack(f"{order}H", len(numbers)) + entries + struct.pack(f"{order}I", 0) + extra
