"""What this process may use of its machine: fewer CPUs and less memory than there are, where somebody has set a limit.

Containers, SLURM, Kubernetes and systemd set limits by control groups: of version 2 (`cpu.max`, `memory.max`) or 1,
each group within those above it (https://docs.kernel.org/admin-guide/cgroup-v2.html).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable_cpus(root: Path = ROOT) -> int:
    """Return how many CPUs this process may keep busy: its affinity, and its groups' quota; at least 1."""
    quotas = [float(cpus) for cpus in (os.cpu_count() or 1, _affinity())]
    for group in _groups(root, "cpu"):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            quota, period = (group / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            quotas += [int(quota) / int(period)] if int(quota) > 0 else []
    return max(1, int(min(quotas) + 1e-9))


def usable_memory(root: Path = ROOT) -> float:
    """Return the bytes of memory that this process and those it starts may still take; infinite where nobody knows."""
    free = [float("inf")]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text().splitlines()
        free.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    for group in _groups(root, "memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            with contextlib.suppress(OSError, ValueError):
                free.append(int((group / limit).read_text()) - int((group / used).read_text()) + _cache(group))
    return max(0, min(free))


def _cache(group: Path) -> int:
    """The bytes of files that a group holds in memory, and would give back."""
    lines = (group / "memory.stat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups, from its own up to the one that is its root."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in (
            (f"sys/fs/cgroup/{controllers}", f"sys/fs/cgroup/{controller}") if controllers else ("sys/fs/cgroup",)
        ):
            inside = PurePosixPath(path.lstrip("/") or ".")
            yield from (root / mount / group for group in (inside, *inside.parents))
