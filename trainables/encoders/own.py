"""A user's own encoder: any module that makes a row of numbers of a chip, from a file of theirs (docs/usage.md)."""

from __future__ import annotations

import contextlib
import inspect
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.encoders.encoder import Encoder, normalised
from trainables.errors import InputError
from trainables.own_code import run_source, said, where
from trainables.seeded import seeded
from trainables.stored_chips import Batch

PROBE = 0x0B5E  # seeds the chips that a module is tried on
SIDE = "side"  # the one argument that what makes a module may ask for


class Own(Encoder):
    """Embeddings (B, E) of chips (B, 3, S, S) by the module that `network.own` names in `network.source`.

    E is what it makes of one chip. Its file knows nothing of ours, so a few things are otherwise than in our encoders.
    It keeps the weights that it starts with, unless `init.kind` asks for others (trainables/initialisers/). What it
    draws in training, by whatever layer of torch's, follows from our generator. It has no map of features, so the chips
    themselves are the map: saliency is then the chips times their gradient. Its memory is torch's usual one, for
    `x.view(len(x), -1)` works in no other.
    """

    memory_format = torch.contiguous_format

    def __init__(self, network: Network, side: int) -> None:
        super().__init__()
        self._label = network.own
        self.module = _made(network, side)
        self.drop = Dropout(network.dropout_conv) if network.dropout_conv else nn.Identity()
        self.generator: Generator | None = None  # the training loop's, see `draw_from` in model.py
        self.module.eval()
        self.embedding = self._row(torch.zeros(1, 3, side, side), contextlib.nullcontext()).shape[1]
        self.module.train()

    def features(self, chips: Batch | Tensor) -> Tensor:
        """Return the chips as they are, normalised: (B, 3, S, S)."""
        return normalised(chips)

    def embed(self, features: Tensor) -> Tensor:
        """Return the module's embeddings (B, E) of normalised chips, with dropout by `network.dropout_conv` on them."""
        chips = features.contiguous()
        if self.generator is None or not self.training:
            made = self.module(chips)
        else:
            with seeded(int(torch.randint(2**62, (), generator=self.generator)), chips.device):
                made = self.module(chips)
        return self.drop(made)  # type: ignore[no-any-return]

    def check(self, side: int) -> None:
        """Try the module on a few chips as training would; raise InputError for a promise that it does not keep."""
        chips = torch.randn(2, 3, side, side, generator=Generator().manual_seed(PROBE))
        self.module.eval()
        both, one = self._row(chips), self._row(chips[:1])
        if both.shape != (2, self.embedding):
            raise InputError(f"{self._label} made {tuple(both.shape)} of two chips and {tuple(one.shape)} of one")
        if not bool(torch.isfinite(both).all()):
            raise InputError(f"{self._label} made numbers that are not finite of chips drawn from N(0, 1)")
        if not torch.allclose(both[:1], one, rtol=1e-3, atol=1e-3 * float(both.abs().max())):
            raise InputError(
                f"{self._label} describes a chip otherwise beside another, or a second time; in eval() it must not"
            )
        self.module.train()
        if not self._row(chips).requires_grad:
            raise InputError(f"{self._label} has nothing that a gradient reaches; it must have weights to train")

    def _row(self, chips: Tensor, drawing: AbstractContextManager[None] | None = None) -> Tensor:
        """What the module makes of chips, if these are rows of numbers; InputError in one line if not.

        Whatever it draws comes from a seed of ours, unless `drawing` says otherwise: lazy layers get their first
        weights at their first chips, from the generator that all others got theirs from.
        """
        shape = tuple(chips.shape)
        try:
            with torch.set_grad_enabled(self.module.training), drawing or seeded(PROBE + len(chips)):
                made = self.module(chips)
        except Exception as error:
            file = self._label.rpartition(":")[0]
            raise InputError(f"{where(error, file)}: {self._label} on chips {shape}: {said(error)}") from error
        wanted = f"a float32 tensor ({len(chips)}, E), a row of numbers for each chip"
        if not isinstance(made, Tensor):
            raise InputError(f"{self._label} made {_a(made)} of chips {shape}; it must make {wanted}")
        if made.dim() != 2 or len(made) != len(chips) or not made.shape[1] or made.dtype != torch.float32:
            got = f"{str(made.dtype).removeprefix('torch.')} {tuple(made.shape)}"
            raise InputError(f"{self._label} made {got} of chips {shape}; it must make {wanted}")
        return made


def _made(network: Network, side: int) -> nn.Module:
    """The module: what the name stands for is called without arguments, or with the side if it asks for that."""
    file, _, name = network.own.rpartition(":")
    found = vars(run_source(network.source, file))
    if name not in found:
        raise InputError(f"{file} has no {name}; it has {', '.join(_callables(found)) or 'no class and no function'}")
    maker = found[name]
    if not callable(maker) or isinstance(maker, nn.Module):
        raise InputError(f"{network.own} is {_a(maker)}; it must be a class or a function that makes a module")
    try:
        asked = inspect.signature(maker).parameters
        needed = [parameter.name for parameter in asked.values() if _is_needed(parameter)]
        if set(needed) - {SIDE}:
            raise InputError(f"{network.own} asks for {', '.join(needed)}; it may ask for `{SIDE}` and nothing else")
        module = maker(**{SIDE: side} if SIDE in asked else {})
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{where(error, file)}: {network.own} cannot be made: {said(error)}") from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{network.own} makes {_a(module)}; it must make a torch.nn.Module")
    return module


def _is_needed(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _callables(found: dict[str, Any]) -> list[str]:
    """The names of what a file defines that could make a module."""
    own = found["__name__"]
    return [name for name, value in found.items() if callable(value) and getattr(value, "__module__", None) == own]


def _a(value: object) -> str:
    return f"a value of type {type(value).__name__}"
