"""A check's outcome, and what a next round of the search could do about it, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["ok", "note", "warn", "fail"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "note", "ok")  # worst first


@dataclass(frozen=True)
class Widen:
    """Search `path` from `low` to `high`, which is more than before."""

    kind: ClassVar[str] = "widen"
    path: str
    low: float
    high: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"widen {self.path} to {self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class Narrow:
    """Search `path` from `low` to `high`, which is less than before."""

    kind: ClassVar[str] = "narrow"
    path: str
    low: float
    high: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"narrow {self.path} to {self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class MoreTrials:
    """Search with `factor` times as many trials; in `arm` alone, or in all of them."""

    kind: ClassVar[str] = "more trials"
    factor: float
    arm: str | None = None

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"{self.factor:g} times as many trials" + (f" in arm {self.arm}" if self.arm else "")


@dataclass(frozen=True)
class Longer:
    """Train for `factor` times as many epochs, with the schedule stretched to them."""

    kind: ClassVar[str] = "longer"
    factor: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"train {self.factor:g} times as long (--epochs), then tune the decay again"


@dataclass(frozen=True)
class Shorter:
    """Train for `factor` (below 1) times as many epochs."""

    kind: ClassVar[str] = "shorter"
    factor: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"{self.factor:g} times the epochs would do"


@dataclass(frozen=True)
class WarmUp:
    """Let the rate rise from 0 over the first `share` of all steps (playbook: learning rate warm-up)."""

    kind: ClassVar[str] = "warm-up"
    share: float = 0.05

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        at = f"schedule.warmup at {self.share:.0%} of the epochs"
        return f"prefer lower rates, or warm up: {at}, in a config for --start"


@dataclass(frozen=True)
class Clip:
    """Clip gradients at this `quantile` of their logged norms (playbook: gradient clipping)."""

    kind: ClassVar[str] = "clip"
    quantile: float = 0.9

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        at = f"optimiser.clip_norm at the {self.quantile:.0%} quantile of grad_norm in epochs.csv"
        return f"prefer lower rates, or clip gradients: {at}, in a config for --start"


@dataclass(frozen=True)
class Anneal:
    """Let the rate fall towards the end of training (a cosine or exponential schedule)."""

    kind: ClassVar[str] = "anneal"

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return "let the rate fall towards the end (a cosine or exponential schedule)"


@dataclass(frozen=True)
class Regularise:
    """Add augmentation, weight decay or dropout, then tune the rate again."""

    kind: ClassVar[str] = "regularise"

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return "regularise (augmentation, weight decay, dropout), then tune the rate again"


Remedy = Widen | Narrow | MoreTrials | Longer | Shorter | WarmUp | Clip | Anneal | Regularise


@dataclass(frozen=True)
class Finding:
    """One check's outcome: `evidence` in numbers, `advice` empty where nothing needs doing.

    `remedy` is what a next round of the search could carry out of the advice; None where it is a person's to do. A
    note is a check that could not be made or was not decided, except with a remedy: then it is a saving.
    """

    id: str
    severity: Severity
    evidence: str
    advice: str = ""
    remedy: Remedy | None = None


def not_judged(check: str, why: str) -> Finding:
    """Return the finding of a check that could not be made."""
    return Finding(check, "note", f"not judged: {why}")
