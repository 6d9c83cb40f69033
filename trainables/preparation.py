"""From chips to a fair split: what is too few or wrong is refused, copies stay together, and oddities are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainables.data import ChipSet, PreparedData, stream
from trainables.errors import InputError, listed
from trainables.splits import SAME_PICTURE, constant, joined, near_duplicates, rarest_labels, split_chips

MIN_CHIPS_PER_CLASS = 10
MIN_GROUPS_PER_PART = 2  # of each class, or all its similar pairs would be of one patient, one scene
MIN_CLASSES_PER_PART = 2  # of whole classes, or a part would have no different pairs
MIN_TO_PAIR = 2  # chips or groups of a class that stands in one part alone: what a similar pair takes
MANY_COPIES = 16  # of one picture: twice the flips and turns that there are
SMALL_TEST_SPLIT = 50  # chips, or groups of chips


def prepare(chips: ChipSet, split: str, seed: int = 0, drop_small_classes: bool = False) -> PreparedData:
    """Check the classes, find near-duplicates, split by `seed`; raise InputError where a fair split is impossible.

    A study leaves `seed` at 0 whatever its own seed: a set is always split alike, so that a config adopted by one
    study never meets, in the next one's test split, a chip that helped to choose it.
    """
    chips = _checked_classes(chips, split, drop_small_classes)
    chips = _checked_groups(chips, split, drop_small_classes)
    pictures = near_duplicates(chips.images)
    blank = constant(chips.images)  # a black frame in every video does not make them one
    seen = np.where(blank, pictures.max() + 1 + np.arange(len(chips)), pictures)
    groups, rng = pictures if chips.groups is None else joined(seen, chips.groups), stream(seed, "split")
    if split == "classes":
        together = joined(chips.labels, seen if chips.groups is None else groups)
        _check_whole_classes(chips, groups, together)
        strata, units, least = np.zeros_like(together), together, MIN_CLASSES_PER_PART
    elif chips.groups is None:
        strata, units, least = chips.labels, groups, 0
    else:
        strata = rarest_labels(chips.labels, groups) if split == "grouped" else chips.labels
        units, least = groups, MIN_GROUPS_PER_PART
    aside = _aside(chips, units, split)
    drawn = np.flatnonzero(~aside)
    parts = split_chips(strata[drawn], units[drawn], split, rng, least).within(drawn, np.flatnonzero(aside))
    data = PreparedData(chips, parts, groups, seed)
    if split != "classes":
        _check_parts(data)
    return replace(data, notes=(*chips.notes, *_notes(data)), warnings=_conflicts(chips, pictures))


def _aside(chips: ChipSet, units: NDArray[np.int64], split: str) -> NDArray[np.bool_]:
    """Return which chips (N,) are kept for the test: those of `test_only`, and what `units` (N,) join to them."""
    if chips.test_only is None:
        return np.zeros(len(chips), dtype=bool)
    return chips.test_only if split == "random" else np.isin(units, units[chips.test_only])


def _checked_classes(chips: ChipSet, split: str, drop_small: bool) -> ChipSet:
    least = MIN_TO_PAIR if split == "classes" else MIN_CHIPS_PER_CLASS  # whole classes are not cut in three
    few = {name: str(n) for name, n in chips.counts().items() if n < least}
    small = few | {name: f"0: {why}" for name, why in chips.lacking.items()}
    if small and len(chips.classes) + len(chips.lacking) > 1:
        named = listed([f"{name!r} ({what})" for name, what in sorted(small.items())])
        if not drop_small:
            raise InputError(
                f"{chips.source}: fewer than {least} chips in class {named}; "
                "add chips, or leave such classes out with --drop-small-classes"
            )
        note = f"left out classes with fewer than {least} chips: {named}"
        chips = chips.only(tuple(name for name in chips.classes if name not in small), (*chips.notes, note))
    if len(chips.classes) < 2:
        raise InputError(
            f"{chips.source}: {'only one class' if chips.classes else 'no class'} to compare"
            f"{f' ({chips.classes[0]!r})' if chips.classes else ''}; a verifier needs at least two classes, "
            "one folder of images each"
        )
    return chips


def _checked_groups(chips: ChipSet, split: str, drop_small: bool) -> ChipSet:
    """Every part needs groups of every class of its own, or its pairs say nothing about the class."""
    if split == "random" or chips.groups is None:
        return chips
    whole = split == "classes"
    least = MIN_TO_PAIR if whole else 3 * MIN_GROUPS_PER_PART
    numbers = {name: len(np.unique(chips.groups[chips.labels == at])) for at, name in enumerate(chips.classes)}
    few = {name: number for name, number in numbers.items() if number < least}
    if not few:
        return chips
    named = listed([f"{name!r} ({number})" for name, number in few.items()])
    if not drop_small:
        raise InputError(
            f"{chips.source}: fewer than {least} groups ({chips.group_by}) in class {named}, too few for "
            f"{'a similar pair' if whole else 'training, validation and test'}; "
            "add groups (patients, scenes, ...), leave such classes out with "
            "--drop-small-classes, or say --group-by none if a folder's images have no more in common than a class's"
        )
    note = f"left out classes with fewer than {least} groups: {named}"
    return _checked_classes(
        chips.only(tuple(name for name in chips.classes if name not in few), (*chips.notes, note)), split, drop_small
    )


def _check_whole_classes(chips: ChipSet, groups: NDArray[np.int64], together: NDArray[np.int64]) -> None:
    """There must be classes for three parts, and similar pairs in each; `together` (N,) numbers classes that are one.

    Classes that share a picture or a group stand on one side of the split, as these do.
    """
    least, found = 3 * MIN_CLASSES_PER_PART, len(np.unique(together))
    if found < least:
        linked = " that share no picture or group" if found < len(chips.classes) else ""
        raise InputError(
            f"{chips.source}: --split classes needs {least} classes{linked}, two for each of training, validation and "
            f"test, and there are {found}; add classes, or leave --split out and have every class in every part"
        )
    for label, name in enumerate(chips.classes):
        if len(np.unique(groups[chips.labels == label])) < MIN_TO_PAIR:
            raise InputError(
                f"{chips.source}: class {name!r} has no similar pair: its {chips.counts()[name]} chips are flips or "
                "turns of one picture, or of one group; add pictures, or leave it out"
            )


def _check_parts(data: PreparedData) -> None:
    """Every class must stand in every part, by as many groups as a pair needs, or a part says nothing about it."""
    chips, needed = data.chips, MIN_GROUPS_PER_PART if data.grouped else 1
    for part in data.split.sizes():
        indices = getattr(data.split, part)
        for label, name in enumerate(chips.classes):
            of_class = data.groups[indices[chips.labels[indices] == label]]
            if len(np.unique(of_class)) >= needed:
                continue
            own = len(np.unique(data.groups[chips.labels == label]))
            if data.grouped:
                raise InputError(
                    f"{chips.source}: class {name!r} would have fewer than {needed} groups in the {part} split: its "
                    f"{chips.counts()[name]} chips are in {own} groups ({chips.group_by}; those that share a picture "
                    "are one); add groups, or leave it out"
                )
            what = "flips or turns of"
            if chips.counts()[name] > MANY_COPIES * own:
                what = (
                    f"nearly alike, as from a fixed camera (within {SAME_PICTURE:.0%} of their contrast): they count as"
                )
            raise InputError(
                f"{chips.source}: class {name!r} would be missing from the {part} split: its "
                f"{chips.counts()[name]} chips are {what} only {own} pictures; add pictures, crop to what changes, "
                "or use --split random"
            )


def _notes(data: PreparedData) -> list[str]:
    chips, groups, split = data.chips, data.groups, data.split
    notes = []
    kept = "NOT kept together (--split random)" if split.kind == "random" else "kept together"
    if chips.groups is None:
        copies = len(chips) - len(np.unique(groups))
        largest = int(np.bincount(groups).max())
        if copies:
            alike = f"; {largest} are nearly alike, as from a fixed camera" if largest > MANY_COPIES else ""
            notes.append(f"{copies} of {len(chips)} chips are flips or turns of others{alike}; {kept}")
    else:
        what = "folders inside the classes" if chips.group_by == "folder" else chips.group_by
        notes.append(
            f"{len(chips)} chips are in {len(np.unique(chips.groups))} groups ({what}), {kept}"
            + ("; pairs are of chips of two groups" if data.grouped else "")
        )
        linked = len(np.unique(chips.groups)) - len(np.unique(groups))
        if linked:
            notes.append(f"{linked} groups hold pictures of other groups, or flips or turns of them; {kept} with these")
    blank = int(constant(chips.images).sum())
    if blank:
        notes.append(f"{blank} of {len(chips)} chips are constant (all pixels equal)")
    sizes, unit = split.sizes(), "chips"
    if split.kind == "classes":
        sizes, unit = split.group_counts(chips.labels), "classes"
        notes.append(
            f"whole classes are held out: {sizes['train']} to train on, {sizes['validation']} others for validation, "
            f"{sizes['test']} others for the test"
        )
    elif data.grouped:
        sizes, unit = split.group_counts(groups), "groups"
    if sizes["test"] < SMALL_TEST_SPLIT:
        all_of = f"{len(chips)} chips" + (f" in {len(np.unique(data.units))} {unit}" if unit != "chips" else "")
        notes.append(
            f"small set: {all_of} leave {sizes['validation']} {unit} for validation and {sizes['test']} for the test; "
            "expect wide intervals, and no fine differences between configs"
        )
    return notes


def _conflicts(chips: ChipSet, pictures: NDArray[np.int64]) -> tuple[str, ...]:
    """A warning where pictures, numbered by `pictures` (N,), stand in more than one class: one label is wrong."""
    held, first = np.unique(np.stack([pictures, chips.labels]), axis=1, return_index=True)
    double = np.flatnonzero(np.bincount(held[0]) > 1)
    if not len(double):
        return ()
    where = [first[held[0] == picture] for picture in double[:5]]
    shown = [" = ".join(chips.name(int(index)) for index in both) for both in where]
    shown += [f"and {len(double) - 5} more"] if len(double) > 5 else []
    return (f"{len(double)} pictures stand in more than one class: {', '.join(shown)}; mend their labels",)
