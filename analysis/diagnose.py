"""The playbook's checks on a study: each returns a `Finding` with its evidence and, where it warns, what to do.

Rows are those of the tuning playbook's procedure as named in docs/design/checks.md. Numbers the playbook does not give
are ours; they stand here as constants, to be seen and changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.selection import best_of_arms, ranked
from search_spaces.domain import Choice, Domain
from storage.folder import StudyRecord
from trainables.result import Metric

Severity = Literal["ok", "note", "warn", "fail"]

EDGE = 0.10  # of the sampling scale: a best value this close to an end is suspicious
INFEASIBLE_WARN, INFEASIBLE_FAIL = 0.20, 0.50
TOP = 5  # trials whose best epochs are looked at
LATE, EARLY = 0.75, 0.10  # of all epochs (playbook: consistently in the last 25 %, always in the first 10 %)
OVERFIT_BEFORE = 0.80  # the minimum lies before this share of the epochs ...
OVERFIT_RISE = 0.10  # ... and the last epochs lie this much above it, relative
DENSE = 8  # trials an arm below which a search is called a first look
UNLEARNED = "nothing was learned yet: train longer, give more images, or check the labels"
CHANCE_ERRORS = 3.0  # binomial standard errors above chance; three, not two, since pairs share chips


@dataclass(frozen=True)
class Finding:
    """One check's outcome: `evidence` in numbers, `advice` empty where nothing needs doing."""

    id: str
    severity: Severity
    evidence: str
    advice: str = ""


def diagnose(study: StudyRecord, metric: Metric) -> list[Finding]:
    """Run every check that this study has the evidence for; worst first."""
    if study.finished.empty:
        return [feasibility(study)]
    checks: list[Callable[[StudyRecord, Metric], Finding | None]] = [
        better_than_chance,
        boundary,
        density,
        overfitting,
        best_epochs,
        separation,
        retraining,
    ]
    found = [feasibility(study), *(check(study, metric) for check in checks), *_data_notes(study)]
    order = {"fail": 0, "warn": 1, "note": 2, "ok": 3}
    return sorted((finding for finding in found if finding), key=lambda finding: order[finding.severity])


def feasibility(study: StudyRecord) -> Finding:
    """Share of trials that diverged or failed (playbook: infeasible points)."""
    total = len(study.evidence)
    bad = study.evidence[study.evidence["status"].isin(["infeasible", "failed"])]
    if not total:
        return Finding("feasibility", "note", "no trial has ended yet")
    share = len(bad) / total
    severity: Severity = "fail" if share >= INFEASIBLE_FAIL else "warn" if share >= INFEASIBLE_WARN else "ok"
    evidence = f"{len(bad)} of {total} trials diverged or failed"
    if severity == "ok":
        return Finding("feasibility", severity, evidence)
    reasons = bad["reason"].dropna().value_counts()
    most = f"; most often: {reasons.index[0]}" if len(reasons) else ""
    return Finding(
        "feasibility",
        severity,
        evidence + most,
        f"shrink the space where they fail (search_spaces/{study.manifest.stage}.py), or look for a bug first",
    )


def better_than_chance(study: StudyRecord, metric: Metric) -> Finding:
    """The best trial's validation accuracy against always guessing the commoner answer (playbook: initial config).

    Where the user's images come in groups, a group is one look: two groups that happen to look alike make all their
    pairs right or wrong together.
    """
    pairs = study.manifest.data.pairs["validation"]
    parts = study.manifest.data.grouping.parts if study.manifest.data.grouping else None
    chance = max(pairs.similar, 1 - pairs.similar)
    best = ranked(study.finished, metric).iloc[0]
    accuracy = float(best["val_accuracy"])
    looks = min(pairs.count, parts["validation"]) if parts else pairs.count
    needed = chance + CHANCE_ERRORS * math.sqrt(chance * (1 - chance) / max(looks, 1))
    evidence = f"best trial: {accuracy:.1%} of {pairs.count} validation pairs right, guessing gives {chance:.1%}"
    evidence += f"; they are of {parts['validation']} groups" if parts else ""
    if float(best["val_jaccard"]) == 0:
        return Finding("chance", "fail", f"{evidence}; it calls no similar pair similar", UNLEARNED)
    if accuracy <= chance:
        return Finding("chance", "fail", evidence, UNLEARNED)
    if needed >= 1:
        of_what = "groups" if parts else "pairs"
        what = f"give more {'groups (patients, scenes, ...)' if parts else 'images'}"
        return Finding("chance", "note", f"{evidence}: too few {of_what} to tell learning from luck", what)
    if accuracy > needed:
        return Finding("chance", "ok", evidence)
    return Finding("chance", "fail", evidence, UNLEARNED)


def boundary(study: StudyRecord, metric: Metric) -> Finding:
    """The best trial's place in each range it searched (playbook: bad search space boundaries)."""
    best = ranked(study.finished, metric).iloc[0]
    near = []
    limits = {p.path: p.limits for p in study.manifest.parameters}
    for path, domain in _searched(study):
        value = best.get(path)
        if isinstance(domain, Choice) or value is None or pd.isna(value) or not domain.contains(float(value)):
            continue
        position = domain.position(float(value))
        end = domain.to_dict()["low" if position < 0.5 else "high"]
        if not EDGE < position < 1 - EDGE and end not in limits[path]:
            near.append(f"{path} = {float(value):.3g} lies at {position:.0%} of {domain}")
    if not near:
        return Finding("boundary", "ok", f"the best trial lies at least {EDGE:.0%} inside every range it searched")
    return Finding(
        "boundary",
        "warn",
        "; ".join(near),
        f"the best value may lie outside: widen the range in search_spaces/{study.manifest.stage}.py",
    )


def density(study: StudyRecord, metric: Metric) -> Finding:
    """Trials in the thinnest arm (playbook: not enough points sampled)."""
    if not _searched(study):
        return Finding("density", "ok", f"{len(study.finished)} trials of one config: nothing was searched")
    searched = study.trials[study.trials["status"].isin(["finished", "stopped"])]
    counts = searched["arm"].value_counts().reindex(study.manifest.arms, fill_value=0)
    evidence = "trials with a result: " + ", ".join(f"{arm} {count}" for arm, count in counts.items())
    if all(count >= min(DENSE, _points(study, str(arm))) for arm, count in counts.items()):
        return Finding("density", "ok", evidence)
    return Finding(
        "density",
        "warn",
        evidence,
        f"a first look: fewer than {DENSE} trials in an arm; raise --trials before trusting an arm's best",
    )


def overfitting(study: StudyRecord, metric: Metric) -> Finding:
    """Does validation loss rise again in the best trial of each arm? (playbook: problematic overfitting)."""
    rising = []
    for _, trial in best_of_arms(study.finished, metric).iterrows():
        curve = study.epochs[study.epochs["trial"] == trial["trial"]].sort_values("epoch")["val_loss"].to_numpy(float)
        late = float(np.mean(curve[-max(1, len(curve) // 5) :]))
        lowest = int(np.argmin(curve))
        if lowest + 1 < OVERFIT_BEFORE * len(curve) and late > curve[lowest] * (1 + OVERFIT_RISE):
            rising.append(f"{trial['arm']}: {curve[lowest]:.3f} at epoch {lowest + 1}, {late:.3f} at the end")
    if not rising:
        return Finding("overfitting", "ok", "no arm's best trial ends much above its lowest validation loss")
    return Finding(
        "overfitting",
        "warn",
        "; ".join(rising),
        "regularise (augmentation, weight decay, dropout), then tune the rate again",
    )


def training_length(study: StudyRecord, metric: Metric) -> dict[str, Any]:
    """Answer "how many epochs?" from where the leading trials were best (playbook: deciding how long to train).

    Returns `trained` (epochs of this study), `best_epochs` of the leading trials, `answer` (longer, enough, fewer) and
    `epochs`, the number to train next: twice as many where longer, the same otherwise.
    """
    top = ranked(study.finished, metric).head(TOP)
    share = float((top["best_epoch"] / top["epochs"]).median())
    trained = int(top["epochs"].max())
    answer = "longer" if share > LATE else "fewer" if share <= EARLY else "enough"
    listed = [int(epoch) for epoch in top["best_epoch"]]
    return {
        "trained": trained,
        "best_epochs": listed,
        "answer": answer,
        "epochs": 2 * trained if answer == "longer" else trained,
    }


def best_epochs(study: StudyRecord, metric: Metric) -> Finding:
    """Where the best epochs of the leading trials lie (playbook: deciding how long to train)."""
    length = training_length(study, metric)
    listed = ", ".join(map(str, length["best_epochs"]))
    evidence = f"best epochs of the leading {len(length['best_epochs'])} trials, of {length['trained']}: {listed}"
    if length["answer"] == "longer":
        return Finding(
            "training length",
            "warn",
            evidence,
            "still improving at the end: train longer (--epochs), then tune decay again",
        )
    if length["answer"] == "fewer":
        return Finding("early best epochs", "warn", evidence, "the rates may be too high, or far fewer epochs do")
    return Finding("training length", "ok", evidence)


def separation(study: StudyRecord, metric: Metric) -> Finding | None:
    """Is the gap between the two leading arms larger than what a new seed alone changes? (playbook: trial variance)."""
    runs = study.repeats[study.repeats["status"] == "finished"]
    leaders = best_of_arms(study.finished, metric)
    if len(leaders) < 2 or runs.empty or runs.groupby("arm").size().max() < 2:
        return None
    spread = float(runs.groupby("arm")[metric.name].std(ddof=1).max())
    first, second = leaders.iloc[0], leaders.iloc[1]
    gap = metric.gain(float(first[metric.name]), float(second[metric.name]))
    evidence = (
        f"{first['arm']} leads {second['arm']} by {gap:.4f} {metric.name}; seeds alone spread it by {spread:.4f} (SD)"
    )
    if gap > 2 * spread:
        return Finding("separation", "ok", evidence)
    return Finding(
        "separation",
        "note",
        evidence,
        f"{first['arm']} or {second['arm']} is not settled: either may be chosen for simplicity",
    )


def retraining(study: StudyRecord, metric: Metric) -> Finding | None:
    """Do new seeds reach what the selected trial reached? (playbook: characterise the best trial before adopting)."""
    runs = study.repeats[study.repeats["arm"] == "selected"]
    runs = runs[runs["status"] != "failed"]  # of a lost machine the config is innocent, as in its adoption
    if len(runs) < 2 or not _searched(study):
        return None
    values = [float(run) for run in runs.loc[runs["status"] == "finished", metric.name]]
    best = ranked(study.finished, metric)
    winner, typical = float(best.iloc[0][metric.name]), float(best[metric.name].median())
    listed = ", ".join([*(f"{value:.4f}" for value in values), *["did not finish"] * (len(runs) - len(values))])
    evidence = f"the selected trial reached {winner:.4f} {metric.name}, the same config under new seeds: {listed}"
    if len(values) == len(runs) and all(metric.gain(value, typical) >= 0 for value in values):
        return Finding("retraining", "ok", evidence)
    advice = f"a seed falls below the median trial ({typical:.4f}): unstable or lucky; prefer a lower rate nearby"
    return Finding("retraining", "warn", evidence, advice)


def _data_notes(study: StudyRecord) -> list[Finding]:
    data = study.manifest.data
    warned = [Finding("labels", "warn", text, "look at these images") for text in data.warnings]
    return warned + [Finding("data", "note", note) for note in data.notes]


def _points(study: StudyRecord, arm: str) -> float:
    """How many different trials an arm can have: few where it searches nothing but counts and choices."""
    fixed = study.manifest.arm_values[arm]
    own = [p for p in study.manifest.parameters if p.domain and p.path not in fixed]
    given = [p.domain for p in own if all(fixed.get(path) == value for path, value in p.only_if.items())]
    return math.prod(float(domain.size) for domain in given if domain)


def _searched(study: StudyRecord) -> list[tuple[str, Domain]]:
    return list(study.manifest.domains.items())
