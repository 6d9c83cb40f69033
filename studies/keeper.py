"""Checkpoints go through the driver: a worker hands them over and asks for them, on whichever machine it runs.

A worker's own disk is lost with its machine, and a cluster need not share one. So an actor on the driver's node writes
and reads the files; trials that are tried again elsewhere find there what they had reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from storage.whole import write_bytes


@dataclass(frozen=True)
class Keeper:
    """What a trainable is handed: the driver's files, to read and to write."""

    actor: Any

    @classmethod
    def start(cls) -> Keeper:
        """Start the actor on this node."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        files = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(_Files)
        return cls(files.remote())

    def close(self) -> None:
        """End the actor; handles that Ray has stored would keep it as long as Ray runs."""
        ray.kill(self.actor)

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is not there."""
        content: bytes | None = ray.get(self.actor.read.remote(Path(path)))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all; raises OSError where it cannot be written."""
        ray.get(self.actor.write.remote(Path(path), content))


def trial_file(folder: Path, number: int) -> Path:
    """Return where trial `number` is kept in a folder of checkpoints."""
    return folder / f"trial_{number:04d}.safetensors"


class _Files:
    """Files on the driver's disk."""

    def read(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.exists() else None

    def write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
