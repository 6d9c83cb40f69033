"""Where a verifier looks: which places of both chips of a pair speak for "similar", and which against.

HiResCAM (Draelos and Carin 2020): the encoder's last map of features times the gradient of the answer, element by
element, summed over channels. Unlike Grad-CAM, which averages the gradient over the picture, it is true to a network
that reads its features by place, as the paper's does (one linear layer over the flattened map).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from analysis.figures.saliency import PairPicture, draw_saliency
from trainables.data import TrialData
from trainables.losses import PairLoss
from trainables.model import SiameseNetwork
from trainables.stored_chips import Batch, load
from trainables.verifier import Verifier

SHOWN = 3  # pairs of each kind, right and wrong


@dataclass(frozen=True)
class Maps:
    """Relevance of each pixel (B, S, S) of the first and second chips: above 0 speaks for similar, below against."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]


def relevance(
    network: SiameseNetwork, loss: PairLoss, first: Batch | Tensor, second: Batch | Tensor, side: int
) -> Maps:
    """Return what the features of chips `first`, `second`, B each, add to the evidence of "similar", at `side`.

    That is the logit, or the distance, with its sign turned: the bounded score is flat where the network is surest.
    """
    network.eval()
    features = [network.features(chips).detach().requires_grad_() for chips in (first, second)]
    similarity = -loss.evidence(network, *(network.embed(map_) for map_ in features)).sum()
    gradients = torch.autograd.grad(similarity, features)
    maps = [(map_.detach() * gradient).sum(1, keepdim=True) for map_, gradient in zip(features, gradients, strict=True)]
    large = [F.interpolate(map_, (side, side), mode="bilinear", align_corners=False)[:, 0].numpy() for map_ in maps]
    return Maps(*large)


def draw_examples(folder: Path, data: TrialData, path: Path) -> None:
    """Draw validation pairs that the verifier in `folder` judges rightly and wrongly, with where it looks.

    The surest of each kind, right ones from both classes of answer: the pairs are validation's, so no picture is a look
    at the test split.
    """
    verifier, validation = Verifier.load(folder, own_code=True), load(data.validation, data)
    embedded = verifier.encode(validation.chips)
    score = verifier.score(embedded[validation.first], embedded[validation.second])
    target = validation.target.numpy()
    chosen = examples(score, target)
    if not chosen:
        return
    first, second = (validation.chips.batch(index[chosen]) for index in (validation.first, validation.second))
    side = data.validation.images.shape[1]
    each = [relevance(network, verifier.loss, first, second, side) for network in verifier.networks]
    maps = Maps(np.mean([m.first for m in each], axis=0), np.mean([m.second for m in each], axis=0))
    chips = [data.validation.images[index[chosen].numpy()] for index in (validation.first, validation.second)]
    pictures = [
        PairPicture(
            chips=(chips[0][row], chips[1][row]),
            maps=(maps.first[row], maps.second[row]),
            truth="similar" if target[pair] == 0 else "different",
            answer="similar" if score[pair] < 0.5 else "different",
            probability=float(1 - score[pair]),
        )
        for row, pair in enumerate(chosen)
    ]
    draw_saliency(pictures, path)


def examples(score: NDArray[np.float32], target: NDArray[np.float32]) -> list[int]:
    """Return the numbers of the surest right pairs, similar and different in turn, then the surest wrong ones."""
    right = (score < 0.5) == (target == 0)
    sure = np.argsort(-np.abs(score - 0.5), kind="stable")
    similar, different = ([int(i) for i in sure if right[i] and target[i] == kind] for kind in (0, 1))
    turns = [pair for both in itertools.zip_longest(similar, different) for pair in both if pair is not None]
    wrong = [int(i) for i in sure if not right[i]]
    return turns[:SHOWN] + wrong[:SHOWN]
