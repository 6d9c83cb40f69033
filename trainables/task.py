"""What a study trains: the Siamese verifier (trainables/siamese.py), or a training function of one's own.

A task says what a config is, what its data are, how a run starts and trains, and how a trained one is scored. All else,
stages, the search, seeds that decide, resuming, clusters, checks and the page, does not know what is trained.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from trainables.base_config import Config
from trainables.result import EpochMetrics

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Best:
    """The best epoch of a run so far, and the weights that were then its answer."""

    epoch: EpochMetrics | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskData:
    """The data of a task of one's own: what trials see, for training and validation, and what is held out for `score`.

    Both are anything that can be pickled, plain arrays best: Ray shares one copy of these among the workers of a node.
    `source` says in words what they are, `sizes` how many examples "train", "validation" and "test" have.
    """

    seen: Any
    held_out: Any
    source: str
    sizes: Mapping[str, int]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def for_trials(self) -> Any:
        """Return what travels to the trials, never what is held out."""
        return self.seen

    def digest(self) -> str:
        """Return a SHA-256 over all data: a study goes on with equal data alone."""
        return hashlib.sha256(pickle.dumps((self.seen, self.held_out))).hexdigest()

    @functools.cached_property
    def nbytes(self) -> int:
        """The bytes of what trials see."""
        return len(pickle.dumps(self.seen))


def packed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tensors on the CPU, which later epochs do not change."""
    import torch  # seconds: a driver needs the data before it

    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }


class Task:
    """One kind of training; a task of one's own inherits this class and writes `load`, `start`, `train` and `score`.

    `config` is the class of its configs, `metrics` names the scores that its epochs have in `EpochMetrics.own` beside
    `train_loss` and `val_loss`; a stage's metric is one of these. Same config, same data and same seed must give the
    same epochs: draw by generators that `config.seed` seeds.
    """

    config: ClassVar[type[Config]]
    metrics: ClassVar[tuple[str, ...]] = ()

    def load(self) -> TaskData:
        """Return the data; asked once a session, on the driver."""
        raise NotImplementedError

    def place(self, data: Any, device: str, threads: int) -> Any:
        """Return what trials see on the device that trains, once a worker, which may use so many threads."""
        import torch

        torch.set_num_threads(threads)
        return data

    def start(self, config: Any, data: Any, device: str) -> Any:
        """Return an untrained run of `config`: whatever `train` goes on with."""
        raise NotImplementedError

    def train(self, config: Any, data: Any, run: Any) -> Iterator[EpochMetrics]:
        """Train `run` in place; yield each of `config.epochs` epochs, numbered from 1, as it ends.

        A loss or score that is no finite number ends the trial as infeasible.
        """
        raise NotImplementedError

    def weights(self, run: Any) -> Mapping[str, Tensor]:
        """Return what `score` needs of a run after an epoch; those of the best epoch are kept."""
        found: Mapping[str, Tensor] = run.state_dict()
        return found

    def score(self, config: Any, weights: Mapping[str, Tensor], held_out: Any) -> Mapping[str, float]:
        """Return what a trained run reaches on what was held out, by name."""
        raise NotImplementedError

    def keep(self, config: Any, run: Any, best: Best) -> bytes | None:
        """Return a run as a file from which `resume` goes on to the bit; None: a trial that is cut off begins anew."""
        return None

    def resume(self, content: bytes, config: Any, device: str) -> tuple[Any, Best]:
        """Return the run and the best epoch that `keep` wrote; raise ValueError for anything else."""
        raise NotImplementedError

    def reached(self, run: Any, best: Best) -> int:
        """Return how many epochs a kept run surely has behind it: a record that lacks some of them was cut short."""
        return best.epoch.epoch if best.epoch else 0
