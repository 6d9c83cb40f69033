"""Frozen values to and from plain JSON values: one reader and one writer for whatever a file or a config holds.

`to_plain` writes any frozen dataclass; `from_plain` makes one again and checks every value against the field's type, so
a file that was damaged or edited is refused by the name of the value that is wrong.

Where a value may be of several classes, each has a class variable `kind: ClassVar[str]`, which is written beside its
fields and says which one is read.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from trainables.errors import InputError

T = TypeVar("T")

WORDS: Mapping[Any, str] = {int: "int", float: "float", str: "str", bool: "bool", type(None): "null"}


def to_plain(value: Any) -> Any:
    """Return `value` as JSON takes it; a class with a `to_dict` of its own is asked for it."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = _kind(type(value))
        own = {entry.name: to_plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
        return ({"kind": kind} if kind else {}) | own
    if isinstance(value, Mapping):
        return {str(name): to_plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value


def from_plain(kind: type[T], value: object, where: str = "") -> T:
    """Return the `kind` that `value` describes; `where` is how an error names it.

    A name that the class does not know is passed over (a later version wrote it); one that is missing takes the field's
    default. Raises InputError for a value of another type, or a missing one without a default.
    """
    made: T = _made(kind, value, where)
    return made


def _made(kind: Any, value: object, where: str) -> Any:
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of_several(get_args(kind), value, where)
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(where, value, " or ".join(map(repr, get_args(kind))))
        return value
    if origin is tuple:
        return _tuple(get_args(kind), value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        content = _checked(value, Mapping, "dict", where)
        return {name: _made(get_args(kind)[1], part, f"{where}.{name}") for name, part in content.items()}
    if hasattr(kind, "from_dict"):
        return kind.from_dict(_checked(value, Mapping, "dict", where))
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _checked(value, Mapping, "dict", where), where)
    return _simple(kind, value, where)


def _one_of_several(kinds: Sequence[Any], value: object, where: str) -> Any:
    """A value of the first type that takes it; None is taken only for null."""
    if value is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    if len(named := {_kind(kind): kind for kind in rest}) > 1 and None not in named:
        said = value.get("kind") if isinstance(value, Mapping) else None
        if said not in named:
            raise _wrong(where, value, f"a kind: {', '.join(map(str, named))}")
        return _made(named[said], value, where)
    for kind in rest[:-1]:
        try:
            return _made(kind, value, where)
        except InputError:
            continue
    return _made(rest[-1], value, where)


def _tuple(kinds: Sequence[Any], value: object, where: str) -> tuple[Any, ...]:
    parts = _checked(value, list | tuple, "list", where)
    if kinds[1:] == (...,):
        return tuple(_made(kinds[0], part, f"{where}[{place}]") for place, part in enumerate(parts))
    if len(parts) != len(kinds):
        raise _wrong(where, value, f"{len(kinds)} values")
    return tuple(
        _made(kind, part, f"{where}[{place}]") for place, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    )


def _dataclass(kind: Any, content: Mapping[str, Any], where: str) -> Any:
    hints, values = _hints(kind), {}
    for entry in dataclasses.fields(kind):
        name = f"{where}.{entry.name}" if where else entry.name
        if entry.name in content:
            values[entry.name] = _made(hints[entry.name], content[entry.name], name)
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise InputError(f"{name} is missing")
    return kind(**values)


def _kind(made: Any) -> str | None:
    """The word that tells values of this class from those of others, if it has one; a field called so is none."""
    if not dataclasses.is_dataclass(made) or any(entry.name == "kind" for entry in dataclasses.fields(made)):
        return None
    word = getattr(made, "kind", None)
    return word if isinstance(word, str) else None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _simple(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, bool):
        raise _wrong(where, value, "int")
    return _checked(value, kind, WORDS.get(kind, str(kind)), where)


def _checked(value: object, kind: Any, word: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(where, value, word)
    return value


def _wrong(where: str, value: object, wanted: str) -> InputError:
    return InputError(f"{where} is {value!r:.60}, expected {wanted}")
