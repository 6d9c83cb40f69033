"""One configuration of the Siamese verifier, whole and frozen: what a trial trains and `best.json` stores.

A value is named by its path ("optimiser.lr"); search spaces, CSV columns and overrides all use these paths. The legal
values stand beside each field as data and are checked once, when the object is made.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.errors import ConfigError

SIDE = 75  # of a chip, as the report's network takes it
BLOCKS = 15  # a side, to tell near-duplicates by (trainables/splits.py): a set is read at a multiple of it

# the sides that each encoder takes, from and to
ENCODERS: Mapping[str, tuple[int, int]] = {
    "report": (SIDE, SIDE),
    "small": (8, 512),
    "koch": (105, 105),
    "resnet18": (32, 512),
    "own": (8, 512),
}
OWN = "own"  # a user's, from a file of theirs

# values other than the default that some encoders alone take
_PICTURES = ("small", "koch", "resnet18", "own")
TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "network.batch_norm": ("report", "koch"),  # the others have it, or not, by themselves
    "augmentation.crop": _PICTURES,
    "augmentation.turn": _PICTURES,
    "augmentation.brightness": _PICTURES,
}

# paths that configs of older studies lack
LATER = frozenset(
    {
        "data.side",
        "data.grey",
        "data.partners",
        "augmentation.crop",
        "augmentation.turn",
        "augmentation.brightness",
        "network.encoder",
        "network.own",
        "network.source",
        "network.width",
        "network.depth",
        "network.embedding",
        "network.head",
        "init.weights",
        "optimiser.clip_norm",
        "schedule.warmup",
    }
)


def _one_of(default: str, *others: str) -> Any:
    return field(default=default, metadata={"choices": (default, *others)})


def _switch(default: bool) -> Any:
    return field(default=default, metadata={"switch": True})


def _text(default: str) -> Any:
    return field(default=default, metadata={"text": True})


def _number(default: float, low: float, high: float = math.inf) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


class _Checked:
    """Checks every field against its metadata; a part of a `TrialConfig` inherits this and nothing else."""

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            _check(f"{type(self).__name__.lower()}.{entry.name}", value, entry)
            if isinstance(entry.default, float):  # JSON may say 0 for 0.0; a config holds one of them
                object.__setattr__(self, entry.name, float(value))


def check_value(path: str, value: object) -> None:
    """Raise ConfigError for a value that no config could have at `path`, whatever its other values, or no such path."""
    _value(TrialConfig(), path)
    head, _, tail = path.rpartition(".")
    part = getattr(TrialConfig(), head) if head else TrialConfig()
    entry = next(entry for entry in dataclasses.fields(part) if entry.name == tail)
    _check(path, value, entry)


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


@dataclass(frozen=True)
class Loss(_Checked):
    """Which loss is minimised: `bce`, `contrastive` or `koch` (trainables/losses/ has the formulas).

    `margin` is read by `contrastive`, a distance between embeddings; the `l2_` factors by `koch`, one for each layer.
    """

    kind: str = _one_of("bce", "contrastive", "koch")
    margin: float = _number(1.0, 1e-3)
    l2_conv1: float = _number(1e-4, 0.0)
    l2_conv2: float = _number(1e-4, 0.0)
    l2_conv3: float = _number(1e-4, 0.0)
    l2_fc1: float = _number(1e-4, 0.0)
    l2_out: float = _number(1e-4, 0.0)


@dataclass(frozen=True)
class Network(_Checked):
    """Which `encoder` makes an embedding of a chip (trainables/encoders/), and what is added to it: nothing by default.

    `batch_norm` after each convolution, which `small` and `resnet18` have without asking; dropout with probability
    `dropout_conv` on what the convolution blocks hand on, and `dropout_out` on the differences that the head reads.
    `width` (channels of the first block) and `depth` (blocks) are read by `small`, `embedding` (numbers a chip is
    described by) by `small` and `resnet18`. `head` compares two embeddings: `l1`, their absolute differences weighted
    by a linear layer, as the report's; or `distance`, how far apart they lie as unit vectors (trainables/model.py).
    The encoder `own` is a user's: `own` is its FILE.py:NAME, `source` the text of that file, which is all that a trial,
    a checkpoint or a kept verifier needs of it. A config with another encoder has neither.
    """

    encoder: str = _one_of(*ENCODERS)
    own: str = _text("")
    source: str = _text("")
    batch_norm: bool = _switch(False)
    dropout_conv: float = _number(0.0, 0.0, 0.95)
    dropout_out: float = _number(0.0, 0.0, 0.95)
    width: int = _number(16, 1, 256)
    depth: int = _number(4, 1, 8)
    embedding: int = _number(64, 1, 4096)
    head: str = _one_of("l1", "distance")


@dataclass(frozen=True)
class Data(_Checked):
    """How a chip is shown to the network: its `side` in pixels, and without colour if `grey`; and beside which others.

    In training each chip has the same `partners` in every epoch (`fixed`, as in the report, section 1.1), or `fresh`
    ones, by the same rule. Validation and test pairs are always the same.
    """

    side: int = _number(SIDE, 8, 512)
    grey: bool = _switch(False)
    partners: str = _one_of("fixed", "fresh")

    @property
    def read_at(self) -> int:
        """The side at which images are read for this: no less, nor less than the report's, and whole in `BLOCKS`."""
        return max(SIDE, -(-self.side // BLOCKS) * BLOCKS)


@dataclass(frozen=True)
class Optimiser(_Checked):
    """Adam; `weight_decay` is torch's L2 form, added to the gradient (report, section 1.6).

    A gradient whose norm, over all weights together, is larger than `clip_norm` is scaled down to it before the step;
    0: never (playbook: gradient clipping).
    """

    kind: str = _one_of("adam")
    lr: float = _number(1e-3, 0.0)
    weight_decay: float = _number(0.0, 0.0)
    clip_norm: float = _number(0.0, 0.0)


@dataclass(frozen=True)
class Schedule(_Checked):
    """Learning rate over epochs; `gamma` is read by `exponential`, `floor` (last / first rate) by `cosine`.

    Over the first `warmup` epochs, step by step, the rate rises from nearly 0 to the schedule's; 0: it does not
    (playbook: learning rate warm-up).
    """

    kind: str = _one_of("constant", "exponential", "cosine")
    gamma: float = _number(0.9, 0.0, 1.0)
    floor: float = _number(0.0, 0.0, 1.0)
    warmup: float = _number(0.0, 0.0)


@dataclass(frozen=True)
class Augmentation(_Checked):
    """Each transform that is on hits a chip with probability `theta`, by its own draw (report, section 1.2).

    Off by default, and not for the report's encoder, are those that pictures of things want: `crop`, a window anywhere
    whose sides lack at most this share of the chip's; `turn`, by at most so many degrees either way; and `brightness`,
    pixels times 1 - to 1 + this.
    """

    theta: float = _number(0.0, 0.0, 1.0)
    horizontal_flip: bool = _switch(True)
    vertical_flip: bool = _switch(True)
    greyscale: bool = _switch(True)
    crop: float = _number(0.0, 0.0, 0.9)
    turn: float = _number(0.0, 0.0, 180.0)
    brightness: float = _number(0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Init(_Checked):
    """How weights start: `default` is torch's, `he` the report's (section 1.4); see trainables/initialisers/.

    `weights` is a file of weights that `resnet18` starts with in place of drawn ones, as torchvision keeps them
    (.pth, .safetensors); its linear layer and what compares are drawn. Other encoders do not read it.
    """

    kind: str = _one_of("default", "he", "he_fan_in", "koch")
    weights: str = _text("")


@dataclass(frozen=True)
class Ensemble(_Checked):
    """How many networks are trained for one answer, and how they become one (report, section 1.9).

    `average` averages their probabilities; `best` keeps the one network that validates best. Every second member starts
    with `second_init`, the others with `init.kind`; each has a seed of its own.
    """

    members: int = _number(1, 1, 5)
    combine: str = _one_of("best", "average")
    second_init: str = _one_of("same", "default", "he", "he_fan_in", "koch")


@dataclass(frozen=True)
class TrialConfig(_Checked):
    """Everything that decides a training run: same config, same data, same CPU result to the bit.

    The defaults are the report's baseline (section 1.9): Adam at 0.001, no schedule, no augmentation, 20 epochs,
    batches of 64 pairs.
    """

    loss: Loss = field(default_factory=Loss)
    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=Network)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    init: Init = field(default_factory=Init)
    ensemble: Ensemble = field(default_factory=Ensemble)
    batch_size: int = _number(64, 1)
    epochs: int = _number(20, 1)
    seed: int = _number(0, 0, 2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network.encoder == OWN and not (self.network.own and self.network.source):
            raise ConfigError("network.encoder is own; --encoder FILE.py:NAME says which that is")
        if self.network.encoder != OWN and (self.network.own or self.network.source):
            object.__setattr__(self, "network", dataclasses.replace(self.network, own="", source=""))
        least, most = ENCODERS[self.network.encoder]
        if not least <= self.data.side <= most:
            takes = f"{least}" if least == most else f"{least} to {most}"
            raise ConfigError(f"data.side is {self.data.side}; the encoder {self.network.encoder} takes {takes}")
        for path, encoders in TAKEN_BY.items():
            value = self.value(path)
            if value and self.network.encoder not in encoders:
                raise ConfigError(f"{path} is {value}; {', '.join(encoders)} take it, {self.network.encoder} does not")

    def value(self, path: str) -> Any:
        """Return the value at a path such as "optimiser.lr"; raise ConfigError for an unknown one."""
        return _value(self, path)

    def override(self, values: Mapping[str, Any]) -> TrialConfig:
        """Return a copy with each path of `values` set; raise ConfigError for an unknown path or bad value."""
        parts: dict[str, Any] = {}  # all first, then the whole: one value may be legal only beside another
        for path, value in values.items():
            _value(self, path)
            head, _, tail = path.partition(".")
            part = parts.get(head, getattr(self, head))
            parts[head] = dataclasses.replace(part, **{tail: value}) if tail else value
        return dataclasses.replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def by_path(self) -> dict[str, Any]:
        """Return every value by its path, such as "optimiser.lr"."""
        return _by_path(self.to_dict())

    def identity(self) -> dict[str, Any]:
        """Return nested plain values that tell this config from others, for what is drawn from a config.

        They are those of the config as it was first written: a path that was added since counts only where it is not
        its default, so that adding one changes nothing that was drawn before.
        """
        plain, values = TrialConfig(), self.to_dict()
        for path in LATER:
            head, _, tail = path.partition(".")
            if self.value(path) == plain.value(path):
                del values[head][tail]
        return {name: part for name, part in values.items() if part != {}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialConfig:
        """Return the config that `to_dict` wrote; what is left out is the baseline's.

        Raises ConfigError for an unknown path, and for a value outside its range.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"a config is a JSON object, not {type(values).__name__}")
        return cls().override(_by_path(values))


def _by_path(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for head, part in values.items():
        flat |= {f"{head}.{key}": v for key, v in part.items()} if isinstance(part, Mapping) else {head: part}
    return flat


def _value(config: TrialConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        names = {entry.name for entry in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
        if name not in names:
            near = difflib.get_close_matches(path, config.by_path(), 1)
            raise ConfigError(f"unknown configuration path {path!r}" + (f"; did you mean {near[0]}?" if near else ""))
        value = getattr(value, name)
    if dataclasses.is_dataclass(value):
        raise ConfigError(f"configuration path {path!r} names a group; name one value, such as {path}.kind")
    return value
