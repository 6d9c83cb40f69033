"""Checkpoints lie on the driver's disk, on whichever machine a worker runs.

Where all workers run on the driver's machine they write them themselves. In a cluster that was joined a worker's own
disk is lost with its machine, and nodes need not share one: there an actor on the driver's node writes and reads the
files, and trials that are tried again elsewhere find what they had reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from storage.whole_files import write_bytes


class LocalStore:
    """What a trainable is handed on the driver's machine: the files themselves."""

    def close(self) -> None:
        """Nothing to end."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is not there."""
        return Path(path).read_bytes() if Path(path).exists() else None

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all; raises OSError where it cannot be written."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), content)


@dataclass(frozen=True)
class ActorStore:
    """What a trainable is handed in a cluster: the driver's files, through an actor on its node."""

    actor: Any

    @classmethod
    def start(cls) -> ActorStore:
        """Start the actor on this node."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        files = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(LocalStore)
        return cls(files.remote())

    def close(self) -> None:
        """End the actor; handles that Ray has stored would keep it as long as Ray runs."""
        ray.kill(self.actor)

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is not there."""
        content: bytes | None = ray.get(self.actor.read.remote(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all; raises OSError where it cannot be written."""
        ray.get(self.actor.write.remote(path, content))


def trial_file(folder: Path, number: int) -> Path:
    """Return where trial `number` is kept in a folder of checkpoints."""
    return folder / f"trial_{number:04d}.safetensors"
