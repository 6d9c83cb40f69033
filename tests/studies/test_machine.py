"""What a process may use of its machine: limits read from files made here, and, where that is allowed, set for real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studies.machine import usable_cpus, usable_memory
from studies.resources import Cluster, Node, Resources, fit_resources, memory_note

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


def groups(root, line, files):
    """A file system in which this process is in one control group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line + "\n")
    (root / "proc/meminfo").write_text("MemTotal: 99 kB\nMemAvailable: 67108864 kB\n")
    for name, content in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("line", "files", "cpus"),
    [
        ("0::/", {"cpu.max": "50000 100000"}, 1),  # half a CPU is one trial at once, not none
        ("0::/kubepods/pod7", {"kubepods/cpu.max": "100000 100000", "kubepods/pod7/cpu.max": "max 100000"}, 1),
        ("4:cpu,cpuacct:/docker/9", {"cpu,cpuacct/docker/9/cpu.cfs_quota_us": "100000", "cpu,cpuacct/docker/9/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/", {"cpu.max": "max 100000"}, None),
    ],
)  # fmt: skip
def test_the_quota_of_any_group_above_counts(tmp_path, line, files, cpus):
    """The least quota of a process's groups, of either version, decides how many CPUs there are; without one, its affinity."""
    assert usable_cpus(groups(tmp_path, line, files)) == (cpus or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("line", "files", "free"),
    [
        ("0::/pod", {"pod/memory.max": str(4 * GIB), "pod/memory.current": str(2 * GIB), "pod/memory.stat": f"anon 5\ninactive_file {GIB}"}, 3 * GIB),
        ("3:memory:/pod", {"memory/pod/memory.limit_in_bytes": str(4 * GIB), "memory/pod/memory.usage_in_bytes": "0", "memory/pod/memory.stat": ""}, 4 * GIB),
        ("0::/pod", {"pod/memory.max": "max", "pod/memory.current": "5", "pod/memory.stat": ""}, 64 * GIB),
    ],
)  # fmt: skip
def test_the_memory_of_a_group_is_what_is_left_of_its_limit(tmp_path, line, files, free):
    """What a group may still take, files that it would give back included, or what the machine has left."""
    assert usable_memory(groups(tmp_path, line, files)) == free


def test_memory_decides_how_many_trials_run_at_once():
    """On 16 CPUs with 4 GiB two run at once and a note says why; with less than one wants, one runs and the note warns; what a user asks for is done, with the warning."""
    for memory, asked, at_once, said in (
        (64, None, 16, None),
        (4, None, 2, "4.0 GiB of memory are free; a search wants 1.5, and 0.9 for each trial at once, so no more run"),
        (2, None, 1, "2.0 GiB of memory are free; a search wants 1.5, and 0.9 for each trial at once: it may be ended for lack of it"),
        (4, 8, 8, "4.0 GiB of memory are free; a search wants 1.5, and 0.9 for each trial at once: it may be ended for lack of it"),
    ):  # fmt: skip
        cluster = Cluster((Node(16.0, memory=memory * GIB),))
        resources = fit_resources(Resources(max_concurrent=asked), cluster)
        assert resources.max_concurrent == at_once
        assert memory_note(resources, cluster, 0) == said


def test_a_real_group_and_a_real_affinity_are_seen():
    """In a control group of 1 CPU and 4 GiB, made here, a process sees just these; bound to one CPU it sees one."""
    made = [Path(f"/sys/fs/cgroup/{controller}/sv{os.getpid()}") for controller in ("cpu", "memory")]
    question = "from studies.machine import *; print(usable_cpus(), usable_memory() / 2**30)"
    try:
        try:
            for group in made:
                group.mkdir()
            (made[0] / "cpu.cfs_quota_us").write_text("100000")
            (made[1] / "memory.limit_in_bytes").write_text(str(4 * GIB))
        except OSError:
            pytest.skip("needs the right to make control groups of version 1")
        enter = " && ".join(f"echo $$ > {group}/cgroup.procs" for group in made)
        asked = subprocess.run(["sh", "-c", f'{enter} && exec {sys.executable} -c "{question}"'], capture_output=True, text=True, cwd=ROOT)  # fmt: skip
        cpus, memory = asked.stdout.split()
        assert cpus == "1"
        assert 3 < float(memory) <= 4
    finally:
        for group in made:
            if group.is_dir():
                group.rmdir()
    bound = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, {0}))  # fmt: skip
    assert bound.stdout.split()[0] == "1"
