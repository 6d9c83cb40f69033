"""A trained verifier to keep and to use: plain tensors beside a description.

There is code in it only where a user trained an encoder of their own: as text, which is not run unasked.

results/final/STUDY/verifier.safetensors    the weights of one network, or of an ensemble's members
results/final/STUDY/verifier.json           its config, its threshold, the scale and channel statistics of its training

    verifier = Verifier.load("results/final/STUDY")
    verifier.compare("a.png", "b.png")    # Comparison(score=0.03, similar=True, threshold=0.5)
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainables.config import OWN, SIDE, Data, TrialConfig
from trainables.data import Images, TrialData
from trainables.ensemble import mean_score, unpack
from trainables.errors import InputError
from trainables.images.files import user_path
from trainables.images.given import Given, array_chip, picture_of
from trainables.images.pixels import STRETCHED
from trainables.images.render import is_rendered, render
from trainables.images.scale import OF_FILES, Scale
from trainables.losses import PairLoss, make_loss
from trainables.metrics import THRESHOLD
from trainables.model import SiameseNetwork
from trainables.stored_chips import StoredChips
from trainables.training import encode

WEIGHTS, DESCRIPTION = "verifier.safetensors", "verifier.json"
EIGHT_BIT, RENDERED, RAW = "8-bit", "rendered", "raw"  # what the numbers of a training chip were


Floats = NDArray[np.float32]


def save_verifier(folder: Path, config: TrialConfig, weights: Path, data: TrialData) -> None:
    """Keep the networks in `weights`, trained by `config` on `data`, as the verifier of `folder`; each file whole."""
    description = {
        "config": config.to_dict(),
        "side": int(data.train.images.shape[1]),
        "pixels": pixels_of(data.train.images),
        "scale": data.scale.to_dict() if data.scale else None,
        "mean": [float(value) for value in data.mean],
        "sd": [float(value) for value in data.sd],
        "threshold": THRESHOLD,
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
class Comparison:
    """How different two images are: `score`, from 0 (alike) to 1. Below `threshold` they are called `similar`."""

    score: float
    similar: bool
    threshold: float


@dataclass(frozen=True)
class Verifier:
    """Networks that answer together, and how images are brought to what they were trained on, read at `side`.

    An image is a path, a Pillow image, or an array (H, W, 3) or (H, W) of any size. Files and Pillow images are brought
    to the scale of training. An array has the numbers that the training set had: bytes where that was image files.
    Bytes for a verifier that was trained on other numbers are taken for an 8-bit image, and brought to its scale.
    """

    config: TrialConfig
    networks: Sequence[SiameseNetwork]
    pixels: str
    mean: Floats
    sd: Floats
    scale: Scale | None = None
    side: int = SIDE
    threshold: float = THRESHOLD

    @classmethod
    def load(cls, place: str | PathLike[str], threshold: float | None = None, own_code: bool = False) -> Verifier:
        """Load the verifier of a study folder, or that of one of its two files; `threshold` in place of its own.

        The code of a user's own encoder, which is kept with its config, is run only where `own_code` allows it.
        Raises InputError, naming the file, where there is none to be used.
        """
        folder = user_path(str(place))
        folder = folder.parent if folder.name in (WEIGHTS, DESCRIPTION) else folder
        description = _read_description(folder / DESCRIPTION)
        if threshold is not None:
            if not 0 <= threshold <= 1:
                raise InputError(f"threshold {threshold:g}: a score lies in 0 to 1")
            description["threshold"] = threshold
        try:
            config = TrialConfig.from_dict(description["config"])
            mean, sd = (np.array(description[name], dtype=np.float32).reshape(3) for name in ("mean", "sd"))
            pixels = description["pixels"]
            if pixels not in (EIGHT_BIT, RENDERED, RAW) or not (np.isfinite([mean, sd]).all() and (sd > 0).all()):
                raise ValueError("pixels, mean or sd make no sense")
            scale = _scale(description, pixels, mean, sd)
            side = Data(side=description.get("side", SIDE)).side  # SIDE: of verifiers kept before there were others
            cut = float(description.get("threshold", THRESHOLD))
            if not 0 <= cut <= 1:
                raise ValueError(f"threshold {cut:g}: a score lies in 0 to 1")
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            raise InputError(f"{folder / DESCRIPTION}: describes no verifier ({error}); it was edited") from error
        if config.network.encoder == OWN and not own_code:
            raise InputError(
                f"{folder / DESCRIPTION}: its encoder, {config.network.own}, is code that is kept with it; where you "
                "trust that, --own-code (own_code=True in Python) lets it run"
            )
        try:
            networks = unpack(config, load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, SafetensorError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{folder / WEIGHTS}: not the weights of {DESCRIPTION}'s config ({first})") from error
        return cls(config, networks, pixels, mean, sd, scale, side, cut)

    @functools.cached_property
    def loss(self) -> PairLoss:
        """The loss it was trained with, which says what a pair's score is."""
        return make_loss(self.config.loss)

    @property
    def takes_stretched(self) -> bool:
        """Whether images of more than eight bits, stretched to their own range, are what it was trained on."""
        return self.pixels == RENDERED or bool(self.scale and self.scale.files)

    def compare(self, first: Given, second: Given) -> Comparison:
        """Return how different two images are; raise InputError for one that cannot be used."""
        one, other = self.embed([first, second])
        score = float(self.score(one[None], other[None])[0])
        return Comparison(score, score < self.threshold, self.threshold)

    def embed(self, images: Sequence[Given] | NDArray[np.generic]) -> Floats:
        """Return embeddings (N, E) of N images, or of an array of them (N, H, W, 3); an ensemble's side by side.

        Raises InputError for one that cannot be used, or of which the verifier never saw the like.
        """
        chips = self.chips(images)
        return self.encode(StoredChips.of(chips, self.mean, self.sd))

    def chips(self, images: Sequence[Given] | NDArray[np.generic]) -> Images:
        """Return N images as the numbers that the verifier was trained on (N, S, S, 3), S its `side`.

        Raises InputError as `embed` does.
        """
        if isinstance(images, str | PathLike | Image.Image) or (isinstance(images, np.ndarray) and images.ndim != 4):
            raise InputError("embed takes several images; give a list of them, or an array (N, H, W, 3)")
        if not len(images):
            raise InputError("no images to embed; give one at least")
        each = [self._of_array(one) if isinstance(one, np.ndarray) else self._of_picture(one) for one in images]
        stacked: Images = np.stack(each)  # type: ignore[assignment]
        return stacked

    def _of_picture(self, image: str | PathLike[str] | Image.Image) -> Images:
        picture = picture_of(image, self.side)
        if STRETCHED in picture.remarks and not self.takes_stretched:
            what = "the image" if isinstance(image, Image.Image) else str(image)
            raise InputError(
                f"{what}: has more than 8 bits a channel, and the verifier was trained on arrays, whose scale such a "
                "file does not share; give 8-bit images"
            )
        return self._on_scale(picture.pixels)

    def _of_array(self, image: NDArray[np.generic]) -> Images:
        chip = array_chip(image, self.side)
        if self.pixels == EIGHT_BIT and chip.dtype != np.uint8:
            raise InputError(
                f"an array of {image.dtype}, and the verifier was trained on bytes; give whole numbers of 0 to 255"
            )
        taken_for_picture = self.pixels == RAW and image.dtype == np.uint8
        return self._on_scale(chip) if self.pixels == RENDERED or taken_for_picture else chip

    def _on_scale(self, chip: Images) -> Images:
        """An 8-bit chip (S, S, 3) as the numbers that the verifier was trained on; InputError if these are unknown."""
        if self.pixels == RENDERED:
            rendered: Images = render(chip[None])[0]
            return rendered
        if self.scale is None:
            raise InputError(
                "the verifier was trained on arrays whose scale is not known (0..1, 0..16, 0..255, 0..65535 are); "
                "image files cannot be brought to it"
            )
        brought = self.scale.bring(chip.astype(np.uint8))
        return brought.astype(np.uint8) if self.pixels == EIGHT_BIT else brought  # bytes are resized to bytes

    def encode(self, chips: StoredChips) -> Floats:
        """Return embeddings (N, E) of chips as they were trained on."""
        return np.concatenate([encode(network, chips).numpy() for network in self.networks], axis=1)

    @torch.no_grad()
    def score(self, first: Floats, second: Floats) -> Floats:
        """Return how different pairs are (B,), 0 (alike) to 1, by what `embed` made (B, E) of their images."""
        sizes = [network.encoder.embedding for network in self.networks]
        one, other = (torch.split(torch.tensor(side), sizes, dim=1) for side in (first, second))
        each = zip(self.networks, one, other, strict=True)
        scores: Floats = mean_score([self.loss.score(network, *pair) for network, *pair in each]).numpy()
        return scores


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
