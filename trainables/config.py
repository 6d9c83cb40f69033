"""One configuration of the Siamese verifier, whole and frozen: what a trial trains and `best.json` stores.

What any config can do is in base_config.py; here are the values of this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.base_config import Checked, Config, number, one_of, switch, text
from trainables.errors import ConfigError

SIDE = 75  # of a chip, as the paper's network takes it
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


@dataclass(frozen=True)
class Loss(Checked):
    """Which loss is minimised: `bce`, `contrastive` or `koch` (trainables/losses/ has the formulas).

    `margin` is read by `contrastive`, a distance between embeddings; the `l2_` factors by `koch`, one for each layer.
    """

    kind: str = one_of("bce", "contrastive", "koch")
    margin: float = number(1.0, 1e-3)
    l2_conv1: float = number(1e-4, 0.0)
    l2_conv2: float = number(1e-4, 0.0)
    l2_conv3: float = number(1e-4, 0.0)
    l2_fc1: float = number(1e-4, 0.0)
    l2_out: float = number(1e-4, 0.0)


@dataclass(frozen=True)
class Network(Checked):
    """Which `encoder` makes an embedding of a chip (trainables/encoders/), and what is added to it: nothing by default.

    `batch_norm` after each convolution, which `small` and `resnet18` have without asking; dropout with probability
    `dropout_conv` on what the convolution blocks hand on, and `dropout_out` on the differences that the head reads.
    `width` (channels of the first block) and `depth` (blocks) are read by `small`, `embedding` (numbers a chip is
    described by) by `small` and `resnet18`. `head` compares two embeddings: `l1`, their absolute differences weighted
    by a linear layer, as the paper's; or `distance`, how far apart they lie as unit vectors (trainables/model.py).
    The encoder `own` is a user's: `own` is its FILE.py:NAME, `source` the text of that file, which is all that a trial,
    a checkpoint or a kept verifier needs of it. A config with another encoder has neither.
    """

    encoder: str = one_of(*ENCODERS)
    own: str = text("")
    source: str = text("")
    batch_norm: bool = switch(False)
    dropout_conv: float = number(0.0, 0.0, 0.95)
    dropout_out: float = number(0.0, 0.0, 0.95)
    width: int = number(16, 1, 256)
    depth: int = number(4, 1, 8)
    embedding: int = number(64, 1, 4096)
    head: str = one_of("l1", "distance")


@dataclass(frozen=True)
class Data(Checked):
    """How a chip is shown to the network: its `side` in pixels, and without colour if `grey`; and beside which others.

    In training each chip has the same `partners` in every epoch (`fixed`, as in the report, section 1.1), or `fresh`
    ones, by the same rule. Validation and test pairs are always the same.
    """

    side: int = number(SIDE, 8, 512)
    grey: bool = switch(False)
    partners: str = one_of("fixed", "fresh")

    @property
    def read_at(self) -> int:
        """The side at which images are read for this: no less, nor less than the paper's, and whole in `BLOCKS`."""
        return max(SIDE, -(-self.side // BLOCKS) * BLOCKS)


@dataclass(frozen=True)
class Optimiser(Checked):
    """Adam; `weight_decay` is torch's L2 form, added to the gradient (report, section 1.6).

    A gradient whose norm, over all weights together, is larger than `clip_norm` is scaled down to it before the step;
    0: never (playbook: gradient clipping).
    """

    kind: str = one_of("adam")
    lr: float = number(1e-3, 0.0)
    weight_decay: float = number(0.0, 0.0)
    clip_norm: float = number(0.0, 0.0)


@dataclass(frozen=True)
class Schedule(Checked):
    """Learning rate over epochs; `gamma` is read by `exponential`, `floor` (last / first rate) by `cosine`.

    Over the first `warmup` epochs, step by step, the rate rises from nearly 0 to the schedule's; 0: it does not
    (playbook: learning rate warm-up).
    """

    kind: str = one_of("constant", "exponential", "cosine")
    gamma: float = number(0.9, 0.0, 1.0)
    floor: float = number(0.0, 0.0, 1.0)
    warmup: float = number(0.0, 0.0)


@dataclass(frozen=True)
class Augmentation(Checked):
    """Each transform that is on hits a chip with probability `theta`, by its own draw (report, section 1.2).

    Off by default, and not for the paper's encoder, are those that pictures of things want: `crop`, a window anywhere
    whose sides lack at most this share of the chip's; `turn`, by at most so many degrees either way; and `brightness`,
    pixels times 1 - to 1 + this.
    """

    theta: float = number(0.0, 0.0, 1.0)
    horizontal_flip: bool = switch(True)
    vertical_flip: bool = switch(True)
    greyscale: bool = switch(True)
    crop: float = number(0.0, 0.0, 0.9)
    turn: float = number(0.0, 0.0, 180.0)
    brightness: float = number(0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Init(Checked):
    """How weights start: `default` is torch's, `he` the paper's (section 1.4); see trainables/initialisers/.

    `weights` is a file of weights that `resnet18` starts with in place of drawn ones, as torchvision keeps them
    (.pth, .safetensors); its linear layer and what compares are drawn. Other encoders do not read it.
    """

    kind: str = one_of("default", "he", "he_fan_in", "koch")
    weights: str = text("")


@dataclass(frozen=True)
class Ensemble(Checked):
    """How many networks are trained for one answer, and how they become one (report, section 1.9).

    `average` averages their probabilities; `best` keeps the one network that validates best. Every second member starts
    with `second_init`, the others with `init.kind`; each has a seed of its own.
    """

    members: int = number(1, 1, 5)
    combine: str = one_of("best", "average")
    second_init: str = one_of("same", "default", "he", "he_fan_in", "koch")


@dataclass(frozen=True)
class TrialConfig(Config, task=""):
    """Everything that decides a training run: same config, same data, same CPU result to the bit.

    The defaults are the paper's baseline (section 1.9): Adam at 0.001, no schedule, no augmentation, 20 epochs,
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
    batch_size: int = number(64, 1)
    epochs: int = number(20, 1)
    seed: int = number(0, 0, 2**63 - 1)

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


def of_verifier(config: Config) -> TrialConfig:
    """Return `config`, which must be the verifier's: what follows knows no other task."""
    if not isinstance(config, TrialConfig):
        raise ConfigError(f"this is for the verifier's configs; {type(config).__name__} is of the task {config.task}")
    return config


def has_own_encoder(config: Config) -> bool:
    """Return whether its encoder is a user's own."""
    return isinstance(config, TrialConfig) and config.network.encoder == OWN
