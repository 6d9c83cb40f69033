"""How a user's image files lie: which folder is a class, which a group, which only a split. Names alone, no pixels.

A class is the first folder below what all images share. Folders inside a class are groups (a patient, a scene, a
video): what one of them holds is alike for reasons that have nothing to do with the class.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainables.errors import InputError, listed, printable

BY_FOLDER, BY_NOTHING, BY_PREFIX = "folder", "none", "prefix:"

_SPLIT = re.compile(
    r"(?:(train)(?:ing)?|(test)(?:ing)?|(val|dev|eval|holdout|valid|validation|evaluation))(?:set|data)?"
)
_FILLERS = frozenset({"set", "data", "dataset", "split", "folder", "dir"}) | frozenset(
    {"image", "images", "img", "imgs", "picture", "pictures", "photo", "photos"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """What each image file's place says: its class, and its group (None: it stands alone).

    `groups` is None where nothing groups the images; `empty` are folders in the place of a class without an image.
    """

    classes: tuple[str, ...]
    groups: tuple[str | None, ...] | None
    empty: Mapping[str, PurePosixPath]
    notes: tuple[str, ...]


def group_by(text: str) -> str:
    """Return what `--group-by` says if it can be used: folder, none or prefix:REGEX; raise InputError otherwise."""
    if text.startswith(BY_PREFIX):
        try:
            re.compile(text.removeprefix(BY_PREFIX))
        except re.error as error:
            raise InputError(f"--group-by {text}: no regular expression ({error})") from error
        if text != BY_PREFIX:
            return text
    elif text in (BY_FOLDER, BY_NOTHING):
        return text
    raise InputError(f"--group-by {text!r}: expected folder, none or prefix:REGEX, as in prefix:patient\\d+")


def lay_out(
    images: Sequence[PurePosixPath],
    folders: Collection[PurePosixPath],
    source: str,
    by: str = BY_FOLDER,
    merge_splits: bool = False,
) -> Layout:
    """Return the classes and groups of `images`, paths below the user's folder; `folders` are all folders there.

    Raises InputError, naming the folder and what would be right, where a class or a group cannot be told.
    """
    places = [path.parts[:-1] for path in images]
    shared = _shared(places)
    top = {parts[shared] for parts in places if len(parts) > shared}
    beside = _beside(folders, images[0].parts[:shared])
    notes = [f"passed over folders without an image, beside the one that holds all: {listed(beside)}"] if beside else []
    splits = _splits(top, [parts[shared:] for parts in places])
    if splits and not merge_splits:
        raise InputError(
            f"{source}: the folders {listed(splits)} look like a split, not like classes; "
            "give one of them, or all of them as one set with --merge-splits"
        )
    if splits:
        places = _merged(places, shared, splits, top, source)
        notes.append(f"merged the folders {listed(splits)} (--merge-splits)")
        shared = 0
    loose = next((path for path, parts in zip(images, places, strict=True) if len(parts) <= shared), None)
    if loose is not None:
        raise InputError(
            f"{source}: the image {str(loose)!r} lies in no class folder; put each class in a folder of its own"
        )
    inner = [parts[shared + 1 :] for parts in places]
    names, forms = _one_form([parts[shared] for parts in places])
    notes += forms
    _refuse_nested(images, names, inner, source)
    inside = _splits({parts[0] for parts in inner if parts}, inner)
    if inside and not merge_splits:
        raise InputError(
            f"{source}: inside the class folders lie {listed(inside)}, which look like a split; "
            "put the classes of one of them in a folder, or take all as one set with --merge-splits"
        )
    if inside:
        inner = [parts[1:] if parts and parts[0] in inside else parts for parts in inner]
        notes.append(f"merged the folders {listed(inside)} inside the classes (--merge-splits)")
    groups, said = _groups(images, names, inner, by, source)
    empty = {} if splits else _empty(folders, images, images[0].parts[:shared], names)
    return Layout(tuple(map(printable, names)), groups, empty, (*notes, *said))


def _shared(places: Sequence[Parts]) -> int:
    """How many folders all images lie in, before the one that tells classes apart."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in places) and len({parts[shared] for parts in places}) == 1:
        shared += 1
    return shared


def _beside(folders: Collection[PurePosixPath], shared: Parts) -> list[str]:
    """The folders that lie beside those in which all images lie: what may have been meant for a class is told."""
    depths = range(len(shared))
    tops = {
        folder.parts[: depth + 1] for depth in depths for folder in folders if folder.parts[:depth] == shared[:depth]
    }
    return sorted(
        str(PurePosixPath(*top)) for top in tops if top != shared[: len(top)] and top[:-1] == shared[: len(top) - 1]
    )


# --- splits ----------------------------------------------------------------------------------------------------------


def _splits(names: Collection[str], places: Sequence[Parts]) -> list[str]:
    """Those of the folders `names`, first parts of `places`, that are parts of one split; none if they are classes.

    Named like one they must be all of the folders there, or hold folders of the same names.
    """
    families: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if named := _named_as_split(name):
            families[named[1]].append(name)
    alike = max(families.values(), key=len, default=[])
    if len(alike) < 2 or len({_named_as_split(name) for name in alike}) < 2:
        return []
    within = [_classes_within(name, places) for name in alike]
    same = any(one & other for at, one in enumerate(within) for other in within[:at])
    return alike if same or len(alike) == len(names) else []


def _named_as_split(name: str) -> tuple[int, str] | None:
    """Which part of a split a folder's name says, and what else: "seg" of seg_train, nothing of TestSet; or None."""
    words = [word.lower() for word in _WORDS.findall(name)]
    found = [match for word in words if (match := _SPLIT.fullmatch(word))]
    if not found:
        return None
    others = [word for word in words if not _SPLIT.fullmatch(word) and word not in _FILLERS]
    return found[0].lastindex or 0, " ".join(others)


def _classes_within(name: str, places: Sequence[Parts]) -> set[str]:
    own = [parts[1:] for parts in places if parts and parts[0] == name]
    return {parts[_shared(own)] for parts in own if len(parts) > _shared(own)}


def _merged(
    places: Sequence[Parts], shared: int, splits: Sequence[str], top: Collection[str], source: str
) -> list[Parts]:
    """The places without the folders of the split, and without what lies between these and the classes."""
    if others := sorted(set(top) - set(splits)):
        raise InputError(
            f"{source}: {listed(others)} lies beside the split {listed(splits)}; move it out of the folder"
        )
    depth = {}
    for name in splits:
        own = [parts[shared + 1 :] for parts in places if parts[shared] == name]
        depth[name] = shared + 1 + _shared(own)
    return [parts[depth[parts[shared]] :] for parts in places]


# --- classes ---------------------------------------------------------------------------------------------------------


def _one_form(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names that differ only in how Unicode writes a letter (a Mac's and others') are one; said in a note."""
    forms: dict[str, set[str]] = defaultdict(set)
    for name in names:
        forms[unicodedata.normalize("NFC", name)].add(name)
    double = sorted(name for name, written in forms.items() if len(written) > 1)
    notes = [f"one class under two spellings of the same letters (Unicode forms): {listed(double)}"] if double else []
    return [form if (form := unicodedata.normalize("NFC", name)) in double else name for name in names], notes


def _refuse_nested(images: Sequence[PurePosixPath], names: Sequence[str], inner: Sequence[Parts], source: str) -> None:
    """Refuse a class folder that holds the other classes once more, as an archive unpacked into itself does."""
    within: dict[str, set[str]] = defaultdict(set)
    for name, parts in zip(names, inner, strict=True):
        within[name].update(parts[:1])
    for name, folders in within.items():
        others = within.keys() - {name}
        if len(others) > 1 and others <= folders:
            at = names.index(name)
            folder = PurePosixPath(*images[at].parts[: -1 - len(inner[at])])
            raise InputError(
                f"{source}: the folder {str(folder)!r} holds the set once more ({listed(sorted(others))}, "
                f"{names.count(name)} images); remove it, or give that folder alone"
            )


def _empty(
    folders: Collection[PurePosixPath], images: Sequence[PurePosixPath], above: Parts, names: Sequence[str]
) -> dict[str, PurePosixPath]:
    """The folders that stand where classes do and hold no image at all."""
    depth = len(above) + 1
    used = {path.parts[:depth] for path in images}
    siblings = {folder.parts[:depth] for folder in folders if len(folder.parts) >= depth}
    own = sorted(parts for parts in siblings - used if parts[:-1] == above)
    known = {unicodedata.normalize("NFC", name) for name in names}
    return {
        printable(parts[-1]): PurePosixPath(*parts)
        for parts in own
        if unicodedata.normalize("NFC", parts[-1]) not in known
    }


# --- groups ----------------------------------------------------------------------------------------------------------


def _groups(
    images: Sequence[PurePosixPath], names: Sequence[str], inner: Sequence[Parts], by: str, source: str
) -> tuple[tuple[str | None, ...] | None, list[str]]:
    """The group of each image, and what must be said about it."""
    folders = _inner_folders(names, inner)
    if by == BY_FOLDER:
        return folders, []
    notes = []
    if folders is not None:
        apart = len(set(folders) - {None})
        notes = [f"{apart} folders inside the classes are not taken as groups (--group-by {by})"]
    if by == BY_NOTHING:
        return None, notes
    pattern = re.compile(by.removeprefix(BY_PREFIX))
    found = [pattern.match(path.name) for path in images]
    named = tuple((match[1] if pattern.groups else match[0]) if match else None for match in found)
    alone = named.count(None)
    if alone == len(named):
        raise InputError(f"{source}: --group-by {by}: no file name begins so, as {images[0].name!r} does not")
    return named, notes + ([f"{alone} of {len(named)} file names do not begin with {by}: each alone"] if alone else [])


def _inner_folders(names: Sequence[str], inner: Sequence[Parts]) -> tuple[str | None, ...] | None:
    """The folder that tells the images of a class apart; None where every image would be a group of its own.

    A folder that is the only one in every class (`cat/images/1.png`) tells nothing. The same name in two classes is one
    group: a patient may have pictures of both.
    """
    level = 0
    while all(len(parts) > level for parts in inner):
        found = {(name, parts[level]) for name, parts in zip(names, inner, strict=True)}
        if len(found) > len(set(names)):
            break
        level += 1
    groups = tuple(unicodedata.normalize("NFC", parts[level]) if len(parts) > level else None for parts in inner)
    named = [group for group in groups if group is not None]
    return groups if len(set(named)) < len(named) else None
