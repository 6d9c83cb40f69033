"""What a trial leaves behind: one `EpochMetrics` an epoch, one `TrialResult` at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from trainables.base_config import Config
from trainables.errors import ConfigError

Status = Literal["finished", "stopped", "infeasible", "failed", "interrupted"]


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch as measured.

    Losses are means over pairs, `lr` is the rate of the last step, `seconds` the wall time of training and validation.
    `grad_norm` is the arithmetic mean over the steps of the norm of the whole gradient before clipping (and over the
    members of an ensemble); None where it is no finite number, or was not measured yet, as in older studies. The
    verifier measures all of them; what another task does not measure is None, and `own` has its own scores by name.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float | None = None
    val_jaccard: float | None = None
    val_cosine: float | None = None
    lr: float | None = None
    seconds: float = 0.0
    grad_norm: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochMetrics:
        """Return the metrics that `to_dict` wrote; raise KeyError where one is missing that is always there."""
        return cls(**{name: values[name] for name in EPOCH_ENTRIES if name in values or name not in LATER})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a record; `own` only where there are any."""
        values = {name: getattr(self, name) for name in EPOCH_FIELDS}
        return values | ({"own": dict(self.own)} if self.own else {})


LATER = frozenset({"grad_norm", "own"})  # what older records lack
EPOCH_ENTRIES = tuple(entry.name for entry in fields(EpochMetrics))
EPOCH_FIELDS = tuple(name for name in EPOCH_ENTRIES if name != "own")  # the columns of epochs.csv


@dataclass(frozen=True)
class Metric:
    """A column of `EpochMetrics`, or one of its `own`, and which way is better: every comparison asks this object."""

    name: str
    goal: Literal["min", "max"]

    def __post_init__(self) -> None:
        if self.goal not in ("min", "max"):
            raise ConfigError(f"metric {self.name!r}, {self.goal!r}: the goal is min or max")

    def check_among(self, own: Sequence[str] = ()) -> None:
        """Raise ConfigError where no trial is measured by this: it is no `val_*`, and none of a task's `own`."""
        known = (*(name for name in EPOCH_FIELDS if name.startswith("val_")), *own)
        if self.name not in known:
            raise ConfigError(f"metric {self.name!r}: one of {', '.join(known)}")

    def value(self, epoch: EpochMetrics) -> float:
        """Return this metric of one epoch."""
        value = epoch.own[self.name] if self.name in epoch.own else getattr(epoch, self.name)
        return float(value)

    def gain(self, candidate: float, other: float) -> float:
        """Return how much better `candidate` is than `other`: positive is better, whatever the goal."""
        return candidate - other if self.goal == "max" else other - candidate

    def best(self, epochs: Sequence[EpochMetrics]) -> EpochMetrics | None:
        """Return the best epoch, the earliest among equals; None if there is none (playbook: retrospective choice)."""
        sign = -1.0 if self.goal == "max" else 1.0
        return min(epochs, key=lambda epoch: sign * self.value(epoch), default=None)


@dataclass(frozen=True)
class Trial:
    """One configuration to train: its number in the study, its arm, and what it changes in the starting config."""

    number: int
    arm: str
    overrides: Mapping[str, Any]
    config: Config


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. `best` is its best epoch so far, None if it never finished one.

    `stopped` is by the scheduler, `infeasible` diverged, `failed` met an error, which `reason` names. What Ctrl-C cut
    off is `interrupted`: that says nothing about its config.
    """

    trial: Trial
    status: Status
    epochs: int
    best: EpochMetrics | None
    seconds: float
    reason: str = ""


def trial_result(
    trial: Trial, status: Status, epochs: Sequence[EpochMetrics], metric: Metric, reason: str = ""
) -> TrialResult:
    """Return how a trial ended, its figures taken from its epochs."""
    if status not in get_args(Status):
        raise ValueError(f"unknown status {status!r}")
    return TrialResult(trial, status, len(epochs), metric.best(epochs), sum(epoch.seconds for epoch in epochs), reason)


@dataclass(frozen=True)
class History:
    """What a record knows of a trial: its epochs in order, how it ended, and what Ray calls it.

    `result` is None while it has not ended; `ray` is the name it had when it was last handed to Ray.
    """

    trial: Trial
    epochs: tuple[EpochMetrics, ...] = ()
    result: TrialResult | None = None
    ray: str = ""
