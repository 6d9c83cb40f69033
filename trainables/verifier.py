"""A trained verifier to keep and to use: plain tensors beside a description, without code in either.

results/final/STUDY/verifier.safetensors    the weights of one network, or of an ensemble's members
results/final/STUDY/verifier.json           its config, the scale and the channel statistics it was trained with
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainables.config import SIDE, Data, TrialConfig
from trainables.data import Images, TrialData
from trainables.ensemble import mean_score, unpack
from trainables.errors import InputError
from trainables.images.render import is_rendered, render
from trainables.images.scale import OF_FILES, Scale
from trainables.losses import PairLoss, make_loss
from trainables.model import SiameseNetwork
from trainables.stored_chips import StoredChips
from trainables.training import encode

WEIGHTS, DESCRIPTION = "verifier.safetensors", "verifier.json"
EIGHT_BIT, RENDERED, RAW = "8-bit", "rendered", "raw"  # what the numbers of a training chip were


def save_verifier(folder: Path, config: TrialConfig, weights: Path, data: TrialData) -> None:
    """Keep the networks in `weights`, trained by `config` on `data`, as the verifier of `folder`; each file whole."""
    description = {
        "config": config.to_dict(),
        "side": int(data.train.images.shape[1]),
        "pixels": pixels_of(data.train.images),
        "scale": data.scale.to_dict() if data.scale else None,
        "mean": [float(value) for value in data.mean],
        "sd": [float(value) for value in data.sd],
    }
    tensors, text = folder / f".{WEIGHTS}.part", folder / f".{DESCRIPTION}.part"
    save_file(load_file(weights), tensors)
    text.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    tensors.replace(folder / WEIGHTS)
    text.replace(folder / DESCRIPTION)


def pixels_of(images: Images) -> str:
    """Return what kind of numbers chips (N, H, W, 3) hold: 8-bit, bands each over its own range, or anything else."""
    if images.dtype == np.uint8:
        return EIGHT_BIT
    return RENDERED if is_rendered(images) else RAW


@dataclass(frozen=True)
class Verifier:
    """Networks that answer together, and how chips are brought to what they were trained on, read at `side`."""

    networks: list[SiameseNetwork]
    loss: PairLoss
    pixels: str
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    scale: Scale | None = None
    side: int = SIDE

    @classmethod
    def load(cls, folder: Path) -> Verifier:
        """Load the verifier of a study folder; raise InputError, naming the file, where there is none to be used."""
        description = _read_description(folder / DESCRIPTION)
        try:
            config = TrialConfig.from_dict(description["config"])
            mean, sd = (np.array(description[name], dtype=np.float32).reshape(3) for name in ("mean", "sd"))
            pixels = description["pixels"]
            if pixels not in (EIGHT_BIT, RENDERED, RAW) or not (np.isfinite([mean, sd]).all() and (sd > 0).all()):
                raise ValueError("pixels, mean or sd make no sense")
            scale = _scale(description, pixels, mean, sd)
            side = Data(side=description.get("side", SIDE)).side  # SIDE: of verifiers kept before there were others
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            raise InputError(f"{folder / DESCRIPTION}: describes no verifier ({error}); it was edited") from error
        try:
            networks = unpack(config, load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, SafetensorError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{folder / WEIGHTS}: not the weights of {DESCRIPTION}'s config ({first})") from error
        return cls(networks, make_loss(config.loss), pixels, mean, sd, scale, side)

    def on_scale(self, images: Images) -> Images:
        """Return 8-bit chips (N, S, S, 3) as the numbers that the verifier was trained on; InputError if unknown."""
        if self.pixels == RENDERED:
            return render(images)
        if self.scale is None:
            raise InputError(
                "the verifier was trained on arrays whose scale is not known (0..1, 0..16, 0..255, 0..65535 are); "
                "image files cannot be brought to it"
            )
        brought = self.scale.bring(images.astype(np.uint8))
        return brought.astype(np.uint8) if self.pixels == EIGHT_BIT else brought  # bytes are resized to bytes

    @property
    def takes_stretched(self) -> bool:
        """Whether images of more than eight bits, stretched to their own range, are what it was trained on."""
        return self.pixels == RENDERED or bool(self.scale and self.scale.files)

    @torch.no_grad()
    def embed(self, images: Images) -> list[Tensor]:
        """Return each network's embeddings (N, E) of 8-bit chips (N, S, S, 3) read at `side`.

        Raises InputError where it never saw such.
        """
        chips = StoredChips.of(self.on_scale(images), self.mean, self.sd)
        return [encode(network, chips) for network in self.networks]

    @torch.no_grad()
    def score(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Return the score p of "different" (B,) for the embeddings that `embed` gave of two batches of chips."""
        each = zip(self.networks, first, second, strict=True)
        return mean_score([self.loss.score(network, one, other) for network, one, other in each])


def _scale(
    description: dict[str, Any], pixels: str, mean: NDArray[np.float32], sd: NDArray[np.float32]
) -> Scale | None:
    """The scale that a description tells; where it tells none, as once, that of files, unless the numbers are small."""
    if "scale" in description:
        return Scale.from_dict(description["scale"]) if description["scale"] is not None else None
    return OF_FILES if pixels == EIGHT_BIT and float((mean + 2 * sd).max()) > 17 else None


def _read_description(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a finished study's folder, such as results/final/STUDY"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); it was damaged or edited") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, expected a JSON object")
    return content
