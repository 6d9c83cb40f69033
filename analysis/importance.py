"""How much each parameter matters, by Optuna's PED-ANOVA."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from search_spaces.domain import Domain
from storage.distributions import distribution


def importances(
    trials: Sequence[Mapping[Any, Any]], metric: Sequence[float], domains: Mapping[str, Domain], goal: str
) -> dict[str, float]:
    """Return how much each parameter matters for being among the best quarter, as shares of 1, the largest first.

    Optuna's PED-ANOVA (Watanabe, Bansal and Hutter 2023). Every trial has a value in the domain of each parameter.
    """
    space = {path: distribution(domain) for path, domain in domains.items()}
    with _quiet():
        study = optuna.create_study(direction="minimize" if goal == "min" else "maximize")
    for values, value in zip(trials, metric, strict=True):
        params = {path: values[path] for path in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # many equal values: shares say so themselves
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling of a study that is none of the user's."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
