"""How trials share machines: how many run at once, and which part of a GPU each takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trainables.errors import InputError

DRIVER_MEMORY = 3 * 2**29  # bytes: the driver and Ray's own processes, measured, and room for the page's figures
WORKER_MEMORY = 9 * 2**30 // 10  # bytes: a worker with torch
TRIALS_A_GPU = 4  # by default: the network is far too small to fill one


@dataclass(frozen=True)
class Resources:
    """What one trial takes, how many run at once (None: from the machine), and seconds between its checkpoints."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    max_concurrent: int | None = None
    save_every: float = 5.0

    @property
    def device(self) -> str:
        """Return where trials train: "cuda" where they are given a part of a GPU."""
        return "cuda" if self.gpus_per_trial else "cpu"


@dataclass(frozen=True)
class Node:
    """What one machine of the cluster offers to trials."""

    cpus: float
    gpus: float = 0.0
    memory: float = math.inf  # bytes


@dataclass(frozen=True)
class Cluster:
    """Where trials run; `joined` if others started it, so that it may grow later."""

    nodes: tuple[Node, ...]
    joined: bool = False

    @property
    def cpus(self) -> float:
        """Return the CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """Return the GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)


def fit_resources(wanted: Resources, cluster: Cluster, data: int = 0) -> Resources:
    """Fill in what was left open from the machines; raise InputError where no node has room for one trial.

    Ray fills one GPU before it takes the next. So a trial's part of a GPU is made as large as the number of trials at
    once allows: then they lie evenly on all GPUs. On a cluster that others started, the user's number of trials at once
    is taken at its word: what does not fit yet makes an autoscaler start nodes, and waits for one elsewhere. Left open,
    it is no larger than the memory of each node allows, where that is known, with `data` bytes of images a trial.
    """
    cpus, gpus = wanted.cpus_per_trial, wanted.gpus_per_trial
    if cpus == 0 and (gpus == 0 or not cluster.gpus):
        raise InputError(
            "--cpus-per-trial 0 with no GPU: a trial must take some of the machine, or all would start at once"
        )
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        raise InputError(f"--gpus-per-trial {gpus:g}: above 1 a trial takes whole GPUs")
    least = gpus if gpus is not None else (1 / TRIALS_A_GPU if cluster.gpus else 0.0)
    fits = sum(_slots(cpus, least, node) for node in cluster.nodes)
    if not fits and cluster.joined and wanted.max_concurrent:
        return replace(wanted, gpus_per_trial=least)
    if not fits:
        largest = max(cluster.nodes, key=lambda node: (node.gpus if least else 0.0, node.cpus))
        raise InputError(
            f"a trial of {cpus:g} CPUs and {least:g} GPUs does not fit: "
            f"the largest node has {largest.cpus:g} CPUs and {largest.gpus:g} GPUs"
            + ("; if the cluster grows by itself, say --max-concurrent" if cluster.joined else "")
        )
    in_memory = sum(min(_slots(cpus, least, node), max(1, _by_memory(node, data))) for node in cluster.nodes)
    at_once = min(wanted.max_concurrent or in_memory, fits)
    part = _even_part(least, at_once, cpus, cluster)
    asked = wanted.max_concurrent if cluster.joined else None
    return replace(wanted, gpus_per_trial=part, max_concurrent=asked or at_once)


def _by_memory(node: Node, data: int) -> int:
    """How many trials at once the memory of a node has room for."""
    return int(min((node.memory - DRIVER_MEMORY) / trial_memory(data), 1e6))


def trial_memory(data: int) -> int:
    """Return the bytes that the worker of a trial takes: itself, and its images as numbers of four bytes."""
    return WORKER_MEMORY + 4 * data


def memory_note(resources: Resources, cluster: Cluster, data: int) -> str | None:
    """Return what a user should know where memory, and not CPUs, decides how many trials run at once, or is short."""
    if len(cluster.nodes) > 1 or resources.max_concurrent is None:
        return None
    (node,) = cluster.nodes
    room, at_once = _by_memory(node, data), resources.max_concurrent
    idle = at_once < _slots(resources.cpus_per_trial, resources.gpus_per_trial or 0.0, node)
    if at_once < room or (at_once == room and not idle):
        return None
    free, driver, trial = (size / 2**30 for size in (node.memory, DRIVER_MEMORY, trial_memory(data)))
    wants = f"{free:.1f} GiB of memory are free; a search wants {driver:.1f}, and {trial:.1f} for each trial at once"
    return f"{wants}, so no more run" if at_once == room else f"{wants}: it may be ended for lack of it"


def _slots(cpus: float, gpus: float, node: Node) -> int:
    """How many trials of this size the node takes at the same time."""
    by_cpu = node.cpus / cpus if cpus else math.inf
    by_gpu = math.inf if not gpus else node.gpus / gpus if gpus >= 1 else node.gpus * int(1 / gpus + 1e-9)
    return int(min(by_cpu, by_gpu) + 1e-9)


def _even_part(least: float, at_once: int, cpus: float, cluster: Cluster) -> float:
    """The part of a GPU with which `at_once` trials fill all GPUs alike; what is a whole GPU or more stays.

    Where machines are unlike there may be none with which as many trials still fit: then the least.
    """
    if not 0 < least < 1:
        return least
    a_gpu = max(math.ceil(_slots(cpus, least, node) / node.gpus) for node in cluster.nodes if node.gpus)
    trials = min(a_gpu, math.ceil(at_once / cluster.gpus))
    even = max(least, math.floor(1e4 / trials) / 1e4)  # Ray counts in ten-thousandths
    return even if sum(_slots(cpus, even, node) for node in cluster.nodes) >= at_once else least


def describe(resources: Resources, cluster: Cluster) -> str:
    """Return in a few words how trials lie on the machines."""
    gpus = resources.gpus_per_trial or 0.0
    share = "1 CPU" if resources.cpus_per_trial == 1 else f"{resources.cpus_per_trial:g} CPUs"
    if gpus:
        share += f" and {gpus:g} GPU" + (f" ({int(1 / gpus + 1e-9)} trials a GPU)" if gpus < 1 else "s" * (gpus > 1))
    taking = sum(_slots(resources.cpus_per_trial, gpus, node) > 0 for node in cluster.nodes)
    where = f" on {taking} nodes" if taking > 1 else ""
    count = resources.max_concurrent
    return f"{count} trial{'s' if count != 1 else ''} at once{where}, each on {share}"
