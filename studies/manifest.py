"""What study.json says: the study, its data, and the machine, versions and command that made it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.folder import SCHEMA
from storage.whole import now, read_json
from studies.resources import Cluster
from trainables.config import TrialConfig
from trainables.data import PreparedData, TrialData
from trainables.errors import InputError
from trainables.native import EncoderPath

PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy", "pandas")


def manifest(
    study: Study,
    data: PreparedData,
    trial_data: TrialData,
    options: Sequence[str],
    start_from: str,
    cluster: Cluster,
    encoder: EncoderPath,
) -> dict[str, Any]:
    """Return study.json as it stands when the study starts; `options` are the data's command-line arguments."""
    return {
        "schema": SCHEMA,
        "stage": study.stage.name,
        "name": study.name,
        "question": study.stage.question,
        "metric": asdict(study.stage.metric),
        "parameters": study.stage.describe(),
        "arms": [arm.name for arm in study.arms()],
        "arm_values": {arm.name: dict(arm.values) for arm in study.arms()},
        "examined": study.stage.examined,
        "budget": asdict(study.budget),
        "seed": study.seed,
        "sampler": study.sampler,
        "scheduler": study.scheduler,
        "start": study.start.to_dict(),
        "start_from": start_from,
        "reference": study.reference.to_dict(),
        "data": _data(data, trial_data, options),
        "versions": _versions(),
        "hardware": _hardware(cluster, encoder),
        "commit": _commit(),
        "argv": ["python", *([Path(sys.argv[0]).name, *sys.argv[1:]])],
        "started": now(),
        "finished": None,
    }


def resumed(manifest: Mapping[str, Any], encoder: EncoderPath) -> tuple[dict[str, Any], str]:
    """Return study.json as it stands when the study is gone on with, and what its reader must know, if anything.

    `resumed_under` lists versions and encoder of each going on under others than before; those of the start stay.
    """
    begun = {"versions": manifest["versions"], "encoder": manifest["hardware"].get("encoder", "torch")}
    before, now_here = [begun, *manifest.get("resumed_under", [])], _versions()
    known, path = before[-1]["versions"], before[-1].get("encoder", begun["encoder"])
    changed = [
        f"{name} {known.get(name)} to {now_here[name]}" for name in now_here if known.get(name) != now_here[name]
    ]
    notes = [f"gone on with under other versions ({', '.join(changed)})"] if changed else []
    if path != str(encoder) and (encoder.compiled or path.startswith("compiled")):  # why torch's path does not matter
        notes.append(f"gone on with by another encoder ({path} to {encoder})")
    if not notes:
        return dict(manifest), ""
    note = f"{', '.join(notes)}: figures may differ from an unbroken run's{'' if changed else ' in the last digits'}"
    data = manifest["data"] | {"notes": [*manifest["data"]["notes"], note]}
    under = [*before[1:], {"time": now(), "versions": now_here, "encoder": str(encoder)}]
    return {**manifest, "data": data, "resumed_under": under}, note


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def study_of(manifest: Mapping[str, Any]) -> Study:
    """Return the study that a study.json describes; raise InputError if its stage is not what it was."""
    known = stage_named(manifest["stage"])
    asked = [stage for stage in (known, known.for_demo()) if stage.describe() == manifest["parameters"]]
    if not asked:
        raise InputError(f"the stage {known.name} has changed since this study was started; start a new one")
    start, reference = (TrialConfig.from_dict(manifest[name]) for name in ("start", "reference"))
    budget, seed = Budget(**manifest["budget"]), manifest["seed"]
    sampler, scheduler = manifest["sampler"], manifest["scheduler"]
    return Study(asked[0], manifest["name"], start, budget, seed, sampler, scheduler, reference)


def notes_on_start(start_from: str, data: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know where the starting config was found on other images, or under another split."""
    path = Path(start_from).parent / "study.json"
    before = read_json(path).get("data") if start_from.endswith(".json") and path.exists() else None
    if not isinstance(before, Mapping) or (
        before.get("digest") == data["digest"] and before.get("split") == data["split"]
    ):
        return []
    if before.get("digest") != data["digest"]:
        return [f"the starting config was found on other images, {before.get('source')} ({start_from})"]
    return [
        f"the starting config was found under another split of these images, which may have used chips of today's "
        f"test part ({start_from})"
    ]


def _data(data: PreparedData, trial_data: TrialData, options: Sequence[str]) -> dict[str, Any]:
    pairs = {"train": trial_data.train.pairs, "validation": trial_data.validation.pairs}
    return {
        "source": data.chips.source,
        "digest": data.chips.digest(),
        "classes": list(data.chips.classes),
        "counts": data.chips.counts(),
        "split": {"kind": data.split.kind, **data.split.sizes()},
        "groups": len(np.unique(data.groups)),
        "grouping": described_grouping(data),
        "pairs": {name: {"count": len(p), "similar": p.similar_share} for name, p in pairs.items()},
        "notes": list(data.notes),
        "warnings": list(data.warnings),
        "skipped": list(data.chips.skipped),
        "options": list(options),
    }


def described_grouping(data: PreparedData) -> dict[str, Any]:
    """Return what keeps chips together by the user's word, in how many groups, and how many each part has of them."""
    groups = data.chips.groups
    return {
        "by": None if groups is None else data.chips.group_by,
        "groups": None if groups is None else len(np.unique(groups)),
        "parts": data.split.group_counts(data.groups) if data.grouped else None,
    }


def _hardware(cluster: Cluster, encoder: EncoderPath) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "CPUs": cluster.cpus,
        "GPUs": cluster.gpus,
        "nodes": len(cluster.nodes),
        "encoder": str(encoder),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or "unknown"


def _commit() -> str | None:
    """The commit of this source tree, marked where it was changed since; None outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + (" (changed)" if changed.stdout.strip() else "")
