"""Domains in Optuna's words: what its storage, its samplers and its importances take."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.domain import Choice, Domain, IntRange, LogUniform, Uniform


def distribution(domain: Domain) -> BaseDistribution:
    """Return the Optuna distribution of a domain."""
    match domain:
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case IntRange(low, high):
            return IntDistribution(low, high)
        case Choice(options):
            return CategoricalDistribution(options)
    raise TypeError(f"no Optuna distribution for {domain!r}")
