"""What a next round of a search does otherwise, by what the checks found in the trials so far.

A pure function of the search's record: the remedies of its findings, of which none contradict each other, carried out
on the ranges in force. What asks for another training length or another regulariser is another study's: its trials
could not be compared with these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.checks import findings_of
from analysis.checks.evidence import evidence_of
from analysis.checks.ranges import ends, value_at
from search_spaces.domain import Choice, Domain, between
from search_spaces.study import Change, Round
from storage.finding import Clip, Finding, MoreTrials, Narrow, WarmUp, Widen
from storage.folder import StudyRecord

INSIDE = 0.30  # of the old range: how far within it the trials of a widened one begin, to join what is known
SHARE = 0.5  # of an arm's trials in the first round: what a changed range is searched by
FEWEST = 2  # trials that an arm is given in a round
LEAST = 0.05  # of the range: a smaller change is none


@dataclass(frozen=True)
class Step:
    """A remedy, carried out: which arms try it, by which share of their trials in the first round, and what is set."""

    what: str
    arms: tuple[str, ...]
    share: float = SHARE
    ranges: Mapping[str, Domain] = field(default_factory=dict)
    drawn: Mapping[str, Domain] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


def next_round(study: StudyRecord) -> Round | None:
    """Return the round that follows on a study's search, whose trials have all ended; None if nothing asks for one.

    Runs under new seeds are not looked at: what they say of a trial was not known when the search ended.
    """
    searched, manifest = study.with_runs({}), study.manifest
    taken: list[tuple[Finding, Step]] = []
    for finding in findings_of(evidence_of(searched, manifest.metric)):
        step = _step(searched, finding)
        if step is not None and step not in [other for _, other in taken]:  # two checks may ask for the same
            taken.append((finding, step))
    if not taken:
        return None
    before = manifest.rounds[-1] if manifest.rounds else None
    ranges, values = dict(before.ranges if before else {}), dict(before.values if before else {})
    drawn: dict[str, Domain] = {}
    for _, step in taken:
        ranges, drawn, values = {**ranges, **step.ranges}, {**drawn, **step.drawn}, {**values, **step.values}
    arms = tuple(arm for arm in manifest.arms if any(arm in step.arms for _, step in taken))
    share = max(step.share for _, step in taken) * manifest.first_trials / len(manifest.arms)
    return Round(
        first=manifest.budget.trials,
        trials=len(arms) * max(FEWEST, math.ceil(share)),
        arms=arms,
        changes=tuple(Change(step.what, finding.id, finding.evidence) for finding, step in taken),
        ranges=ranges,
        drawn=drawn,
        values=values,
    )


def _step(study: StudyRecord, finding: Finding) -> Step | None:
    """What a finding's remedy comes to here; None where it changes nothing, or is not a round's to carry out."""
    match finding.remedy:
        case Widen(path, low, high):
            return _widened(study, path, low, high)
        case Narrow(path, low, high):
            return _narrowed(study, path, low, high)
        case MoreTrials(factor, arm):
            arms = (arm,) if arm else study.manifest.arms
            return Step(f"more trials of {', '.join(arms)}", arms, factor - 1)
        case WarmUp(share):
            return _set(study, "schedule.warmup", share * study.manifest.budget.epochs)
        case Clip(quantile):
            norms = study.epochs["grad_norm"].dropna()
            return _set(study, "optimiser.clip_norm", float(np.quantile(norms, quantile))) if len(norms) else None
    return None


def _widened(study: StudyRecord, path: str, low: float, high: float) -> Step | None:
    """Search beyond one end, up to the limit that the parameter states there; nowhere if it states none."""
    searched, in_force = study.manifest.domains[path], _in_force(study, path)
    if isinstance(searched, Choice) or isinstance(in_force, Choice):
        return None
    limits = next(parameter.limits for parameter in study.manifest.parameters if parameter.path == path)
    (old_low, old_high), upwards = ends(searched), high > ends(searched)[1]
    hard = [end for end in limits if (end > old_high if upwards else end < old_low)]
    if not hard:
        return None
    end = min(_short(high), *hard) if upwards else max(_short(low), *hard)
    place = searched.position(end)
    if max(place - 1, -place) < LEAST:
        return None
    if upwards:
        new = between(searched, ends(in_force)[0], end)
        drawn = between(searched, _short(value_at(searched, 1 - INSIDE)), end)
    else:
        new = between(searched, end, ends(in_force)[1])
        drawn = between(searched, end, _short(value_at(searched, INSIDE)))
    what = f"{path} widened to {new}, these trials from {drawn}"
    return Step(what, _arms_with(study, path), ranges={path: new}, drawn={path: drawn})


def _narrowed(study: StudyRecord, path: str, low: float, high: float) -> Step | None:
    """Search between two values alone."""
    in_force = _in_force(study, path)
    if isinstance(in_force, Choice):
        return None
    low, high = max(low, ends(in_force)[0]), min(high, ends(in_force)[1])
    left = in_force.position(high) - in_force.position(low)
    if not LEAST <= left <= 1 - LEAST:
        return None
    new = between(in_force, _short(low), _short(high))
    return Step(f"{path} narrowed to {new}", _arms_with(study, path), ranges={path: new})


def _set(study: StudyRecord, path: str, value: float) -> Step | None:
    """Give every trial from here on a value, unless an earlier round or the start has given one."""
    if any(path in own.values for own in study.manifest.rounds) or study.manifest.start.value(path):
        return None
    return Step(f"{path} set to {_short(value):g}", study.manifest.arms, values={path: _short(value)})


def _short(value: float) -> float:
    """A value as a person would write it."""
    return float(f"{value:.3g}")


def _in_force(study: StudyRecord, path: str) -> Domain:
    """The range that trials are drawn from at present, of a widened one the whole."""
    rounds = study.manifest.rounds
    return rounds[-1].ranges.get(path, study.manifest.domains[path]) if rounds else study.manifest.domains[path]


def _arms_with(study: StudyRecord, path: str) -> tuple[str, ...]:
    """The arms that search the parameter."""
    manifest, having = study.manifest, set(study.trials.loc[study.trials[path].notna(), "arm"])
    return tuple(arm for arm in manifest.arms if arm in having and path not in manifest.arm_values[arm])
