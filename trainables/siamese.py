"""The Ray trainable: a config in, one training epoch a step, the best epoch's weights as its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune
from safetensors.torch import save_file

from trainables.config import TrialConfig
from trainables.data import TrialData
from trainables.ensemble import pack
from trainables.errors import Diverged
from trainables.result import EpochMetrics, Metric
from trainables.training import DeviceData, Run, train

WEIGHTS = "best.safetensors"


class SiameseTrial(tune.Trainable):
    """Trains one configuration; Ray reuses the process and its loaded data for trial after trial.

    The Ray config is plain: `config` (a `TrialConfig` as a dict) and `metric` (name and goal, for the best epoch).
    Each step returns an epoch's metrics; the last one carries `done`. A diverged trial returns `infeasible`, the
    reason, and no metric, so that no invented number can reach a sampler or scheduler.
    """

    def setup(self, config: dict[str, Any], data: TrialData, threads: int = 1, device: str = "cpu") -> None:
        """Load `data` onto `device`, once, then start the first trial."""
        torch.set_num_threads(threads)
        self.data = DeviceData.of(data, device)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process with nothing left of the one before."""
        self.trial_config = TrialConfig.from_dict(new_config["config"])
        self.metric = Metric(**new_config["metric"])
        self.run = Run.fresh(self.trial_config, str(self.data.train.images.device))
        self.epochs: Iterator[EpochMetrics] = train(self.trial_config, self.data, self.run)
        self.best: EpochMetrics | None = None
        self.best_weights: dict[str, torch.Tensor] = {}
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch and report it."""
        try:
            epoch = next(self.epochs)
        except Diverged as error:
            return {"infeasible": str(error), "done": True}
        if self.metric.best([epoch] if self.best is None else [self.best, epoch]) is epoch:
            self.best = epoch
            self.best_weights = pack(self.run.networks)
        return {**dataclasses.asdict(epoch), "done": epoch.epoch == self.trial_config.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the best epoch's weights as plain tensors, with the config that made them."""
        description = {"config": json.dumps(self.trial_config.to_dict())}
        save_file(self.best_weights, Path(checkpoint_dir) / WEIGHTS, metadata=description)
