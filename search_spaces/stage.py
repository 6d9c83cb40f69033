"""A stage of the report's experiment as a value: one question, its parameters with their roles, its budget.

Roles are the tuning playbook's ("Identifying scientific, nuisance, and fixed hyperparameters"): the question compares
values of the scientific parameters; nuisance parameters must be searched anew for each of them to be fair; fixed ones
are a caveat of the conclusion.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from search_spaces.domain import Choice, Domain
from trainables.config import TrialConfig
from trainables.errors import ConfigError
from trainables.result import Metric

Role = Literal["scientific", "nuisance", "fixed"]


@dataclass(frozen=True)
class Parameter:
    """One path of `TrialConfig`, its role, the values it may take (None if fixed), and the reason for both.

    `only_if` makes it conditional: it exists in arms whose scientific values agree (playbook: the same name under
    another parent is another parameter).
    """

    path: str
    role: Role
    domain: Domain | None
    because: str
    only_if: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        TrialConfig().value(self.path)
        if not self.because:
            raise ConfigError(f"parameter {self.path}: say why it has this role and range")
        if (self.domain is None) != (self.role == "fixed"):
            raise ConfigError(
                f"parameter {self.path}: a {self.role} parameter and domain {self.domain} do not go together"
            )
        if self.role == "scientific" and not isinstance(self.domain, Choice):
            raise ConfigError(f"parameter {self.path}: a scientific parameter is a Choice; each option becomes an arm")


@dataclass(frozen=True)
class Arm:
    """One combination of scientific values, and the nuisance parameters that exist under it."""

    name: str
    values: Mapping[str, str]
    nuisance: tuple[Parameter, ...]

    def holds(self, config: TrialConfig) -> bool:
        """Return whether `config` has this arm's scientific values."""
        return all(config.value(path) == value for path, value in self.values.items())


@dataclass(frozen=True)
class Budget:
    """Trials in all arms together, epochs of each, and seeds with which the finalists are trained again."""

    trials: int
    epochs: int
    repeats: int = 5


@dataclass(frozen=True)
class Stage:
    """One question of the experiment; `metric` chooses the best epoch of a trial and the best trial.

    `budget` is the default for a user's images, `demo` for the embedded chips: three minutes on two cores.
    """

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    metric: Metric
    budget: Budget
    demo: Budget

    def __post_init__(self) -> None:
        paths = [parameter.path for parameter in self.parameters]
        if len(set(paths)) != len(paths):
            raise ConfigError(f"stage {self.name}: a path is named twice")

    @property
    def varied(self) -> tuple[Parameter, ...]:
        """Scientific and nuisance parameters, in order: the columns of trials.csv."""
        return tuple(parameter for parameter in self.parameters if parameter.role != "fixed")

    def arms(self) -> tuple[Arm, ...]:
        """Return one arm for each combination of scientific values; one arm named after the stage if there are none."""
        scientific = [parameter for parameter in self.parameters if parameter.role == "scientific"]
        nuisance = [parameter for parameter in self.parameters if parameter.role == "nuisance"]
        arms = []
        for combination in itertools.product(*(p.domain.options for p in scientific if isinstance(p.domain, Choice))):
            values = {parameter.path: value for parameter, value in zip(scientific, combination, strict=True)}
            own = tuple(p for p in nuisance if all(values.get(path) == value for path, value in p.only_if.items()))
            arms.append(Arm(" + ".join(combination) or self.name, values, own))
        return tuple(arms)

    def describe(self) -> list[dict[str, Any]]:
        """Return the parameters as plain values for study.json."""
        return [
            {
                "path": parameter.path,
                "role": parameter.role,
                "domain": parameter.domain.to_dict() if parameter.domain else None,
                "because": parameter.because,
            }
            | ({"only_if": dict(parameter.only_if)} if parameter.only_if else {})
            for parameter in self.parameters
        ]
