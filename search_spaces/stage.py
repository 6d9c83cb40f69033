"""A stage of the paper's experiment as a value: one question, its parameters with their roles, its budget.

Roles are the tuning playbook's ("Identifying scientific, nuisance, and fixed hyperparameters"): the question compares
values of the scientific parameters; nuisance parameters must be searched anew for each of them to be fair; fixed ones
are a caveat of the conclusion.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Literal, cast, get_args

from search_spaces.domain import Choice, Domain
from trainables.base_config import Config, check_some
from trainables.config import TrialConfig
from trainables.errors import ConfigError
from trainables.json_values import to_plain
from trainables.result import Metric

Role = Literal["scientific", "nuisance", "fixed"]


@dataclass(frozen=True)
class Parameter:
    """One path of `TrialConfig`, its role, the values it may take (None if fixed), and the reason for both.

    `only_if` makes it conditional: it exists in arms whose values agree (playbook: the same name under another parent
    is another parameter). An arm that fixes the path does not search it either. `limits` are values with nothing to
    search beyond them: a range is widened up to them, and never towards a side that has none.
    """

    path: str
    role: Role
    domain: Domain | None
    because: str
    only_if: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        ends = self.domain.ends if self.domain else ()
        check_some((self.path, *self.only_if), [(self.path, value) for value in ends])  # the stage asks its own config
        if self.role not in get_args(Role):
            roles = ", ".join(get_args(Role))
            raise ConfigError(f"parameter {self.path}: a role is {roles}, not {self.role!r}")
        if not self.because:
            raise ConfigError(f"parameter {self.path}: say why it has this role and range")
        if (self.domain is None) != (self.role == "fixed"):
            raise ConfigError(
                f"parameter {self.path}: a {self.role} parameter and domain {self.domain} do not go together"
            )
        if self.role == "scientific" and not isinstance(self.domain, Choice):
            raise ConfigError(
                f"parameter {self.path}: a scientific parameter is a Choice; arms are made of its options"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for study.json."""
        return (
            {
                "path": self.path,
                "role": self.role,
                "domain": to_plain(self.domain),
                "because": self.because,
            }
            | ({"only_if": dict(self.only_if)} if self.only_if else {})
            | ({"limits": list(self.limits)} if self.limits else {})
        )


@dataclass(frozen=True)
class Arm:
    """One answer to the question: the values it fixes, and the nuisance parameters that are searched under it."""

    name: str
    values: Mapping[str, Any]
    nuisance: tuple[Parameter, ...]

    def holds(self, config: Config) -> bool:
        """Return whether `config` has this arm's values."""
        return all(config.value(path) == value for path, value in self.values.items())


@dataclass(frozen=True)
class Rival:
    """A config that is retrained beside the selected one, under the same new seeds, and by which role it goes.

    It is the stage's start, the paper's baseline, or the selected config itself; with `values` in place, and with the
    selected config's values at the paths of `matching`. `seeds` limits how many of the new seeds it gets (None: all).
    """

    role: str
    of: Literal["start", "report", "selected"]
    values: Mapping[str, Any] = field(default_factory=dict)
    matching: tuple[str, ...] = ()
    seeds: int | None = None


# roles of runs under new seeds: the answer; what it is compared with, which is the start, and in `final` the paper's
# baseline (files have called it so from the first version on); and the paper's own final config
SELECTED, COMPARED, PAPER = "selected", "baseline", "paper"
START = Rival(COMPARED, "start")


@dataclass(frozen=True)
class Budget:
    """Trials in all arms together, epochs of each, and at most how many fresh seeds decide between winner and start.

    With `minutes` the trials are those from which a study learns how long a run takes; it then plans trials and repeats
    to fit into so many minutes from its beginning to its report. `rounds` bounds how often trials are asked for, those
    after the first by what the checks find in those before (`Round` in study.py).
    """

    trials: int
    epochs: int
    repeats: int = 20
    minutes: float | None = None
    rounds: int = 1


@dataclass(frozen=True)
class Demo(Budget):
    """The budget for the embedded chips: minutes on two cores.

    `fixes` fixes what costs too much to search there, `without` names the arms that cost too much to ask.
    """

    fixes: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """The stage's budget says how many epochs."""


@dataclass(frozen=True)
class Kept:
    """The starting config says how many epochs, where an earlier study found it on these images.

    `prolonged`: a chain trains twice as long if the best epochs of the stage before came last.
    """

    prolonged: bool = False


@dataclass(frozen=True)
class Doubling:
    """The stage's budget says how many epochs; while the best come last, a chain asks again with twice as many.

    So often in all as `rounds` says.
    """

    rounds: int = 2


Length = Fixed | Kept | Doubling
Judged = Literal["chance", "start", "test"]  # what the config to use is measured against
OF_THE_STUDY = ("epochs", "seed")  # paths whose values a study gives its trials


@dataclass(frozen=True)
class Stage:
    """One question of the experiment; `metric` chooses the best epoch of a trial and the best trial.

    The arms are all combinations of scientific values, or those that `compared` names with the values they fix; an arm
    that makes no config of a start (an encoder that takes no chips of its side) is not asked of it.
    `budget` is the default for a user's images, `demo` for the embedded chips, if that is another. `length` says how
    long trials train. `judged` against chance, the config is worth starting from if it learns at all; against the
    start, it must be better than that; against the test, the test split is asked in full (other thresholds, ship task),
    not with the test pairs alone. `config` is the class whose paths are varied, of the verifier or of a task of one's
    own.
    """

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    metric: Metric
    budget: Budget
    demo: Demo = cast(Demo, None)  # noqa: RUF009
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rivals: tuple[Rival, ...] = (START,)
    length: Length = Kept()
    judged: Judged = "start"
    config: type[Config] = TrialConfig

    def __post_init__(self) -> None:
        paths = [parameter.path for parameter in self.parameters]
        if len(set(paths)) != len(paths):
            raise ConfigError(f"stage {self.name}: a path is named twice")
        if self.demo is None:
            object.__setattr__(self, "demo", Demo(*astuple(self.budget)))
        if self.config is TrialConfig:
            self.metric.check_among()
        self._check_paths()
        for name, values in self.compared.items():
            for parameter in self.parameters:
                value = values.get(parameter.path)
                if parameter.role == "scientific" and not (parameter.domain and parameter.domain.contains(value)):
                    raise ConfigError(f"stage {self.name}: arm {name!r} gives {parameter.path} the value {value!r}")

    def _check_paths(self) -> None:
        """Raise ConfigError for a path that the config does not have, or a value that it could not have there."""
        fixed = {path for values in (*self.compared.values(), self.demo.fixes) for path in values}
        for path in OF_THE_STUDY:
            if path in fixed or any(p.path == path and p.role != "fixed" for p in self.parameters):
                raise ConfigError(
                    f"stage {self.name}: {path} is the study's, the same for all trials; no arm can have its own"
                )
        for parameter in self.parameters:
            for path in (parameter.path, *parameter.only_if):
                self.config().value(path)
            for value in parameter.domain.ends if parameter.domain else ():
                self.config.check_value(parameter.path, value)
        for values in (*self.compared.values(), self.demo.fixes, *(rival.values for rival in self.rivals)):
            for path, value in values.items():
                self.config.check_value(path, value)

    def for_demo(self) -> Stage:
        """Return the stage as it is asked of the embedded chips: every arm of the demo's fixes what the demo fixes."""
        fixes, without = self.demo.fixes, self.demo.without
        parameters = tuple(
            replace(p, role="fixed", domain=None, because=f"{fixes[p.path]} on the embedded chips; {p.because}")
            if p.path in fixes
            else p
            for p in self.parameters
        )
        arms = (self.compared or self._combinations()) if fixes or without else self.compared
        fixed = {name: {**values, **fixes} for name, values in arms.items() if name not in without}
        return replace(self, parameters=parameters, compared=fixed, demo=replace(self.demo, fixes={}, without=()))

    def suited(self, start: Config) -> Stage:
        """Return the stage as it is asked of `start`: the arms that make a config of it, and what these differ in.

        Raises ConfigError where none does.
        """
        arms, unfit = self.compared or self._combinations(), self.unfit(start)
        if not unfit:
            return self
        left = {name: values for name, values in arms.items() if name not in unfit}
        if not left:
            raise ConfigError(f"stage {self.name}: none of its arms fits the start ({', '.join(arms)})")
        agreed = {
            p.path for p in self.parameters if p.role == "scientific" and len({v[p.path] for v in left.values()}) == 1
        }
        parameters = tuple(p for p in self.parameters if p.path not in agreed)
        return replace(self, parameters=parameters, compared=left)

    def unfit(self, start: Config) -> dict[str, str]:
        """Return the arms that make no config of `start`, and what is wrong with each."""
        wrong = {}
        for name, values in (self.compared or self._combinations()).items():
            try:
                start.override(values)
            except ConfigError as error:
                wrong[name] = str(error)
        return wrong

    @property
    def varied(self) -> tuple[Parameter, ...]:
        """Scientific and nuisance parameters, in order: the columns of trials.csv."""
        return tuple(parameter for parameter in self.parameters if parameter.role != "fixed")

    def arms(self) -> tuple[Arm, ...]:
        """Return the arms, in the order in which they are named; one arm named after the stage if nothing is varied."""
        nuisance = [parameter for parameter in self.parameters if parameter.role == "nuisance"]
        arms = []
        for name, values in (self.compared or self._combinations()).items():
            own = [p for p in nuisance if all(values.get(path) == value for path, value in p.only_if.items())]
            arms.append(Arm(name, values, tuple(p for p in own if p.path not in values)))
        return tuple(arms)

    def _combinations(self) -> dict[str, dict[str, Any]]:
        scientific = [p for p in self.parameters if p.role == "scientific"]
        options = [p.domain.options for p in scientific if isinstance(p.domain, Choice)]
        return {
            " + ".join(map(str, combination)) or self.name: {
                parameter.path: value for parameter, value in zip(scientific, combination, strict=True)
            }
            for combination in itertools.product(*options)
        }

    def arm_for(self, start: Config) -> Arm:
        """Return the arm that holds `start`; if none does, one named "start" with its values of all that arms fix."""
        arms = self.arms()
        fixed = {path: start.value(path) for arm in arms for path in arm.values}
        searched = [p for p in self.parameters if p.role == "nuisance" and p.path not in fixed and not p.only_if]
        return next((arm for arm in arms if arm.holds(start)), Arm("start", fixed, tuple(searched)))

    def describe(self) -> list[dict[str, Any]]:
        """Return the parameters as plain values for study.json."""
        return [parameter.to_dict() for parameter in self.parameters]
