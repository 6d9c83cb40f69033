"""The loop: a configuration and data in, one `EpochMetrics` an epoch out.

Nothing outside knows how an epoch is made. The data lies on the device as it was read; a batch names chips and how
they are seen, and both chips of every pair go through the encoder in one pass.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from trainables.augment import draw_views, draw_warps
from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.ensemble import mean_score, member_configs
from trainables.errors import Diverged
from trainables.initialisers import initialise
from trainables.losses import PairLoss, make_loss
from trainables.metrics import confusion, cosine_similarity
from trainables.model import SiameseNetwork
from trainables.optimisers import make_optimiser, take_step
from trainables.result import EpochMetrics
from trainables.schedules import learning_rates
from trainables.seeded import seeded
from trainables.stored_chips import StoredChips, Tensors, load

ENCODE_BATCH = 256


@dataclass
class Member:
    """One network in training, with all the state that its next epoch depends on."""

    config: TrialConfig
    model: SiameseNetwork
    optimiser: torch.optim.Adam
    order: Generator
    generator: Generator

    @classmethod
    def fresh(cls, config: TrialConfig, device: str = "cpu") -> Member:
        """Return an untrained member, its weights and its random stream decided by `config.seed`."""
        with seeded(config.seed):  # for what a user's own module draws when it is made
            model = SiameseNetwork(config.network, config.data)
        initialise(model, config.init.kind, Generator().manual_seed(config.seed))
        if config.init.weights:
            model.encoder.start_with(config.init.weights)
        model = model.laid_out(device)
        optimiser = make_optimiser(config.optimiser, model.parameters())
        # the order of pairs has a stream of its own: other weights, augmentation or dropout see the same batches
        order, generator = (Generator().manual_seed(config.seed ^ stream) for stream in (0x0D3E, 0x5EED))
        model.draw_from(generator)
        return cls(config, model, optimiser, order, generator)


@dataclass
class Run:
    """A config in training: its members (one, unless it is an ensemble), and the networks that now give its answer."""

    members: list[Member]
    networks: list[SiameseNetwork]
    epoch: int = 0

    @classmethod
    def fresh(cls, config: TrialConfig, device: str = "cpu") -> Run:
        """Return an untrained run."""
        members = [Member.fresh(own, device) for own in member_configs(config)]
        return cls(members, [member.model for member in members])


@dataclass(frozen=True)
class DeviceData:
    """Training and validation parts on the device that trains."""

    train: Tensors
    validation: Tensors

    @property
    def device(self) -> str:
        """Return where the chips are."""
        return str(self.train.chips.pixels.device)

    @classmethod
    def of(cls, data: TrialData, device: str = "cpu") -> DeviceData:
        """Load both parts onto `device`."""
        return cls(load(data.train, data, device), load(data.validation, data, device))


def train(config: TrialConfig, data: DeviceData, run: Run | None = None) -> Iterator[EpochMetrics]:
    """Train `config.epochs` epochs, or what `run` has left of them, yielding each epoch's metrics.

    `run` is changed in place, so a caller that holds it can read the weights after any epoch. Raises Diverged when a
    loss is no longer a finite number.
    """
    if run is None:
        run = Run.fresh(config, data.device)
    loss = make_loss(config.loss)
    while run.epoch < config.epochs:
        started = time.perf_counter()
        trained = [
            train_epoch(member, pairs_of(member, data.train, run.epoch), loss, run.epoch) for member in run.members
        ]
        train_loss, grad_norm = _mean(epoch.loss for epoch in trained), _mean(epoch.grad_norm for epoch in trained)
        val_loss, score, run.networks = answer(config, run.members, data.validation, loss)
        run.epoch += 1
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise Diverged(f"loss not finite in epoch {run.epoch} (train {train_loss:g}, validation {val_loss:g})")
        counts = confusion(score, data.validation.target)
        yield EpochMetrics(
            epoch=run.epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=counts.accuracy,
            val_jaccard=counts.jaccard,
            val_cosine=cosine_similarity(score, data.validation.target),
            lr=trained[0].lr,
            seconds=time.perf_counter() - started,
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,
        )


def pairs_of(member: Member, data: Tensors, epoch: int) -> Tensors:
    """Return the pairs that a member trains on in `epoch`: always the same, or new ones by its seed."""
    return data.with_fresh_pairs(member.config.seed, epoch) if member.config.data.partners == "fresh" else data


@dataclass(frozen=True)
class TrainedEpoch:
    """What an epoch of steps gave: mean loss over pairs, mean gradient norm over steps, rate of the last step."""

    loss: float
    grad_norm: float
    lr: float


def train_epoch(member: Member, data: Tensors, loss: PairLoss, epoch: int) -> TrainedEpoch:
    """Take one step for each batch of shuffled pairs, at the rates of `epoch` (0 is the first)."""
    config, model = member.config, member.model.train()
    order = torch.randperm(len(data.target), generator=member.order).to(data.target.device)
    batches = torch.split(order, config.batch_size)
    rates = learning_rates(config, epoch, len(batches))
    total_loss, total_norm = torch.zeros(2, device=data.target.device)
    for pairs, lr in zip(batches, rates, strict=True):
        both = torch.cat([data.first[pairs], data.second[pairs]])
        views = draw_views(len(both), config.augmentation, member.generator)
        warps = draw_warps(len(both), config.augmentation, member.generator)
        first, second = model.encode(data.chips.batch(both, views, warps)).chunk(2)
        batch_loss = loss(model, first, second, data.target[pairs])
        member.optimiser.zero_grad()
        (batch_loss + loss.penalty(model)).backward()  # type: ignore[no-untyped-call]
        total_norm += take_step(member.optimiser, lr, config.optimiser.clip_norm)
        total_loss += batch_loss.detach() * len(pairs)
    return TrainedEpoch(float(total_loss) / len(data.target), float(total_norm) / len(batches), rates[-1])


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return math.fsum(each) / len(each)


def answer(
    config: TrialConfig, members: Sequence[Member], data: Tensors, loss: PairLoss
) -> tuple[float, Tensor, list[SiameseNetwork]]:
    """Return validation loss, scores (P,) and the networks that gave them: the best member, or the average of all."""
    outcomes = [(*validate(member.model, data, loss), member.model) for member in members]
    if config.ensemble.combine == "average" and len(members) > 1:
        score = mean_score([score for _, score, _ in outcomes])
        whole = bool(torch.isfinite(score).all())
        return float(loss.of_score(score, data.target)) if whole else math.nan, score, [m for *_, m in outcomes]
    val_loss, score, model = min(outcomes, key=lambda outcome: outcome[0])
    if len(members) > 1 and math.isfinite(val_loss):  # judged as an average is: contrastive loss is bounded there
        val_loss = float(loss.of_score(score, data.target))
    return val_loss, score, [model]


@torch.no_grad()
def validate(model: SiameseNetwork, data: Tensors, loss: PairLoss) -> tuple[float, Tensor]:
    """Return mean loss and scores (P,)."""
    first, second = encode_pairs(model, data)
    return float(loss(model, first, second, data.target)), loss.score(model, first, second)


@torch.no_grad()
def encode_pairs(model: SiameseNetwork, data: Tensors) -> tuple[Tensor, Tensor]:
    """Return the embeddings (P, E) of both chips of each pair; each is encoded once, though in about ten."""
    embeddings = encode(model, data.chips)
    return embeddings[data.first], embeddings[data.second]


@torch.no_grad()
def encode(model: SiameseNetwork, chips: StoredChips) -> Tensor:
    """Return the embeddings (M, E) of all chips, in order, as `model` gives them when it is used."""
    model.eval()
    return torch.cat([model.encode(batch) for batch in chips.batches(ENCODE_BATCH)])
