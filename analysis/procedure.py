"""From a search's results to an answer: race the best candidates, then let winner and runner-up meet the start.

One function, `next_runs`, says what is missing, or settles. It is a fold over the runs known: no files, no clock, no
state of its own, so a study that was interrupted asks for what it has not got, and a benchmark can answer from a table.
New seeds are numbered: the race has the first, the decision those that follow, which chose nothing. Winner and
runner-up meet the start under the same seeds, so the start's runs serve both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.decision import Decision, Earlier, Rule, Tally, decide, looks_up_to, missed_deaths
from analysis.race import Known, Outcome, RacePlan, Ranking, Run, entrants, next_in_race, plan_race
from trainables.result import Metric

START = 0  # trial 0 is the start's config
REPEATS = 20
ERRORS = 0.036, 0.009  # one-sided, of winner and runner-up: together 4.5 %


@dataclass(frozen=True)
class Procedure:
    """All that decides what is run after the search: data alone, so that a study can record it and be repeated.

    `chance` is the metric of a network that learned nothing: what a diverged run counts as. `decisions` are the rules
    of winner and runner-up, in turn; one rule or none is possible too.
    """

    race: RacePlan
    decisions: tuple[Rule, ...]
    metric: Metric
    chance: float


@dataclass(frozen=True)
class Settled:
    """The answer: the trial whose config to `use`, and whether it is `proven` to be better than the start.

    `decisions` are those that were asked for, with the trial that each was about.
    """

    use: int
    proven: bool
    ranking: Ranking
    decisions: tuple[tuple[int, Decision], ...]


def plan(trials: int, arms: int, metric: Metric, chance: float, repeats: int = REPEATS) -> Procedure:
    """Return the procedure for a search of so many trials and arms; `repeats` bounds the decision's seeds."""
    looks = looks_up_to(repeats)
    rules = tuple(Rule(looks, error) for error in ERRORS)
    return Procedure(plan_race(trials, arms), rules, metric, chance)


def rounds(procedure: Procedure, seeds: int | None = None) -> list[int]:
    """Return how many runs follow the search, round by round: those of one round may be trained at once.

    The decision is counted up to `seeds` fresh seeds of the winner (None: all that it may take, and then the
    runner-up's too, for whom the start's runs are there already). It is one round, since it waits for no look.
    """
    race = list(procedure.race.left)
    if not race or not procedure.decisions:
        return race
    looks = procedure.decisions[0].looks
    last = max((look for look in looks if seeds is None or look <= seeds), default=looks[0])
    runner_up = [last] if seeds is None and len(procedure.decisions) > 1 else []
    return [*race, 2 * last, *runner_up]


def unseen_deaths(procedure: Procedure, trials: int) -> float | None:
    """Return the share of its runs that the winner may die in unseen, though no run of a whole study of `trials` dies.

    None where so many runs without a death rule out that it matters.
    """
    race, rule = procedure.race, procedure.decisions[0]
    own, others = Tally(0, 1 + race.seeds), Tally(0, trials - 1 + race.runs - race.seeds)
    fresh = Tally(0, rule.most)
    share, tolerated = missed_deaths(rule, fresh, fresh, Earlier(own, others))
    return share if share > tolerated else None


def next_runs(
    procedure: Procedure, search: Mapping[int, Outcome], arms: Mapping[int, str], known: Known, at_once: int = 1
) -> tuple[Run, ...] | Settled:
    """Return the runs that are needed next and not known yet, which may be trained at once; or the answer.

    `search` has the outcome of every trial, `arms` its arm, `known` the runs under new seeds as far as they have ended.
    Of `at_once` runs that are trained together, those that the decision's next look leaves idle are given to seeds
    beyond it. They change no answer: it is taken at the first look that decides.
    """
    race, metric, chance = procedure.race, procedure.metric, procedure.chance
    candidates = entrants(search, arms, START, race.entrants, metric, chance)
    ranking = next_in_race(race, search, candidates, known, metric, chance)
    if not isinstance(ranking, Ranking):
        return ranking
    decisions: list[tuple[int, Decision]] = []
    for trial, rule in zip(ranking.order, procedure.decisions, strict=False):
        decision = _decide(procedure, rule, trial, known, _earlier(race, trial, search, known), at_once)
        if not isinstance(decision, Decision):
            return decision
        decisions.append((trial, decision))
        if decision.proven:
            break
    return _settle(ranking, decisions)


def _earlier(race: RacePlan, trial: int, search: Mapping[int, Outcome], known: Known) -> Earlier:
    """Count the deaths in search and race, `trial`'s and the others'."""
    raced = {run: outcome for run, outcome in known.items() if run.seed < race.seeds}
    own = Tally.of([search[trial], *(outcome for run, outcome in raced.items() if run.trial == trial)])
    everything = Tally.of([*search.values(), *raced.values()])
    return Earlier(own, Tally(everything.died - own.died, everything.runs - own.runs))


def _decide(
    procedure: Procedure, rule: Rule, trial: int, known: Known, earlier: Earlier, at_once: int
) -> tuple[Run, ...] | Decision:
    first = procedure.race.seeds
    pairs: list[tuple[Outcome, Outcome]] = []
    for seed in range(first, first + rule.most):
        ours, start = Run(trial, seed), Run(START, seed)
        if ours not in known or start not in known:
            break
        pairs.append((known[ours], known[start]))
    decision = decide(rule, pairs, procedure.metric, procedure.chance, earlier)
    if isinstance(decision, Decision):
        return decision
    whole = (Run(side, first + seed) for seed in range(rule.most) for side in (trial, START))
    lacking = [run for run in whole if run not in known]
    needed = sum(run.seed < first + decision for run in lacking)
    return tuple(lacking[: at_once * math.ceil(needed / at_once)])


def counted(procedure: Procedure, answer: Settled, known: Known) -> Known:
    """Return the runs that the answer rests on: those trained ahead of a look that was not needed are left out."""
    first = procedure.race.seeds
    seeds: dict[int, float] = {trial: decision.seeds for trial, decision in answer.decisions}
    seeds[START] = max(seeds.values(), default=math.inf)
    return {run: known[run] for run in known if run.seed < first + seeds.get(run.trial, math.inf)}


def _settle(ranking: Ranking, decisions: Sequence[tuple[int, Decision]]) -> Settled:
    """Use what is proven, else that for which the fresh seeds, the same for both, speak most, else the start.

    One or two seeds say nothing of a difference: then the race's order stands.
    """
    proven = [trial for trial, decision in decisions if decision.proven]
    better = [trial for trial, decision in decisions if decision.better]
    spent = {trial: decision.gain or 0.0 for trial, decision in decisions if decision.stop == "spent"}
    most = sorted((trial for trial in better if trial in spent), key=lambda trial: -spent[trial])
    use = next(iter([*proven, *most, *better]), START)
    return Settled(use, bool(proven), ranking, tuple(decisions))
