"""A check's outcome, and what a next round of the search could do about it, as data.

`Finding.to_dict` and `Finding.from_dict` are the one place that writes and reads the `findings` of report.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from trainables.errors import InputError

Severity = Literal["ok", "note", "warn", "fail"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "note", "ok")  # worst first


@dataclass(frozen=True)
class Widen:
    """Search `path` from `low` to `high`, which is more than before."""

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

    factor: float
    arm: str | None = None

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"{self.factor:g} times as many trials" + (f" in arm {self.arm}" if self.arm else "")


@dataclass(frozen=True)
class Longer:
    """Train for `factor` times as many epochs, with the schedule stretched to them."""

    factor: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"train {self.factor:g} times as long (--epochs), then tune the decay again"


@dataclass(frozen=True)
class Shorter:
    """Train for `factor` (below 1) times as many epochs."""

    factor: float

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return f"{self.factor:g} times the epochs would do"


@dataclass(frozen=True)
class WarmUp:
    """Let the rate rise from 0 over the first `share` of all steps (playbook: learning rate warm-up)."""

    share: float = 0.05

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        at = f"schedule.warmup at {self.share:.0%} of the epochs"
        return f"prefer lower rates, or warm up: {at}, in a config for --start"


@dataclass(frozen=True)
class Clip:
    """Clip gradients at this `quantile` of their logged norms (playbook: gradient clipping)."""

    quantile: float = 0.9

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        at = f"optimiser.clip_norm at the {self.quantile:.0%} quantile of grad_norm in epochs.csv"
        return f"prefer lower rates, or clip gradients: {at}, in a config for --start"


@dataclass(frozen=True)
class Anneal:
    """Let the rate fall towards the end of training (a cosine or exponential schedule)."""

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return "let the rate fall towards the end (a cosine or exponential schedule)"


@dataclass(frozen=True)
class Regularise:
    """Add augmentation, weight decay or dropout, then tune the rate again."""

    @property
    def words(self) -> str:
        """Return the remedy as an instruction."""
        return "regularise (augmentation, weight decay, dropout), then tune the rate again"


Remedy = Widen | Narrow | MoreTrials | Longer | Shorter | WarmUp | Clip | Anneal | Regularise
_KINDS: Mapping[str, type[Any]] = {
    "widen": Widen,
    "narrow": Narrow,
    "more trials": MoreTrials,
    "longer": Longer,
    "shorter": Shorter,
    "warm-up": WarmUp,
    "clip": Clip,
    "anneal": Anneal,
    "regularise": Regularise,
}
_NAMES = {made: kind for kind, made in _KINDS.items()}


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

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as report.json holds it; the remedy with its kind, or null."""
        remedy = None if self.remedy is None else {"kind": _NAMES[type(self.remedy)], **vars(self.remedy)}
        return {**vars(self), "remedy": remedy}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Finding:
        """Return what `to_dict` wrote; raise InputError for anything else.

        Findings of older versions have no remedy.
        """
        words = {name: values.get(name, "") for name in ("id", "severity", "evidence", "advice")}
        wrong = [name for name, value in words.items() if not isinstance(value, str)]
        if wrong or words["severity"] not in get_args(Severity):
            raise InputError(f"finding {values.get('id')!r}: {(wrong or ['severity'])[0]} makes no sense")
        return Finding(**words, remedy=_remedy(words["id"], values.get("remedy")))


def not_judged(check: str, why: str) -> Finding:
    """Return the finding of a check that could not be made."""
    return Finding(check, "note", f"not judged: {why}")


def _remedy(check: str, values: object) -> Remedy | None:
    if values is None:
        return None
    kind = _KINDS.get(str(values.get("kind"))) if isinstance(values, Mapping) else None
    if kind is None or not isinstance(values, Mapping):
        raise InputError(f"finding {check!r}: remedy is {values!r:.60}, expected null or one of {', '.join(_KINDS)}")
    wanted = {entry.name: entry.type for entry in fields(kind)}
    given = {name: value for name, value in values.items() if name != "kind"}
    if set(given) != set(wanted) or not all(_fits(given[name], str(kind)) for name, kind in wanted.items()):
        raise InputError(f"finding {check!r}: remedy is {dict(values)!r:.80}, expected {', '.join(wanted)}")
    made: Remedy = kind(**given)
    return made


def _fits(value: object, kind: str) -> bool:
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) or (value is None and kind == "str | None")
