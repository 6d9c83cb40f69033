"""The race: the search's best candidates under new seeds common to all, the worse ones dropped after every seed.

One run a trial ranks luck as much as configs, so the best of a search is not the best config (Schneider, Bischl and
Feurer 2025 call it overtuning). Successive halving (Jamieson and Talwalkar 2016) over seeds in place of epochs spends
new runs where they can still change the answer; racing over common instances is F-race's idea (Birattari et al. 2002),
and common seeds take most of what a seed does to every config out of their comparison. Halving, F-race's test and OCBA
(Chen et al. 2000) differ by less than the noise of simulated studies, so the simplest is taken.

All is plan and fold: the state is the runs known so far and nothing else. Asked again with the same runs, or with what
an interrupted study has left of them, it asks for exactly those that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainables.result import Metric

SHARE = 3  # one trial of three enters: the best config's single run is seldom worse than that
HALVED_TO = 4  # so many or fewer candidates are near each other, and leave one by one
FINALISTS = 2  # the last round's: a winner and a runner-up


class Run(NamedTuple):
    """One training beyond the search: which trial's config, under which of the study's new seeds, counted from 0."""

    trial: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its metric, None if it diverged, and whether it learned anything (a diverged one did not)."""

    value: float | None
    learned: bool = True

    @property
    def died(self) -> bool:
        """Whether nothing came of the run: it diverged, or stayed at guessing."""
        return self.value is None or not self.learned

    def worth(self, chance: float) -> float:
        """Return the metric's value; of a diverged run `chance`, what a network that learned nothing has."""
        return chance if self.value is None else self.value


Known = Mapping[Run, Outcome]


@dataclass(frozen=True)
class RacePlan:
    """How many candidates are left in each round; each round trains them under one new seed, round 0 under seed 0."""

    left: tuple[int, ...]

    @property
    def entrants(self) -> int:
        """Return how many candidates enter."""
        return self.left[0] if self.left else 0

    @property
    def seeds(self) -> int:
        """Return how many new seeds the race takes."""
        return len(self.left)

    @property
    def runs(self) -> int:
        """Return how many runs the race takes."""
        return sum(self.left)


@dataclass(frozen=True)
class Ranking:
    """What the race ended with: all candidates, the winner first, then the runner-up, and so on."""

    order: tuple[int, ...]


def plan_race(trials: int, arms: int) -> RacePlan:
    """Return the rounds for a search of so many trials: half as many each time, and one less each time at the end.

    A third of the trials enter, and at least one an arm; the start is not among them (it meets the winner later).
    """
    keep = min(max(-(-trials // SHARE), arms, FINALISTS), trials - 1)
    left = [keep] if keep > 0 else []
    while keep > FINALISTS:
        keep = -(-keep // 2) if keep > HALVED_TO else keep - 1
        left.append(keep)
    return RacePlan(tuple(left))


def entrants(
    search: Mapping[int, Outcome], arms: Mapping[int, str], start: int, keep: int, metric: Metric, chance: float
) -> tuple[int, ...]:
    """Return up to `keep` trials for the race, best first, the best of every arm among them; never `start`."""
    ranked = _by_mean({trial: [outcome.worth(chance)] for trial, outcome in search.items() if trial != start}, metric)
    leaders = list({arms[trial]: trial for trial in reversed(ranked)}.values())
    places = [*sorted(leaders, key=ranked.index), *(trial for trial in ranked if trial not in leaders)][:keep]
    return tuple(sorted(places, key=ranked.index))


def next_in_race(
    plan: RacePlan,
    search: Mapping[int, Outcome],
    candidates: Sequence[int],
    known: Known,
    metric: Metric,
    chance: float,
) -> tuple[Run, ...] | Ranking:
    """Return the runs that the race's first unfinished round still needs, or how the race ended.

    `candidates` are those of `entrants`, best first. A round ranks by the mean of all that its candidates have, the
    search's run included: all of them were chosen by it, and under one common seed its luck is partly shared.
    """
    order = list(candidates)
    values = {trial: [search[trial].worth(chance)] for trial in order}
    for seed, left in enumerate(plan.left):
        alive = order[:left]
        needed = [Run(trial, seed) for trial in alive]
        missing = tuple(run for run in needed if run not in known)
        if missing:
            return missing
        for run in needed:
            values[run.trial].append(known[run].worth(chance))
        order = [*_by_mean({trial: values[trial] for trial in alive}, metric), *order[left:]]
    return Ranking(tuple(order))


def _by_mean(values: Mapping[int, Sequence[float]], metric: Metric) -> list[int]:
    """Trials by the mean of their values, best first; what stood first stays first among equals."""
    means = {trial: float(np.mean(own)) for trial, own in values.items()}
    return sorted(means, key=lambda trial: metric.gain(0.0, means[trial]))
