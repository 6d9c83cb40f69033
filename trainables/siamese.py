"""The first task: the Siamese verifier, as a study trains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor

from trainables.base_config import Config
from trainables.checkpoint import from_bytes, to_bytes
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.encoder_path import encoder_path
from trainables.ensemble import pack
from trainables.result import EpochMetrics
from trainables.task import Best, Task
from trainables.training import DeviceData, Run, train


class Siamese(Task):
    """Networks that tell whether two chips show the same class (trainables/training.py has the loop).

    Its chips are read and tested by the studies' own steps, which know of pairs: `studies/session.py` and
    `studies/evaluate.py` stand in for `load` and `score`.
    """

    config: ClassVar[type[Config]] = TrialConfig
    threads, device = 1, "cpu"

    def place(self, data: TrialData, device: str, threads: int) -> DeviceData:
        """Load both parts onto `device`."""
        self.threads, self.device = threads, device
        return DeviceData.of(data, device)

    def start(self, config: TrialConfig, data: DeviceData, device: str) -> Run:
        """Return an untrained run."""
        return Run.fresh(config, device)

    def train(self, config: TrialConfig, data: DeviceData, run: Run) -> Iterator[EpochMetrics]:
        """Train what `run` has left of its epochs."""
        share_threads(self.threads, encoder_path(config.network, self.device))
        return train(config, data, run)

    def weights(self, run: Run) -> Mapping[str, Tensor]:
        """Return the networks that are now its answer."""
        return pack(run.networks)

    def keep(self, config: TrialConfig, run: Run, best: Best) -> bytes:
        """Return the run as the content of a safetensors file."""
        return to_bytes(config, run, best)

    def resume(self, content: bytes, config: TrialConfig, device: str) -> tuple[Run, Best]:
        """Return the run and best epoch that `keep` wrote."""
        return from_bytes(content, config, device)

    def reached(self, run: Run, best: Best) -> int:
        """Return how many epochs a run has behind it."""
        return run.epoch
