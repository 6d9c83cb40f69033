"""A trained verifier as one file for other programs: ONNX or TorchScript, checked against the original.

    python -m trainables.export results/final/STUDY --to onnx           writes STUDY/verifier.onnx
    python -m trainables.export results/final/STUDY --to torchscript --out judge.pt

Inputs `first` and `second` (B, 3, S, S) are chips in RGB, any B: bytes for a verifier that was trained on bytes, else
float32, with the numbers that the training set had; what normalises them is part of the file. Outputs are `score` (B,),
how different each pair is, 0 to 1, and the embeddings (B, E) of both sides. Threshold, S, scale and config stand in the
file's metadata. The path is printed; before it is there, scores of random chips are compared with the original's.
Exit status: 0 done, 2 input that cannot be used.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.augment import GREY_WEIGHTS
from trainables.command_line import Parser, add_own_code
from trainables.data import Images
from trainables.ensemble import mean_score
from trainables.errors import InputError, printable
from trainables.images.files import user_path
from trainables.images.pixels import first_line
from trainables.images.render import render
from trainables.model import SiameseNetwork
from trainables.stored_chips import StoredChips
from trainables.verifier import EIGHT_BIT, RENDERED, Verifier

INPUTS, OUTPUTS = ("first", "second"), ("score", "first_embedding", "second_embedding")
TOLERANCE = 1e-4  # of a score; of embeddings, a share of the largest number in them
CHECKED = (1, 7)  # pairs at a time, so that a fixed batch size would be found
METADATA = "metadata.json"  # what TorchScript calls the metadata in its file

Answers = Sequence[NDArray[np.float32]]
Run = Callable[[Images, Images], Answers]


class Exported(nn.Module):
    """What is exported of a verifier: chips (B, 3, S, S) of both sides in, scores (B,) and embeddings (B, E) out."""

    mean: Tensor
    sd: Tensor
    luma: Tensor

    def __init__(self, verifier: Verifier) -> None:
        super().__init__()
        self.networks: Iterable[SiameseNetwork] = nn.ModuleList(verifier.networks)  # type: ignore[assignment]
        self._loss, self._grey = verifier.loss, verifier.config.data.grey
        self._rendered = verifier.pixels == RENDERED
        self.register_buffer("mean", torch.tensor(verifier.mean)[:, None, None])
        self.register_buffer("sd", torch.tensor(verifier.sd)[:, None, None])
        self.register_buffer("luma", torch.tensor(GREY_WEIGHTS)[:, None, None])

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores and embeddings of chips as they were trained on."""
        one, other = self._normalised(first), self._normalised(second)
        each = [(network, network.encode(one), network.encode(other)) for network in self.networks]
        score = mean_score([self._loss.score(*answer) for answer in each])
        return score, torch.cat([own for _, own, _ in each], dim=1), torch.cat([own for *_, own in each], dim=1)

    def _normalised(self, chips: Tensor) -> Tensor:
        x = chips.float()
        if self._rendered:  # as trainables.images.render does
            spread = x.amax((2, 3), keepdim=True) - x.amin((2, 3), keepdim=True)
            x = (x - x.mean((2, 3), keepdim=True)) / spread.clamp(min=1e-12)
        x = (x - self.mean) / self.sd
        return (x * self.luma).sum(1, keepdim=True).expand(-1, 3, -1, -1) if self._grey else x


@dataclass(frozen=True)
class Format:
    """What a file in one format holds of a verifier that is traced on an example, and how such a file is run."""

    ending: str
    content: Callable[[Exported, tuple[Tensor, Tensor], Mapping[str, str]], bytes]
    load: Callable[[Path], Run]
    needs: tuple[str, ...] = ()


def export(verifier: Verifier, kind: str, out: Path) -> float:
    """Write `verifier` to the file `out` in the format `kind`, whole or not at all.

    Returns the largest difference to the verifier's own answers over random chips, in scores and in embeddings as a
    share of their largest number. Raises InputError where that is more than `TOLERANCE`, the network has something that
    the format cannot say, a package is missing, or the file cannot be written.
    """
    made = FORMATS[kind]
    for name in made.needs:
        _needed(name, kind)
    aside = out.with_name(f".{out.name}.part")
    first, second = (_planes(chips) for chips in _chips(verifier, 2))
    try:
        with _quiet(), torch.no_grad(), _said_in_a_line(out, kind):
            aside.write_bytes(made.content(Exported(verifier).eval(), (first, second), _metadata(verifier)))
            difference = _difference(verifier, made.load(aside))
        if not difference <= TOLERANCE:
            raise InputError(
                f"{out}: not written, since what was exported answers otherwise than the verifier "
                f"(by up to {difference:.1g}, {TOLERANCE:g} is allowed); try the other format"
            )
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        aside.replace(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        with suppress(OSError):  # its folder may not be there
            aside.unlink()
    return difference


def _needed(package: str, kind: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        what = 'pip install "siamese-search[onnx]", or from a clone .venv/bin/pip install ".[onnx]"'
        raise InputError(f"--to {kind}: needs the package {package}; {what}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns that both ways of tracing are to be replaced; what replaces them needs more packages, and time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _said_in_a_line(out: Path, kind: str) -> Iterator[None]:
    """Turn what torch or a runtime raises for a network that it cannot take into an InputError."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # each exporter and each runtime has its own
        raise InputError(
            f"{out}: not written, since the network cannot be exported to {kind} ({first_line(error)}); layers must "
            "take any number of chips (x.flatten(1), not x.view(len(x), -1)), and not branch on what they see"
        ) from error


def _metadata(verifier: Verifier) -> dict[str, str]:
    side = verifier.config.data.side
    return {
        "score": "how different a pair is, 0 to 1; similar below the threshold",
        "threshold": repr(verifier.threshold),
        "chips": f"(B, 3, {side}, {side}), RGB, resized with antialiasing, {_dtype(verifier)}",
        "side": str(side),
        "pixels": verifier.pixels,
        "scale": json.dumps(verifier.scale.to_dict() if verifier.scale else None),
        "config": json.dumps(verifier.config.to_dict()),
    }


def _dtype(verifier: Verifier) -> str:
    return "uint8" if verifier.pixels == EIGHT_BIT else "float32"


# --- the check -------------------------------------------------------------------------------------------------------


def _chips(verifier: Verifier, count: int, seed: int = 0) -> tuple[Images, Images]:
    """Random chips (`count`, S, S, 3) for both sides, coarse and fine, about as bright as those of training."""
    rng, side = np.random.default_rng(seed), verifier.config.data.side
    cells = -(-side // 5)  # five squares a side, one more where the side is no multiple
    coarse = rng.normal(size=(2, count, 6, 6, 3)).repeat(cells, 2).repeat(cells, 3)[:, :, :side, :side]
    drawn = verifier.mean + verifier.sd * (coarse + 0.3 * rng.normal(size=coarse.shape))
    if verifier.pixels == EIGHT_BIT:
        first, second = drawn.round().clip(0, verifier.scale.top if verifier.scale else 255).astype(np.uint8)
    else:
        first, second = drawn.astype(np.float32)
    return first, second


def _difference(verifier: Verifier, run: Run) -> float:
    """The largest difference between what a file answers and what the verifier does; NaN where either says NaN."""
    largest = []
    for seed, count in enumerate(CHECKED):
        first, second = _chips(verifier, count, seed)
        sides = [render(chips) if verifier.pixels == RENDERED else chips for chips in (first, second)]
        one, other = (verifier.encode(StoredChips.of(chips, verifier.mean, verifier.sd)) for chips in sides)
        expected = (verifier.score(one, other), one, other)
        for place, (own, answer) in enumerate(zip(expected, run(first, second), strict=True)):
            unit = 1.0 if place == 0 else max(1.0, float(np.abs(own).max()))
            largest.append(float(np.abs(own - answer).max()) / unit)
    return float(np.max(largest))


def _planes(chips: Images) -> Tensor:
    """Chips (B, S, S, 3) as what is exported takes them, (B, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(chips.transpose(0, 3, 1, 2)))


# --- the formats -----------------------------------------------------------------------------------------------------


def _torchscript(module: Exported, example: tuple[Tensor, Tensor], metadata: Mapping[str, str]) -> bytes:
    traced = torch.jit.freeze(torch.jit.trace(module, example, check_trace=False))  # type: ignore[no-untyped-call]
    content = io.BytesIO()
    torch.jit.save(traced, content, _extra_files={METADATA: json.dumps(metadata)})
    return content.getvalue()


def _load_torchscript(path: Path) -> Run:
    with _quiet():
        module = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return lambda first, second: [answer.numpy() for answer in module(_planes(first), _planes(second))]


def _onnx(module: Exported, example: tuple[Tensor, Tensor], metadata: Mapping[str, str]) -> bytes:
    import onnx

    content = io.BytesIO()
    torch.onnx.export(
        module,
        example,
        content,  # type: ignore[arg-type]
        input_names=list(INPUTS),
        output_names=list(OUTPUTS),
        dynamic_axes={name: {0: "pairs"} for name in (*INPUTS, *OUTPUTS)},
        dynamo=False,  # the exporter that needs no further package
    )
    model = onnx.load_from_string(content.getvalue())
    onnx.helper.set_model_props(model, dict(metadata))
    whole: bytes = model.SerializeToString()
    return whole


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(first: Images, second: Images) -> Answers:
        chips = [_planes(side).numpy() for side in (first, second)]
        answers: Answers = session.run(list(OUTPUTS), dict(zip(INPUTS, chips, strict=True)))
        return answers

    return run


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", _onnx, _load_onnx, needs=("onnx", "onnxruntime")),
    "torchscript": Format(".pt", _torchscript, _load_torchscript),
}


# --- the command -----------------------------------------------------------------------------------------------------


def parser() -> Parser:
    """Return the command line."""
    p = Parser(
        prog="python -m trainables.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "model", type=user_path, metavar="STUDY", help="a finished study's folder, or a verifier's file in it"
    )
    p.add_argument("--to", choices=list(FORMATS), required=True, help="the format")
    p.add_argument(
        "--out",
        type=user_path,
        metavar="FILE",
        help="the file to write (default: verifier.onnx or verifier.pt beside it)",
    )
    add_own_code(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        args = parser().parse_args(argv)
        verifier = Verifier.load(args.model, own_code=args.own_code)
        folder = args.model if args.model.is_dir() else args.model.parent
        out = args.out or folder / f"verifier{FORMATS[args.to].ending}"
        if out.is_dir():
            raise InputError(f"--out {out}: is a folder; give a file")
        difference = export(verifier, args.to, out)
        print(f"largest difference from the verifier: {difference:.1e} ({TOLERANCE:g} is allowed)", file=sys.stderr)
        print(printable(str(out)))
    except InputError as error:
        print(f"python -m trainables.export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
