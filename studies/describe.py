"""What study.json says: the study, its data, and the machine, versions and command that made it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.stage import Stage
from search_spaces.stages import stage_named
from search_spaces.study import BASELINE, GIVEN, Study
from storage.data_source import Source
from storage.folder import MANIFEST, read_manifest
from storage.study_json import DataDescription, Grouping, Manifest, PairCount, ResumedUnder, SplitSizes
from storage.whole_files import now
from studies.resources import Cluster
from trainables.data import PreparedData, TrialData
from trainables.encoder_path import EncoderPath
from trainables.errors import InputError
from trainables.task import TaskData

PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy", "pandas")


def manifest(
    study: Study,
    data: PreparedData | TaskData,
    trial_data: TrialData | None,
    source: Source,
    start_from: str,
    cluster: Cluster,
    encoder: EncoderPath,
    own_scores: tuple[str, ...] = (),
) -> Manifest:
    """Return the description of a study that starts now."""
    return Manifest(
        stage=study.stage.name,
        name=study.name,
        question=study.stage.question,
        metric=study.stage.metric,
        parameters=study.stage.parameters,
        arms=tuple(arm.name for arm in study.arms()),
        arm_values={arm.name: dict(arm.values) for arm in study.arms()},
        judged=study.stage.judged,
        budget=study.budget,
        seed=study.seed,
        sampler=study.sampler,
        scheduler=study.scheduler,
        start=study.start,
        start_from=start_from,
        reference=study.reference,
        data=_of_task(data, source) if isinstance(data, TaskData) else _data(data, trial_data, source),
        versions=_versions(),
        hardware=_hardware(cluster, encoder),
        commit=_commit(),
        argv=("python", Path(sys.argv[0]).name, *sys.argv[1:]),
        started=now(),
        smoke=study.smoke,
        matching=tuple(path for rival in study.stage.rivals for path in rival.matching),
        own_files=study.own_files,
        own_scores=own_scores,
        test_unseen=study.test_unseen,
    )


def resumed(manifest: Manifest, encoder: EncoderPath) -> tuple[Manifest, str]:
    """Return the description of a study that is resumed now, and what its reader must know, if anything.

    `resumed_under` lists versions and encoder of each resumption under others than before; those of the start stay.
    """
    last = manifest.resumed_under[-1] if manifest.resumed_under else None
    known, path = (last.versions, last.encoder) if last else (manifest.versions, manifest.encoder)
    now_here = _versions()
    changed = [
        f"{name} {known.get(name)} to {now_here[name]}" for name in now_here if known.get(name) != now_here[name]
    ]
    notes = [f"resumed under other versions ({', '.join(changed)})"] if changed else []
    if path != str(encoder) and (encoder.compiled or path.startswith("compiled")):  # why torch's path does not matter
        notes.append(f"resumed by another encoder ({path} to {encoder})")
    if not notes:
        return manifest, ""
    note = f"{', '.join(notes)}: figures may differ from an unbroken run's{'' if changed else ' in the last digits'}"
    data = replace(manifest.data, notes=(*manifest.data.notes, note))
    under = (*manifest.resumed_under, ResumedUnder(now(), now_here, str(encoder)))
    return replace(manifest, data=data, resumed_under=under), note


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def study_of(manifest: Manifest, own: Stage | None = None) -> Study:
    """Return the study that a study.json describes, of the user's `own` stage or of one of ours.

    Raises InputError if the stage is not what it was.
    """
    known = own or stage_named(manifest.stage)
    suited = (stage.suited(manifest.start) for stage in (known, known.for_demo()))
    asked = [stage for stage in suited if _is_described(stage, manifest)]
    if not asked:
        raise InputError(f"the stage {known.name} has changed since this study was started; start a new one")
    return Study(
        asked[0],
        manifest.name,
        manifest.start,
        manifest.budget,
        manifest.seed,
        manifest.sampler,
        manifest.scheduler,
        manifest.reference,
        manifest.is_smoke,
        manifest.rounds,
        manifest.own_files,
        manifest.test_unseen,
    )


def notes_on_start(start_from: str, data: DataDescription) -> list[str]:
    """Return what a reader must know where the starting config was found on other images, or under another split."""
    folder = Path(start_from).parent
    if start_from in (BASELINE, GIVEN) or not (folder / MANIFEST).exists():
        return []
    before = read_manifest(folder).data
    if before.digest != data.digest:
        return [f"the starting config was found on other images, {before.source} ({start_from})"]
    if before.split == data.split:
        return []
    return [
        f"the starting config was found under another split of these images, which may have used chips of today's "
        f"test part ({start_from})"
    ]


def _data(data: PreparedData, trial_data: TrialData | None, source: Source) -> DataDescription:
    assert trial_data is not None  # of the verifier
    pairs = {"train": trial_data.train.pairs, "validation": trial_data.validation.pairs}
    return DataDescription(
        source=data.chips.source,
        digest=data.chips.digest(),
        classes=tuple(data.chips.classes),
        counts=data.chips.counts(),
        split=_split(data),
        groups=len(np.unique(data.groups)),
        grouping=described_grouping(data),
        pairs={name: PairCount(len(own), own.similar_share) for name, own in pairs.items()},
        notes=tuple(data.notes),
        warnings=tuple(data.warnings),
        skipped=tuple(data.chips.skipped),
        options=tuple(source.options()),
        read=source,
    )


def _of_task(data: TaskData, source: Source) -> DataDescription:
    """The data of a task of one's own, of which no more is known than it says."""
    train, validation, test = (data.sizes.get(part, 0) for part in ("train", "validation", "test"))
    return DataDescription(
        source=data.source,
        digest=data.digest(),
        counts={},
        split=SplitSizes("own", train, validation, test),
        groups=train + validation + test,
        pairs={},
        notes=tuple(data.notes),
        warnings=tuple(data.warnings),
        options=(),
        read=source,
    )


def _is_described(stage: Stage, manifest: Manifest) -> bool:
    """Whether a stage asks what a study.json says: of the same parameters it may still leave out some arms.

    Reasons are for a reader, and may be told better by now.
    """
    own = stage.arm_for(manifest.start).name
    names = {own, *(arm.name for arm in stage.arms())}
    asked, told = ([replace(own, because="-") for own in each] for each in (stage.parameters, manifest.parameters))
    return asked == told and names == set(manifest.arms)


def _split(data: PreparedData) -> SplitSizes:
    sizes = data.split.sizes()
    whole = {part: data.classes_of(part) for part in sizes} if data.split.kind == "classes" else None
    return SplitSizes(data.split.kind, **sizes, classes=whole)


def described_grouping(data: PreparedData) -> Grouping:
    """Return what keeps chips together by the user's word, in how many groups, and how many each part has of them."""
    groups = data.chips.groups
    return Grouping(
        by=None if groups is None else data.chips.group_by,
        groups=None if groups is None else len(np.unique(groups)),
        parts=data.split.group_counts(data.groups) if data.grouped else None,
    )


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
