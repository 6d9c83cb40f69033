"""The loop: a configuration and data in, one `EpochMetrics` an epoch out.

Nothing outside knows how an epoch is made. The data lies on the device as whole tensors; a batch is one gather
(which augments) and one pass of both chips of every pair through the encoder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from trainables.augment import gather
from trainables.config import TrialConfig
from trainables.data import Tensors, TrialData, load
from trainables.errors import Diverged
from trainables.initialisers import initialise
from trainables.losses import LOSSES, PairLoss
from trainables.metrics import confusion, cosine_similarity
from trainables.model import SiameseNetwork
from trainables.optimisers import learning_rate, make_optimiser
from trainables.result import EpochMetrics

ENCODE_BATCH = 256


@dataclass
class Member:
    """One network in training, with all the state that its next epoch depends on."""

    model: SiameseNetwork
    optimiser: torch.optim.Adam
    generator: Generator
    epoch: int = 0

    @classmethod
    def fresh(cls, config: TrialConfig, device: str = "cpu") -> Member:
        """Return an untrained member, its weights and its random stream decided by `config.seed`."""
        model = SiameseNetwork()
        initialise(model, config.init.kind, Generator().manual_seed(config.seed))
        model = model.to(device).to(memory_format=torch.channels_last)
        optimiser = make_optimiser(config.optimiser, model.parameters())
        # order and augmentation have a stream of their own: another initialisation sees the same batches
        return cls(model, optimiser, Generator().manual_seed(config.seed ^ 0x5EED))


@dataclass(frozen=True)
class DeviceData:
    """Training and validation parts on the device that trains."""

    train: Tensors
    validation: Tensors

    @classmethod
    def of(cls, data: TrialData, device: str = "cpu") -> DeviceData:
        """Load both parts onto `device`."""
        return cls(load(data.train, data, device), load(data.validation, data, device))


def train(config: TrialConfig, data: DeviceData, member: Member | None = None) -> Iterator[EpochMetrics]:
    """Train `config.epochs` epochs, or what `member` has left of them, yielding each epoch's metrics.

    `member` is changed in place, so a caller that holds it can read the weights after any epoch. Raises Diverged when
    a loss is no longer a finite number.
    """
    if member is None:
        member = Member.fresh(config, str(data.train.images.device))
    loss = LOSSES[config.loss.kind]
    while member.epoch < config.epochs:
        started = time.perf_counter()
        lr = learning_rate(config, member.epoch)
        train_loss = train_epoch(config, data.train, member, loss, lr)
        val_loss, probability = validate(member.model, data.validation, loss)
        member.epoch += 1
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise Diverged(f"loss not finite in epoch {member.epoch} (train {train_loss:g}, validation {val_loss:g})")
        counts = confusion(probability, data.validation.target)
        yield EpochMetrics(
            epoch=member.epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=counts.accuracy,
            val_jaccard=counts.jaccard,
            val_cosine=cosine_similarity(probability, data.validation.target),
            lr=lr,
            seconds=time.perf_counter() - started,
        )


def train_epoch(config: TrialConfig, data: Tensors, member: Member, loss: PairLoss, lr: float) -> float:
    """Take one step for each batch of shuffled pairs at rate `lr`; return the mean loss over all pairs."""
    for group in member.optimiser.param_groups:
        group["lr"] = lr
    order = torch.randperm(len(data.target), generator=member.generator).to(data.target.device)
    total = torch.zeros((), device=data.target.device)
    for pairs in torch.split(order, config.batch_size):
        both = torch.cat([data.first[pairs], data.second[pairs]])
        chips = gather(data.images, both, config.augmentation.theta, member.generator)
        first, second = member.model.encode(chips).chunk(2)
        batch_loss = loss(member.model, first, second, data.target[pairs])
        member.optimiser.zero_grad()
        batch_loss.backward()  # type: ignore[no-untyped-call]
        member.optimiser.step()
        total += batch_loss.detach() * len(pairs)
    return float(total) / len(data.target)


@torch.no_grad()
def validate(model: SiameseNetwork, data: Tensors, loss: PairLoss) -> tuple[float, Tensor]:
    """Return mean loss and probabilities (P,); each chip is encoded once, though it stands in about ten pairs."""
    embeddings = torch.cat([model.encode(chips) for chips in torch.split(data.images, ENCODE_BATCH)])
    first, second = embeddings[data.first], embeddings[data.second]
    return float(loss(model, first, second, data.target)), loss.probability(model, first, second)
