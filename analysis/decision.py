"""The decision: is a candidate better than the start? Fresh seeds that chose nothing, paired, looked at as they come.

Two demands, each of which must be met (an intersection-union test, Berger 1982, so neither costs the other's error):

1. The paired t of the gains at a look passes one nominal level, the same at all looks (Pocock 1977), which is such that
   equal configs pass at any look with probability `error` at most. The level comes from simulated paired t statistics.
2. The gain would survive the deaths that so few runs may have missed. Gains with rare deaths are skewed, and a t over
   runs that happened to live knows nothing of it: a config that dies under a fifth of all seeds passed in a fifth of
   studies. So its share of deaths is taken at the upper end of its exact interval (Clopper and Pearson 1934), at a
   level such that the ends hold at all looks together with `error`, and its mean with that share of runs at guessing
   must still be better than the start's mean. Only where deaths are rare in the whole study may its earlier runs count
   here too, and a share below a fifth is enough: a race among many configs that die picks one that happened not to,
   and then its earlier runs say nothing.

A run that diverged has the metric of a network that learned nothing, so that one diverged run of the start widens the
spread as much as it raises the gain. The decision gives up early where the gain is below zero; that can only lower the
error (non-binding futility). Interval: repeated confidence interval (Jennison and Turnbull 1989), which holds at
whatever look one stops: the gain plus and minus the nominal level's t quantile of standard errors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.race import Outcome
from storage.report_json import Deaths
from trainables.result import Metric

SIMULATIONS, SIMULATION_SEED = 400_000, 7
RARE, RARE_ASSURANCE = 0.08, 0.95  # deaths are rare if the other configs' share is surely below this
TOLERATED = 0.2  # share of runs that may die where deaths are rare
DEADLIEST = 0.4  # above it the wide spread is left to stop the t; not simulated
POWER = 0.8
FIRST_LOOK, WIDE_STEPS_FROM, WIDE_STEP = 4, 10, 2
FEWEST = 3  # seeds, below which a spread is no spread

Stop = Literal["proven", "no better", "spent", "too few seeds"]


@dataclass(frozen=True)
class Rule:
    """When to look, counted in seeds, and the one-sided error of all looks together."""

    looks: tuple[int, ...]
    error: float

    @property
    def most(self) -> int:
        """Return the seeds after which there is no further look."""
        return self.looks[-1] if self.looks else 0

    @property
    def level(self) -> float:
        """Return the one-sided nominal level of every look's t."""
        return nominal_level(self.looks, self.error)

    @property
    def deaths_level(self) -> float:
        """Return the one-sided level of every look at the deaths."""
        return deaths_level(self.looks, self.error)


class Tally(NamedTuple):
    """How many runs died, of how many."""

    died: int
    runs: int

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Tally:
        """Count them."""
        died = [outcome.died for outcome in outcomes]
        return cls(sum(died), len(died))

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(self.died + other.died, self.runs + other.runs)


NONE = Tally(0, 0)


@dataclass(frozen=True)
class Earlier:
    """What search and race, which chose the candidate, say of deaths: its `own` runs, and those of all `others`."""

    own: Tally
    others: Tally


def deaths_of(outcomes: Sequence[Outcome]) -> Deaths:
    """Count the runs that died; without any run their share may be anything."""
    return deaths_among(*Tally.of(outcomes))


def deaths_among(died: int, runs: int) -> Deaths:
    """Return a share of deaths with its exact 95 % interval (Clopper and Pearson 1934)."""
    low = float(stats.beta.ppf(0.025, died, runs - died + 1)) if died else 0.0
    return Deaths(died, runs, low, most_deaths(died, runs, 0.975))


@dataclass(frozen=True)
class Noise:
    """What bounds the gain that can be proven, beside the seeds: how gains `spread` (SD), and deaths that were missed.

    The start is better than guessing by `penalty`, and `earlier` is what search and race say of deaths.
    """

    spread: float
    penalty: float
    earlier: Earlier


@dataclass(frozen=True)
class Decision:
    """What the fresh seeds say. `gain` is in units of the metric, positive is better, and so are its bounds.

    `low` to `high` is the repeated confidence interval at `confidence`; None where there are fewer than two pairs.
    `survives`: whether demand 2 is met. `detectable`: the gain that all of the rule's seeds would prove with 80 % power
    at the `noise` seen here.
    """

    stop: Stop
    seeds: int
    deaths: Deaths
    start_deaths: Deaths
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    level: float | None = None
    p: float | None = None
    survives: bool = False
    detectable: float | None = None
    noise: Noise | None = None

    @property
    def proven(self) -> bool:
        """Whether the candidate is shown to be better."""
        return self.stop == "proven"

    @property
    def better(self) -> bool:
        """Whether the fresh seeds speak for the candidate, proven or not."""
        return self.gain is not None and self.gain > 0


def looks_up_to(repeats: int) -> tuple[int, ...]:
    """Return when to look with at most so many seeds: after 4, 5, ... 10, 12, 14, ... and the last."""
    if repeats < FEWEST:
        return (repeats,)
    often = range(FIRST_LOOK, min(repeats, WIDE_STEPS_FROM) + 1)
    rarely = range(WIDE_STEPS_FROM + WIDE_STEP, repeats + 1, WIDE_STEP)
    return tuple(sorted({*often, *rarely, repeats}))


@functools.lru_cache(maxsize=256)
def nominal_level(looks: tuple[int, ...], error: float) -> float:
    """Return the one-sided level of each look at which normal gains of mean 0 pass at any of them with this error.

    By bisection over 400,000 simulated series of a fixed seed: the error's own standard error is 0.03 points.
    """
    statistics = list(_simulated_t(looks))
    low, high = 0.0, error
    for _ in range(20):
        middle = (low + high) / 2
        passed = np.zeros(SIMULATIONS, dtype=bool)
        for look, t in zip(looks, statistics, strict=True):
            passed |= t > stats.t.isf(middle, look - 1)
        low, high = (middle, high) if passed.mean() <= error else (low, middle)
    return low


def _simulated_t(looks: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """Yield the t statistics (SIMULATIONS,) of every look at one long series of normal gains of mean 0."""
    rng = np.random.default_rng(SIMULATION_SEED)
    total, squares, seen = np.zeros(SIMULATIONS), np.zeros(SIMULATIONS), 0
    for look in looks:
        for _ in range(look - seen):
            gain = rng.standard_normal(SIMULATIONS)
            total += gain
            squares += gain**2
        seen = look
        yield (total / np.sqrt(look * (squares - total**2 / look) / (look - 1))).astype(np.float32)


@functools.lru_cache(maxsize=256)
def deaths_level(looks: tuple[int, ...], error: float) -> float:
    """Return the level of each look at which upper ends of shares of deaths hold at all looks with this error.

    By bisection over `_ever_below`, which is exact.
    """
    low, high = 0.0, error
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if _ever_below(looks, middle) <= error else (low, middle)
    return low


def _ever_below(looks: tuple[int, ...], level: float) -> float:
    """Return the chance that the upper end lies at or below the true share at some look, for the worst share.

    The chance jumps where the true share is an upper end, so these shares are looked at, up to DEADLIEST.
    """
    ends = {look: np.array([most_deaths(died, look, 1 - level) for died in range(look + 1)]) for look in looks}
    shares = np.unique(np.concatenate(list(ends.values())))
    shares = shares[shares <= DEADLIEST]
    state = np.zeros((len(shares), looks[-1] + 1))  # chance of so many deaths, the upper end above the share so far
    state[:, 0], below = 1.0, np.zeros(len(shares))
    for seed in range(1, looks[-1] + 1):
        dies = state[:, :-1] * shares[:, None]
        state *= 1 - shares[:, None]
        state[:, 1:] += dies
        if seed in ends:
            under = ends[seed][None] <= shares[:, None]
            below += (state[:, : seed + 1] * under).sum(1)
            state[:, : seed + 1] *= ~under
    return float(below.max(initial=0.0))


@functools.lru_cache(maxsize=4096)
def most_deaths(died: int, runs: int, assurance: float) -> float:
    """Return the upper end of the share of runs that may die (Clopper and Pearson 1934), one-sided."""
    return 1.0 if died >= runs else float(stats.beta.ppf(assurance, died + 1, runs - died))


@functools.lru_cache(maxsize=4096)
def _quantile(level: float, seeds: int) -> float:
    return float(stats.t.isf(level, seeds - 1))


def decide(
    rule: Rule, pairs: Sequence[tuple[Outcome, Outcome]], metric: Metric, chance: float, earlier: Earlier
) -> Decision | int:
    """Return the decision that these pairs (candidate, start) come to, or how many seeds the next look needs.

    `pairs` are in the order of their seeds; those beyond the look at which the rule stops change nothing.
    """
    for look in rule.looks:
        if len(pairs) < look:
            return look
        decision = _look(rule, pairs[:look], metric, chance, earlier)
        if decision is not None:
            return decision
    return Decision("too few seeds", 0, deaths_of(()), deaths_of(()))


def _look(
    rule: Rule, pairs: Sequence[tuple[Outcome, Outcome]], metric: Metric, chance: float, earlier: Earlier
) -> Decision | None:
    """Return what one look decides; None if the next one shall."""
    seeds = len(pairs)
    gains = np.array([metric.gain(ours.worth(chance), start.worth(chance)) for ours, start in pairs])
    deaths, start_deaths = (deaths_of(side) for side in zip(*pairs, strict=True))
    if seeds < FEWEST:
        return Decision("too few seeds", seeds, deaths, start_deaths, gain=float(gains.mean()))
    mean, error = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(seeds)
    critical = _quantile(rule.level, seeds)
    safe = survives(rule, pairs, metric, chance, earlier)
    proven, no_better = safe and mean > critical * error, mean <= 0 and seeds > rule.looks[0]
    if not (proven or no_better or seeds == rule.most):
        return None
    penalty = metric.gain(float(np.mean([start.worth(chance) for _, start in pairs])), chance)
    noise = Noise(error * math.sqrt(seeds), penalty, earlier)
    return Decision(
        stop="proven" if proven else "no better" if no_better else "spent",
        seeds=seeds,
        deaths=deaths,
        start_deaths=start_deaths,
        gain=mean,
        low=mean - critical * error,
        high=mean + critical * error,
        confidence=1 - 2 * rule.error,
        level=rule.level,
        p=float(stats.t.sf(mean / error, seeds - 1)) if error > 0 else float(mean <= 0),
        survives=safe,
        detectable=detectable(rule, noise),
        noise=noise,
    )


def survives(
    rule: Rule, pairs: Sequence[tuple[Outcome, Outcome]], metric: Metric, chance: float, earlier: Earlier
) -> bool:
    """Return whether the candidate's mean is better than the start's even with the deaths that were perhaps missed."""
    living = [ours.worth(chance) for ours, _ in pairs if not ours.died]
    if not living:
        return False
    start = Tally.of(start for _, start in pairs)
    share, tolerated = missed_deaths(rule, Tally.of(ours for ours, _ in pairs), start, earlier)
    worst = (1 - share) * float(np.mean(living)) + share * chance
    return share <= tolerated or metric.gain(worst, float(np.mean([start.worth(chance) for _, start in pairs]))) > 0


def missed_deaths(rule: Rule, ours: Tally, start: Tally, earlier: Earlier) -> tuple[float, float]:
    """Return the share of its runs that the candidate may die in after all, and up to which that is no objection."""
    rare = most_deaths(*earlier.others.plus(start), RARE_ASSURANCE) <= RARE
    counted = ours.plus(earlier.own) if rare else ours
    return most_deaths(*counted, 1 - rule.deaths_level), TOLERATED if rare else 0.0


def detectable(rule: Rule, noise: Noise) -> float:
    """Return the gain that all of the rule's seeds prove with 80 % power, where no run dies."""
    error = noise.spread / math.sqrt(rule.most)
    none = Tally(0, rule.most)
    share, tolerated = missed_deaths(rule, none, none, noise.earlier)
    needed = 0.0 if share <= tolerated else share / (1 - share) * max(noise.penalty, 0.0)
    return max(_quantile(rule.level, rule.most) * error, needed) + _quantile(1 - POWER, rule.most) * error
