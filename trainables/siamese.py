"""The Ray trainable: a config in, one training epoch a step, checkpoints as plain tensors."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from safetensors.torch import save_file

from trainables.checkpoint import Best, from_bytes, to_bytes
from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.ensemble import pack
from trainables.errors import Diverged
from trainables.result import EpochMetrics, Metric
from trainables.training import DeviceData, Run, train

WEIGHTS, STATE = "best.safetensors", "state.safetensors"


class SiameseTrial(tune.Trainable):
    """Trains one configuration; Ray reuses the process and its loaded data for trial after trial.

    The Ray config is plain: `config` (a `TrialConfig` as a dict), `metric` (name and goal, for the best epoch) and
    `state` (an earlier checkpoint in Ray's object store, or None). Each step returns an epoch's metrics; the last one
    carries `done`. A diverged trial returns `infeasible`, the reason, and no metric, so that no invented number can
    reach a sampler or scheduler. A checkpoint is asked for once `save_every` seconds have gone by since the last.
    """

    def setup(
        self,
        config: dict[str, Any],
        data: TrialData,
        threads: int = 1,
        device: str = "cpu",
        save_every: float = 5.0,
    ) -> None:
        """Load `data` onto `device`, once, then start the first trial."""
        torch.set_num_threads(threads)
        self.data = DeviceData.of(data, device)
        self.save_every = save_every
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process with nothing left of the one before."""
        self.trial_config = TrialConfig.from_dict(new_config["config"])
        self.metric = Metric(**new_config["metric"])
        state = new_config.get("state")
        self._go_on_with(ray.get(state) if state is not None else None)
        return True

    def _go_on_with(self, state: bytes | None) -> None:
        device = str(self.data.train.images.device)
        if state is None:
            self.run, self.best = Run.fresh(self.trial_config, device), Best()
        else:
            self.run, self.best = from_bytes(state, self.trial_config, device)
        self.epochs: Iterator[EpochMetrics] = train(self.trial_config, self.data, self.run)
        self.saved = time.monotonic()

    def step(self) -> dict[str, Any]:
        """Train one epoch and report it."""
        try:
            epoch = next(self.epochs)
        except Diverged as error:
            return {"infeasible": str(error), "done": True}
        if self.metric.best([epoch] if self.best.epoch is None else [self.best.epoch, epoch]) is epoch:
            self.best = Best(epoch, pack(self.run.networks))
        due = time.monotonic() - self.saved >= self.save_every
        done = epoch.epoch == self.trial_config.epochs
        return {**dataclasses.asdict(epoch), "done": done, "should_checkpoint": due and not done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the best epoch's weights with the config that made them and, in mid-run, all that goes on."""
        self.saved = time.monotonic()
        description = {"config": json.dumps(self.trial_config.to_dict())}
        save_file(self.best.weights, Path(checkpoint_dir) / WEIGHTS, metadata=description)
        if self.run.epoch < self.trial_config.epochs:
            (Path(checkpoint_dir) / STATE).write_bytes(to_bytes(self.trial_config, self.run, self.best))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from a checkpoint, as Ray asks after a worker was lost."""
        self._go_on_with((Path(checkpoint_dir) / STATE).read_bytes())
