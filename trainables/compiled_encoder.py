"""The compiled pass through the paper's convolution blocks as an autograd operation; encoder.c has the equations."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.encoder_path import MAPS, SIDES, EncoderPath, Pass, installed

if TYPE_CHECKING:
    from trainables.stored_chips import Batch

CHUNK = 16  # chips whose gradients are summed together, as in encoder.c: the same sums however many threads share them
SHAPES = [(after, before, 3, 3) for before, after in itertools.pairwise(MAPS)]
SIZES = [*(math.prod(shape) for shape in SHAPES), *MAPS[1:]]  # of the parts of encoder.c's row of gradients


def share_threads(threads: int, path: EncoderPath) -> None:
    """Give `threads` threads to the compiled pass and one to torch, or all to torch where nothing is compiled.

    The compiled pass gives the same bits whatever their number; torch's matrix products do not.
    """
    global _threads
    _threads = threads
    torch.set_num_threads(1 if path.compiled else threads)


def compiled_features(batch: Batch, weights: list[Tensor]) -> Tensor:
    """Return the features (B, 7, 18, 18) of a batch; `weights`: W1, b1, W2, b2, W3, b3, float32 on the CPU.

    Raises IndexError for a chip that is not stored, and ValueError for chips of another side.
    """
    if batch.stored.pixels.shape[1:] != (SIDES[0], SIDES[0], MAPS[0]):
        raise ValueError(f"the compiled pass is for chips of {SIDES[0]} x {SIDES[0]}, not {batch.stored.pixels.shape}")
    answer: Tensor = _Features.apply(batch, *weights)
    return answer


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
        _share(installed().forward, _pass(batch, arrays), count)
        return features.view_as(features)  # what is returned becomes autograd's, what is kept stays ours

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights, summed in an order that the number of threads does not change."""
        count = len(ctx.batch.chips)
        rows = torch.empty(-(-count // CHUNK), sum(SIZES))
        arrays = ctx.arrays | {"df": gradients[0].contiguous(), "gradients": rows}
        _share(installed().backward, _pass(ctx.batch, arrays), count)
        parts = torch.split(rows.sum(0), SIZES)
        weights = [part.view(shape) for part, shape in zip(parts[:3], SHAPES, strict=True)]
        return (None, *(part for pair in zip(weights, parts[3:], strict=True) for part in pair))


def _pass(batch: Batch, arrays: dict[str, Tensor | None]) -> Pass:
    stored = batch.stored
    run = Pass(bytes=stored.pixels.dtype == torch.uint8, stored=len(stored.pixels))
    run.mean[:] = stored.mean.repeat(SIDES[0]).tolist()
    run.scale[:] = (1 / stored.sd).repeat(SIDES[0]).tolist()
    for name, array in arrays.items():
        setattr(run, name, None if array is None else array.data_ptr())
    return run


def _share(work: Callable[[Pass, int, int], None], run: Pass, count: int) -> None:
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
