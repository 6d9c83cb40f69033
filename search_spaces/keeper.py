"""Checkpoints go through the driver: a worker hands them over and asks for them, on whichever machine it runs.

A worker's own disk is lost with its machine, and a cluster need not share one. So an actor on the driver's node writes
and reads the files; trials that are tried again elsewhere find there what they had reached.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class Keeper:
    """What a trainable is handed: the files of each trial by its number, `trial_NNNN.safetensors` in two folders.

    `states` has what running trials go on from; `weights`, if named, the best weights of each.
    """

    actor: Any
    states: Path
    weights: Path | None

    @classmethod
    def start(cls, states: Path, weights: Path | None) -> Keeper:
        """Start the actor on this node."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        files = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(_Files)
        actor = files.remote()
        return cls(actor, states.absolute(), weights.absolute() if weights else None)

    def close(self) -> None:
        """End the actor; handles that Ray has stored would keep it as long as Ray runs."""
        ray.kill(self.actor)

    def state(self, number: int) -> bytes | None:
        """Return what trial `number` goes on from; None if it starts afresh."""
        content: bytes | None = ray.get(self.actor.read.remote(trial_file(self.states, number)))
        return content

    def keep_state(self, number: int, content: bytes) -> None:
        """Keep what trial `number` would go on from, whole or not at all; raises OSError where it cannot be written."""
        ray.get(self.actor.write.remote(trial_file(self.states, number), content))

    def keep_weights(self, number: int, content: bytes) -> None:
        """Keep the best weights of trial `number`, if they are wanted; raises OSError as `keep_state` does."""
        if self.weights is not None:
            ray.get(self.actor.write.remote(trial_file(self.weights, number), content))


def trial_file(folder: Path, number: int) -> Path:
    """Return where trial `number` is kept in a folder of checkpoints."""
    return folder / f"trial_{number:04d}.safetensors"


class _Files:
    """Files on the driver's disk."""

    def read(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.exists() else None

    def write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        try:
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)  # a full disk needs the room
