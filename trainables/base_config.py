"""What the config of any task is: a frozen dataclass whose values are named by paths and checked as it is made.

A value is named by its path ("optimiser.lr"); search spaces, CSV columns and overrides all use these paths. The legal
values stand beside each field as data:

    @dataclass(frozen=True)
    class CurveConfig(Config, task="curve"):
        kind: str = one_of("relu", "tanh")
        lr: float = number(1e-2, 0.0)
        epochs: int = number(20, 1)
        seed: int = number(0, 0)

A value may also stand in a part, a frozen dataclass of its own that inherits `Checked`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any, ClassVar, Self

from trainables.errors import ConfigError

TASK = "task"  # what a config in a file is of; one that says nothing is the verifier's

_KINDS: dict[str, type[Config]] = {}  # of config, by task: a class that is defined is known


def one_of(default: str, *others: str) -> Any:
    """Return a field that holds one of these words."""
    return field(default=default, metadata={"choices": (default, *others)})


def switch(default: bool) -> Any:
    """Return a field that is true or false."""
    return field(default=default, metadata={"switch": True})


def text(default: str) -> Any:
    """Return a field that holds any text."""
    return field(default=default, metadata={"text": True})


def number(default: float, low: float, high: float = math.inf) -> Any:
    """Return a field for a number from `low` to `high`, a whole one where the default is whole."""
    return field(default=default, metadata={"low": low, "high": high})


class Checked:
    """Checks every field against its metadata; a part of a config, a frozen dataclass, inherits this and no more."""

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            _check(f"{type(self).__name__.lower()}.{entry.name}", value, entry)
            if isinstance(entry.default, float):  # JSON may say 0 for 0.0; a config holds one of them
                object.__setattr__(self, entry.name, float(value))


def _check(name: str, value: object, entry: dataclasses.Field[Any]) -> None:
    if "choices" in entry.metadata:
        if value not in entry.metadata["choices"]:
            raise ConfigError(f"{name} is {value!r}; it can be {', '.join(entry.metadata['choices'])}")
    elif "switch" in entry.metadata:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}; it must be true or false")
    elif "text" in entry.metadata:
        if not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}; it must be text")
    elif "low" in entry.metadata:
        low, high = entry.metadata["low"], entry.metadata["high"]
        whole = isinstance(entry.default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ConfigError(f"{name} is {value!r}; it must be a {'whole ' if whole else ''}number")
        if not (low <= value <= high and abs(value) <= sys.float_info.max):
            raise ConfigError(f"{name} is {value!r:.60}; it must lie in {low:g} to {high:g}")


class Config(Checked):
    """Everything that decides a training run; a frozen dataclass with `epochs`, `seed` and values of its task's own.

    A class names its task (`class CurveConfig(Config, task="curve")`), by which files name the class.
    """

    task: ClassVar[str] = ""
    epochs: int
    seed: int

    def __init_subclass__(cls, task: str | None = None) -> None:
        if task is not None:  # a class that came by pickle is made without, and has its name among its values
            cls.task = task
            _KINDS[task] = cls

    def value(self, path: str) -> Any:
        """Return the value at a path such as "optimiser.lr"; raise ConfigError for an unknown one."""
        value: Any = self
        for name in path.split("."):
            if name not in getattr(value, "__dataclass_fields__", {}):
                near = difflib.get_close_matches(path, self.by_path(), 1)
                mean = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(f"unknown configuration path {path!r}{mean}")
            value = getattr(value, name)
        if dataclasses.is_dataclass(value):
            raise ConfigError(f"configuration path {path!r} names a group; name one value, such as {path}.kind")
        return value

    @classmethod
    def check_value(cls, path: str, value: object) -> None:
        """Raise ConfigError for no path, or a value that no config could have there, whatever its other values."""
        plain = cls()
        plain.value(path)
        head, _, tail = path.rpartition(".")
        part = getattr(plain, head) if head else plain
        entry = getattr(part, "__dataclass_fields__", {})[tail]
        _check(path, value, entry)

    def override(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with each path of `values` set; raise ConfigError for an unknown path or bad value."""
        parts: dict[str, Any] = {}  # all first, then the whole: one value may be legal only beside another
        for path, value in values.items():
            self.value(path)
            head, _, tail = path.partition(".")
            part = parts.get(head, getattr(self, head))
            parts[head] = dataclasses.replace(part, **{tail: value}) if tail else value
        return dataclasses.replace(self, **parts)  # type: ignore[type-var]

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, ready for JSON; those of a task of one's own name it."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {TASK: self.task, **values} if self.task else dict(values)

    def by_path(self) -> dict[str, Any]:
        """Return every value by its path, such as "optimiser.lr"."""
        return _by_path(dataclasses.asdict(self))  # type: ignore[call-overload]

    def identity(self) -> dict[str, Any]:
        """Return nested plain values that tell this config from others, for what is drawn from a config."""
        return self.to_dict()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the config that `to_dict` wrote, of the task that it names; what is left out is that class's default.

        Raises ConfigError for a task that is not known here, an unknown path, or a value outside its range.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"a config is a JSON object, not {type(values).__name__}")
        kind = _KINDS.get(values.get(TASK, "")) if cls is Config else cls
        if kind is None or not issubclass(kind, cls) or values.get(TASK, "") != kind.task:
            raise ConfigError(
                f"a config of the task {values.get(TASK, '')!r}; import what defines that first, and read it in Python"
            )
        return kind().override(_by_path({name: value for name, value in values.items() if name != TASK}))


def stand_in(values: Mapping[str, Any]) -> None:
    """Have configs of the task that a config in a file names read as plain values, none of them checked.

    For a reader that shows them and does not train: the task's own code is not there.
    """

    def fields_of(part: Mapping[str, Any]) -> list[tuple[str, type, Any]]:
        return [(name, object, field(default=part_of(own))) for name, own in part.items() if name != TASK]

    def part_of(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        return dataclasses.make_dataclass("Part", fields_of(value), bases=(Checked,), frozen=True)()

    named = {TASK: values[TASK]}
    _KINDS[values[TASK]] = dataclasses.make_dataclass(
        "StandIn", fields_of(values), bases=(Config,), namespace=named, frozen=True
    )


def check_some(paths: Collection[str], values: Collection[tuple[str, object]]) -> None:
    """Raise ConfigError where the configs of no task have these paths, and could have these values at theirs.

    What it says is of the verifier's.
    """
    refused = []
    for kind in _KINDS.values():
        try:
            for path in paths:
                kind().value(path)
            for path, value in values:
                kind.check_value(path, value)
            return
        except ConfigError as error:
            refused.append(error)
    raise refused[0]


def _by_path(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for head, part in values.items():
        flat |= {f"{head}.{key}": v for key, v in part.items()} if isinstance(part, Mapping) else {head: part}
    return flat
