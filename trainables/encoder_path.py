"""The library that installation compiles of encoder.c: what it is, and who takes it. Needs no torch.

It is built for the machine's own processor. `encoder_path` alone decides what takes it; all else, and a machine without
it, takes torch's own layers: the same mathematics, sums in another order.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.machinery
import os
from dataclasses import dataclass
from pathlib import Path

from trainables.config import Network

SOURCE = Path(__file__).with_name("encoder.c")
SWITCH = "SIAMESE_ENCODER"  # environment variable: "torch" turns the compiled pass off, a path names another build
SIDES, MAPS = (75, 37, 18), (3, 5, 5, 7)  # height and width, and channels, before, between and after the blocks


@dataclass(frozen=True)
class EncoderPath:
    """Which pass networks take through their convolution blocks: the compiled one or torch's, and why."""

    compiled: bool
    why: str

    def __str__(self) -> str:
        return f"{'compiled' if self.compiled else 'torch'} ({self.why})"


def encoder_path(network: Network | None = None, device: str = "cpu") -> EncoderPath:
    """Return the path of `network` on `device`; of None: the one that this machine has for plain networks."""
    if device != "cpu":
        return EncoderPath(False, "the compiled pass is for CPUs")
    if network is not None and network.encoder != "report":
        return EncoderPath(False, "it is the paper's network that is compiled")
    if network is not None and network.batch_norm:
        return EncoderPath(False, "batch normalisation lies between the convolutions")
    if os.environ.get(SWITCH) == "torch":
        return EncoderPath(False, f"{SWITCH}=torch")
    found = _found(os.environ.get(SWITCH))
    return EncoderPath(False, found) if isinstance(found, str) else EncoderPath(True, found.instructions)


def installed() -> Library:
    """Return the library of this machine, where `encoder_path` says that there is one."""
    found = _found(os.environ.get(SWITCH))
    assert not isinstance(found, str), found
    return found


class Pass(ctypes.Structure):
    """`struct Pass` of encoder.c, field by field."""

    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
        ("stored", ctypes.c_int64),
        ("number", ctypes.c_void_p),
        ("view", ctypes.c_void_p),
        ("mean", ctypes.c_float * (SIDES[0] * MAPS[0])),
        ("scale", ctypes.c_float * (SIDES[0] * MAPS[0])),
        *((name, ctypes.c_void_p) for name in ("w1", "b1", "w2", "b2", "w3", "b3")),
        *((name, ctypes.c_void_p) for name in ("features", "x1", "x2", "place1", "place2", "df", "gradients")),
    )


class Library:
    """A build of encoder.c. Raises OSError for a file that is none, or is one of another source or processor."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        for name in ("encoder_source", "encoder_instructions"):
            getattr(self._library, name).restype = ctypes.c_char_p
        if self._library.encoder_source().decode() != digest():
            raise OSError(f"{path.name} was compiled from another encoder.c; `make install` compiles it again")
        if not self._library.encoder_runs_here():
            raise OSError(f"{path.name} was compiled for another processor; `make install` compiles it for this one")
        self.instructions: str = self._library.encoder_instructions().decode()

    def forward(self, run: Pass, begin: int, end: int) -> None:
        """Fill in the features of chips `begin` to `end` of the batch, and what the backward pass wants, if given."""
        if self._library.encoder_forward(ctypes.byref(run), ctypes.c_int64(begin), ctypes.c_int64(end)):
            raise IndexError("a batch names a chip that is not stored")

    def backward(self, run: Pass, begin: int, end: int) -> None:
        """Fill in the gradients of chips `begin` (a multiple of CHUNK) to `end`."""
        self._library.encoder_backward(ctypes.byref(run), ctypes.c_int64(begin), ctypes.c_int64(end))


def digest() -> str:
    """Return what names the source: a library knows of which it was built."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


@functools.cache
def _found(other: str | None) -> Library | str:
    """What installation built, or the `other` build that is named; or why there is nothing to use."""
    built = [SOURCE.with_name(f"_encoder{suffix}") for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    found = Path(other) if other else next((path for path in built if path.exists()), None)
    if found is None:
        return "nothing compiled: no C compiler was found at installation"
    try:
        return Library(found)
    except (OSError, AttributeError) as error:
        return str(error)
