"""The compiled pass through the report's convolution blocks (encoder.c) as an autograd operation, where there is one.

It is built at installation for the machine's own processor. `encoder_path` alone decides what takes it; all else, and a
machine without it, takes torch's own layers: the same mathematics, sums in another order.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.machinery
import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.config import Network

if TYPE_CHECKING:
    from trainables.data import Batch

SOURCE = Path(__file__).with_name("encoder.c")
SWITCH = "SIAMESE_ENCODER"  # environment variable: "torch" turns the compiled pass off, a path names another build
CHUNK = 16  # chips whose gradients are summed together, as in encoder.c: the same sums however many threads share them
SIDES, MAPS = (75, 37, 18), (3, 5, 5, 7)  # height and width, and channels, before, between and after the blocks
SHAPES = [(after, before, 3, 3) for before, after in itertools.pairwise(MAPS)]
SIZES = [*(math.prod(shape) for shape in SHAPES), *MAPS[1:]]  # of the parts of encoder.c's row of gradients


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
    if network is not None and network.batch_norm:
        return EncoderPath(False, "batch normalisation lies between the convolutions")
    if os.environ.get(SWITCH) == "torch":
        return EncoderPath(False, f"{SWITCH}=torch")
    found = _found(os.environ.get(SWITCH))
    return EncoderPath(False, found) if isinstance(found, str) else EncoderPath(True, found.instructions)


def share_threads(threads: int, path: EncoderPath) -> None:
    """Give `threads` threads to the compiled pass and one to torch, or all to torch where nothing is compiled.

    The compiled pass gives the same bits whatever their number; torch's matrix products do not.
    """
    global _threads
    _threads = threads
    torch.set_num_threads(1 if path.compiled else threads)


def compiled_features(batch: Batch, weights: list[Tensor]) -> Tensor:
    """Return the features (B, 7, 18, 18) of a batch; `weights`: W1, b1, W2, b2, W3, b3, float32 on the CPU.

    Raises IndexError for a chip that is not stored.
    """
    answer: Tensor = _Features.apply(batch, *weights)
    return answer


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

    def forward(self, run: _Pass, begin: int, end: int) -> None:
        """Fill in the features of chips `begin` to `end` of the batch, and what the backward pass wants, if given."""
        if self._library.encoder_forward(ctypes.byref(run), ctypes.c_int64(begin), ctypes.c_int64(end)):
            raise IndexError("a batch names a chip that is not stored")

    def backward(self, run: _Pass, begin: int, end: int) -> None:
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


class _Pass(ctypes.Structure):
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


class _Features(torch.autograd.Function):
    """Forward and backward of encoder.c; the pixels have no gradient."""

    @staticmethod
    def forward(ctx: Any, batch: Batch, *weights: Tensor) -> Tensor:
        """Return features, and keep what the backward pass needs if there will be one."""
        count = len(batch.chips)
        arrays: dict[str, Tensor | None] = {"pixels": batch.stored.pixels, "view": batch.views}
        arrays["number"] = batch.chips.contiguous()
        arrays |= dict(zip(("w1", "b1", "w2", "b2", "w3", "b3"), (w.contiguous() for w in weights), strict=True))
        features = arrays["features"] = torch.empty(count, MAPS[3], SIDES[2], SIDES[2])
        if any(ctx.needs_input_grad):
            for block in (1, 2):
                shape = (count, MAPS[block], SIDES[block], SIDES[block])
                arrays[f"x{block}"] = torch.empty(shape)
                arrays[f"place{block}"] = torch.empty(shape, dtype=torch.uint8)
        ctx.batch, ctx.arrays = batch, arrays
        _share(_library().forward, _pass(batch, arrays), count)
        return features.view_as(features)  # what is returned becomes autograd's, what is kept stays ours

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights, summed in an order that the number of threads does not change."""
        count = len(ctx.batch.chips)
        rows = torch.empty(-(-count // CHUNK), sum(SIZES))
        arrays = ctx.arrays | {"df": gradients[0].contiguous(), "gradients": rows}
        _share(_library().backward, _pass(ctx.batch, arrays), count)
        parts = torch.split(rows.sum(0), SIZES)
        weights = [part.view(shape) for part, shape in zip(parts[:3], SHAPES, strict=True)]
        return (None, *(part for pair in zip(weights, parts[3:], strict=True) for part in pair))


def _library() -> Library:
    found = _found(os.environ.get(SWITCH))
    assert not isinstance(found, str), found
    return found


def _pass(batch: Batch, arrays: dict[str, Tensor | None]) -> _Pass:
    stored = batch.stored
    run = _Pass(bytes=stored.pixels.dtype == torch.uint8, stored=len(stored.pixels))
    run.mean[:] = stored.mean.repeat(SIDES[0]).tolist()
    run.scale[:] = (1 / stored.sd).repeat(SIDES[0]).tolist()
    for name, array in arrays.items():
        setattr(run, name, None if array is None else array.data_ptr())
    return run


def _share(work: Callable[[_Pass, int, int], None], run: _Pass, count: int) -> None:
    """Call `work` on the chips 0 to `count`, whole chunks of them to each thread."""
    each = CHUNK * max(1, -(-count // (CHUNK * _threads)))
    spans = [(run, begin, min(begin + each, count)) for begin in range(0, count, each)]
    if len(spans) == 1:
        work(*spans[0])
    else:
        list(_pool(_threads).map(lambda span: work(*span), spans))  # ctypes lets other threads run meanwhile


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="encoder")


_threads = 1
