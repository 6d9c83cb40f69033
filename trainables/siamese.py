"""The Ray trainable: a config in, one training epoch a step, checkpoints as plain tensors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from ray import tune
from safetensors.torch import save

from trainables.checkpoint import Best, from_bytes, to_bytes
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.encoder_path import encoder_path
from trainables.ensemble import pack
from trainables.errors import Diverged
from trainables.result import EpochMetrics, Metric
from trainables.training import DeviceData, Run, train


class CheckpointStore(Protocol):
    """The files that outlive a worker."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is not there."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a file."""
        ...


class SiameseTrial(tune.Trainable):
    """Trains one configuration; Ray reuses the process and its loaded data for trial after trial.

    The Ray config is plain: `number`, `config` (a `TrialConfig` as a dict), `metric` (name and goal, for the best
    epoch), and the files where the store has what the trial goes on from, `state`, at most `save_every` seconds old,
    and in the end the best epoch's weights, `weights` (None: not wanted). Each step returns an epoch's metrics; the
    last one carries `done`. A diverged trial returns `infeasible`, the reason, and no metric, so that no invented
    number can reach a sampler or scheduler.
    """

    def setup(
        self,
        config: dict[str, Any],
        data: TrialData,
        store: CheckpointStore,
        threads: int = 1,
        device: str = "cpu",
        save_every: float = 5.0,
    ) -> None:
        """Load `data` onto `device`, once, then start the first trial."""
        self.threads = threads
        self.data = DeviceData.of(data, device)
        self.store = store
        self.save_every = save_every
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process with nothing left of the one before, or go on with what is kept of it."""
        self.number: int = new_config["number"]
        self.state_file: str = new_config["state"]
        self.weights_file: str | None = new_config["weights"]
        self.trial_config = TrialConfig.from_dict(new_config["config"])
        self.metric = Metric(**new_config["metric"])
        device = self.data.device
        share_threads(self.threads, encoder_path(self.trial_config.network, device))
        state = self.store.read(self.state_file)
        if state is None:
            self.run, self.best = Run.fresh(self.trial_config, device), Best()
        else:
            self.run, self.best = from_bytes(state, self.trial_config, device)
        self.epochs: Iterator[EpochMetrics] = train(self.trial_config, self.data, self.run)
        self.saved = time.monotonic()
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch and report it."""
        self._keep_state()
        try:
            epoch = next(self.epochs)
        except Diverged as error:
            self._keep_weights()
            return {"infeasible": str(error), "done": True}
        if self.metric.best([epoch] if self.best.epoch is None else [self.best.epoch, epoch]) is epoch:
            self.best = Best(epoch, pack(self.run.networks))
        done = epoch.epoch == self.trial_config.epochs
        if done:
            self._keep_weights()
        return {**epoch.to_dict(), "done": done}

    def _keep_state(self) -> None:
        """Before an epoch, not behind it: what is kept never knows of an epoch that the driver has not heard of."""
        if self.best.epoch is not None and time.monotonic() - self.saved >= self.save_every:
            self.store.write(self.state_file, to_bytes(self.trial_config, self.run, self.best))
            self.saved = time.monotonic()

    def _keep_weights(self) -> None:
        if self.best.epoch is not None and self.weights_file:
            description = {"config": json.dumps(self.trial_config.to_dict())}
            self.store.write(self.weights_file, save(self.best.weights, metadata=description))
