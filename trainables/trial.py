"""The Ray trainable: a config in, one training epoch a step, checkpoints as plain tensors."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from ray import tune
from safetensors.torch import save

from trainables.errors import Diverged
from trainables.result import EpochMetrics, Metric
from trainables.task import Best, Task, packed


class CheckpointStore(Protocol):
    """The files that outlive a worker."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is not there."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a file."""
        ...


class TaskTrial(tune.Trainable):
    """Trains one configuration of a task; Ray reuses the process and its loaded data for trial after trial.

    The Ray config is plain: `number`, `config` (the task's, as a dict), `metric` (name and goal, for the best epoch),
    and the files where the store has what the trial goes on from, `state`, at most `save_every` seconds old, and in the
    end the best epoch's weights, `weights` (None: not wanted). Each step returns an epoch's metrics; the last one
    carries `done`. A diverged trial returns `infeasible`, the reason, and no metric, so that no invented number can
    reach a sampler or scheduler.
    """

    def setup(
        self,
        config: dict[str, Any],
        task: Task,
        data: Any,
        store: CheckpointStore,
        threads: int = 1,
        device: str = "cpu",
        save_every: float = 5.0,
    ) -> None:
        """Bring `data` to `device`, once, then start the first trial."""
        self.task = task
        self.device = device
        self.data = task.place(data, device, threads)
        self.store = store
        self.save_every = save_every
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process with nothing left of the one before, or go on with what is kept of it."""
        self.number: int = new_config["number"]
        self.state_file: str = new_config["state"]
        self.weights_file: str | None = new_config["weights"]
        self.trial_config = self.task.config.from_dict(new_config["config"])
        self.metric = Metric(**new_config["metric"])
        state = self.store.read(self.state_file)
        if state is None:
            self.run, self.best = self.task.start(self.trial_config, self.data, self.device), Best()
        else:
            self.run, self.best = self.task.resume(state, self.trial_config, self.device)
        self.epochs: Iterator[EpochMetrics] = self.task.train(self.trial_config, self.data, self.run)
        self.saved = time.monotonic()
        self.last = 0 if state is None else None  # the epoch before the next one, as far as that is known
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch and report it."""
        self._keep_state()
        try:
            epoch = self._next()
        except Diverged as error:
            self._keep_weights()
            return {"infeasible": str(error), "done": True}
        if self.metric.best([epoch] if self.best.epoch is None else [self.best.epoch, epoch]) is epoch:
            self.best = Best(epoch, packed(self.task.weights(self.run)))
        done = epoch.epoch == self.trial_config.epochs
        if done:
            self._keep_weights()
        return {**epoch.to_dict(), "done": done}

    def get_auto_filled_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Tune's own entries of a result, without the config: the driver has it, and packing it costs 2 ms an epoch."""
        entries: dict[str, Any] = super().get_auto_filled_metrics(*args, **kwargs)
        entries.pop("config", None)
        return entries

    def _next(self) -> EpochMetrics:
        """The next epoch, timed here where the task does not say what it took; Diverged where a figure is no number."""
        began = time.perf_counter()
        try:
            epoch = next(self.epochs)
        except StopIteration:
            raise ValueError(f"the task's `train` ended before {self.trial_config.epochs} epochs") from None
        if self.last is not None and epoch.epoch != self.last + 1:
            raise ValueError(f"epoch {epoch.epoch} after {self.last}: a task numbers its epochs from 1, each once")
        self.last = epoch.epoch
        lacking = [name for name in self.task.metrics if name not in epoch.own]
        if lacking:
            said = f"the task declares {', '.join(lacking)} in `metrics`, and epoch {epoch.epoch} has none in `own`"
            raise ValueError(said)
        if self.metric.name not in epoch.own and getattr(epoch, self.metric.name) is None:
            raise ValueError(f"epoch {epoch.epoch} has no {self.metric.name}, by which the stage chooses")
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
            raise Diverged(f"loss not finite in epoch {epoch.epoch}")
        own = {name: float(value) for name, value in epoch.own.items()}
        for name, value in own.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} not finite in epoch {epoch.epoch}")
        seconds = epoch.seconds or time.perf_counter() - began
        train_loss, val_loss = float(epoch.train_loss), float(epoch.val_loss)  # a record takes no array's numbers
        return replace(epoch, train_loss=train_loss, val_loss=val_loss, own=own, seconds=seconds)

    def _keep_state(self) -> None:
        """Before an epoch, not behind it: what is kept never knows of an epoch that the driver has not heard of."""
        if self.best.epoch is not None and time.monotonic() - self.saved >= self.save_every:
            state = self.task.keep(self.trial_config, self.run, self.best)
            if state is not None:
                self.store.write(self.state_file, state)
            self.saved = time.monotonic()

    def _keep_weights(self) -> None:
        if self.best.epoch is not None and self.weights_file:
            description = {"config": json.dumps(self.trial_config.to_dict())}
            self.store.write(self.weights_file, save(self.best.weights, metadata=description))
