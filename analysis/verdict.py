"""What a study's runs under new seeds come to: which config to use, whether it is proven better, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from analysis.candidates import Contest, contest, is_raced, outcome_of, settled
from analysis.decision import NONE, Decision, Earlier, Rule, decide
from analysis.procedure import START, Settled
from analysis.race import Outcome, Run
from search_spaces.stage import COMPARED, SELECTED
from storage.finding import Finding
from storage.folder import StudyRecord
from storage.report_json import Adoption, Candidate, Deaths, Gain, Measured, Overtuning, TestScore
from storage.study_json import Manifest
from trainables.config import TrialConfig
from trainables.result import Metric

ERROR = 0.025  # one-sided, of a comparison that was not raced: all its seeds are looked at once
NOTHING = Measured()

CHANCE = {  # whether the untuned network is worth starting from, by what the check says
    "ok": Adoption(True, "adopted: the starting point, better than chance"),
    "note": Adoption(False, "not adopted: too few images or groups to tell it from chance"),
    "fail": Adoption(False, "not adopted: no better than chance"),
}


def adoption(study: StudyRecord, findings: Sequence[Finding]) -> Adoption:
    """Return whether to adopt the config to use; what was not shown to be better than chance never is."""
    if not is_raced(study):
        return _measured(study, _chance(findings))
    answer = settled(study)
    if answer is None:
        compared = (
            "the comparison under new seeds has not ended" if len(study.repeats) else "not compared under new seeds"
        )
        return Adoption(False, f"not adopted: {compared}, so its gain cannot be told from luck")
    return _raced(contest(study), answer, study.manifest, _chance(findings))


def _chance(findings: Sequence[Finding]) -> str:
    return next((finding.severity for finding in findings if finding.id == "chance"), "ok")


def _measured(study: StudyRecord, chance: str) -> Adoption:
    """Of a study without a race: beside its rival on the same seeds, or better than chance."""
    manifest = study.manifest
    if COMPARED not in (manifest.finalists or set(study.repeats["arm"])):
        if manifest.judged == "test" and manifest.finalists:
            return Adoption(False, "nothing was adopted on the way: the config is the paper's baseline itself")
        if manifest.judged == "start":
            return Adoption(False, "not adopted: the best trial is the starting config; keep it")
        return CHANCE[chance]
    pairs = paired_outcomes(study)
    if not pairs:
        return Adoption(False, "not adopted: not trained under new seeds, so its gain cannot be told from luck")
    worst = _worst(pairs, manifest.metric)
    decision = decide(Rule((len(pairs),), ERROR), pairs, manifest.metric, worst, Earlier(NONE, NONE))
    assert isinstance(decision, Decision)
    said = _told(decision, pairs, worst, manifest)
    if manifest.judged == "test" and not (decision.proven and chance != "ok"):
        return _grounds(decision, decision.proven, f"on validation: {said}")
    return _decided(decision, said, chance)  # of a stage that searches: begun before candidates were raced


def _worst(pairs: Sequence[tuple[Outcome, Outcome]], metric: Metric) -> float:
    """What a diverged run counts as where no search says what guessing is worth: the worst that was seen."""
    values = [side.value for pair in pairs for side in pair if side.value is not None]
    return min(values, key=lambda value: metric.gain(value, 0.0), default=0.0)


def paired_outcomes(study: StudyRecord) -> list[tuple[Outcome, Outcome]]:
    """Return how selected and baseline ended under each seed that both had; lost machines say nothing of a config."""
    runs = study.repeats[study.repeats["arm"].isin([SELECTED, COMPARED]) & (study.repeats["status"] != "failed")]
    by_seed: dict[int, dict[str, Outcome]] = {}
    for _, row in runs.iterrows():
        by_seed.setdefault(int(row["seed"]), {})[str(row["arm"])] = outcome_of(row, study.manifest)
    return [(both[SELECTED], both[COMPARED]) for both in by_seed.values() if len(both) == 2]


def _raced(found: Contest, answer: Settled, manifest: Manifest, chance: str) -> Adoption:
    if not answer.decisions:
        return Adoption(False, "not adopted: no other trial finished; keep the starting config")
    own = dict(answer.decisions)
    trial = answer.use if answer.use != START else answer.decisions[0][0]
    first = found.procedure.race.seeds
    pairs = [
        (found.known[Run(trial, first + seed)], found.known[Run(START, first + seed)])
        for seed in range(own[trial].seeds)
    ]
    said = _told(own[trial], pairs, found.procedure.chance, manifest)
    if answer.use == START:
        said = f"trial {trial}, the best candidate: {said}"
    return _decided(own[trial], said, chance)


def _decided(decision: Decision, said: str, chance: str) -> Adoption:
    """What is proven is adopted, unless nothing was shown to be better than `chance`."""
    if decision.proven and chance != "ok":
        return _grounds(decision, False, f"{CHANCE[chance].why}, whatever it gains ({said})")
    return _grounds(decision, decision.proven, f"{'adopted' if decision.proven else 'not adopted'}: {said}")


def _grounds(decision: Decision, adopted: bool, why: str) -> Adoption:
    return Adoption(
        adopted,
        why,
        decision.gain,
        decision.low,
        decision.high,
        decision.confidence,
        decision.seeds,
        decision.detectable,
        decision.deaths,
        decision.start_deaths,
    )


def _told(decision: Decision, pairs: Sequence[tuple[Outcome, Outcome]], chance: float, manifest: Manifest) -> str:
    """A decision in words: from what to what, how sure, how many runs died, and what could not have been seen.

    A diverged run counts as `chance`, as it does in the gain.
    """
    metric, rival = manifest.metric, rival_name(manifest)
    ours, start = ([run.worth(chance) for run in side] for side in zip(*pairs, strict=True))
    seeds = f"{decision.seeds} new seed{'s' if decision.seeds > 1 else ''}"
    parts = [f"{metric.name} {fmean(start):.4f} to {fmean(ours):.4f} over {seeds}"]
    if decision.low is not None and decision.high is not None and decision.confidence is not None:
        interval = f"({decision.confidence:.0%} {decision.low:.4f} to {decision.high:.4f})"
        parts[0] += f", gain {decision.gain:.4f} {interval}"
    if decision.stop == "too few seeds":
        parts.append("the spread between seeds is unknown")
    elif not decision.proven:
        parts.append(_unproven(decision))
    if decision.deaths.died or decision.start_deaths.died:
        parts.append(f"it dies under {_share(decision.deaths)}, {rival} under {_share(decision.start_deaths)}")
    return "; ".join(parts)


def _unproven(decision: Decision) -> str:
    """Why a gain is not proven, and which one would have been: what is not shown is not refuted."""
    if not decision.better:
        why = "not shown to be better"
    elif decision.low is not None and decision.low <= 0:
        why = "the interval reaches zero"
    else:
        why = "too few runs to rule out that it dies under many seeds"
    return f"{why}; a gain of {decision.detectable:.4f} would have been proven in 80 %"


def _share(deaths: Deaths) -> str:
    return f"{deaths.died} of {deaths.runs} seeds ({deaths.low:.0%} to {deaths.high:.0%})"


def rival_name(manifest: Manifest) -> str:
    """Return what the selected config is measured beside."""
    if manifest.judged == "test":
        epochs = manifest.reference.epochs
        return "the paper's baseline" + (f" ({epochs} epochs)" if epochs != TrialConfig().epochs else "")
    return "the starting config" + (" with as many networks" if manifest.matching else "")


def verdict(
    study: StudyRecord, grounds: Adoption, used: int, findings: Sequence[Finding], measured: Measured = NOTHING
) -> str:
    """Return the answer in a sentence: what to do with trial `used`, and what raises a doubt."""
    if study.manifest.judged != "test":
        head = _to_do(grounds, used, findings)
    elif measured.gain:
        head = on_the_test_pairs(measured.gain)
    else:
        head = "the adopted config was not measured beside the paper's baseline"
    return with_doubts(head, findings, measured.selected)


def _to_do(grounds: Adoption, used: int, findings: Sequence[Finding]) -> str:
    if grounds.adopted:
        return "adopt the selected config"
    if _chance(findings) != "ok":
        return "adopt nothing: not shown to be better than chance"
    if used != START and grounds.gain is not None and grounds.gain > 0:
        better = "better in the mean of new seeds, which is not proven, so later stages keep the start"
        return f"use the selected config: {better}"
    return "keep the starting config"


def on_the_test_pairs(gain: Gain) -> str:
    """Return what a gain on the test pairs says; better only where its whole interval lies above zero."""
    if gain.seeds < 2:
        return "with one seed nothing tells the adopted config from the paper's baseline"
    better = "better than" if gain.low > 0 else "not shown to be better than"
    return f"on the test pairs the adopted config is {better} the paper's baseline"


def with_doubts(head: str, findings: Sequence[Finding], score: TestScore | None = None) -> str:
    """Add which checks raised a doubt, else which could not judge: one about the data or a saving is neither.

    A network that calls no test pair similar is told of too: its accuracy is the share of different pairs.
    """
    doubts = [finding.id for finding in findings if finding.severity in ("warn", "fail")]
    notes = [finding for finding in findings if finding.severity == "note" and not finding.remedy]
    open_ = [finding.id for finding in notes if finding.id != "data"]
    dead = "; it calls no similar test pair similar" if score is not None and score.jaccard == 0 else ""
    if doubts:
        return f"{head}, with doubts: {', '.join(doubts)}{dead}"
    if open_:
        return f"{head}; not settled: {', '.join(open_)}{dead}"
    return head + (dead or "; every check passed")


def overtuning(study: StudyRecord) -> Overtuning | None:
    """Return how far the best single trial fell under new seeds; None before it was trained again."""
    if not is_raced(study) or study.finished.empty:
        return None
    found, metric = contest(study), study.manifest.metric
    best = min(found.search, key=lambda n: metric.gain(0.0, found.search[n].worth(found.procedure.chance)))
    runs = [outcome.worth(found.procedure.chance) for run, outcome in found.known.items() if run.trial == best]
    if not runs:
        return None
    searched, repeated = found.search[best].worth(found.procedure.chance), fmean(runs)
    lost, spread = metric.gain(searched, repeated), float(pd.Series(runs).std(ddof=1)) if len(runs) > 1 else 0.0
    return Overtuning(best, searched, repeated, len(runs), lost, lost / spread if spread else None)


def candidate_runs(study: StudyRecord) -> pd.DataFrame:
    """Return every run under a new seed, the start's first, then the candidates', best first.

    Columns: label, value (of the metric; of a diverged run what guessing is worth), fresh (whether it decided), died.
    """
    if not is_raced(study) or study.finished.empty:
        return pd.DataFrame(columns=["label", "value", "fresh", "died"])
    found = contest(study)
    rows = []
    for trial in (START, *found.ranking()):
        name = "the start" if trial == START else f"trial {trial}, {found.arms[trial]}"
        for run, outcome in found.known.items():
            if run.trial == trial:
                value, fresh = outcome.worth(found.procedure.chance), run.seed >= found.procedure.race.seeds
                rows.append({"label": name, "value": value, "fresh": fresh, "died": outcome.died})
    return pd.DataFrame(rows, columns=["label", "value", "fresh", "died"])


def candidates(study: StudyRecord) -> tuple[Candidate, ...]:
    """Return the start and every raced candidate, best first."""
    if not is_raced(study) or study.finished.empty:
        return ()
    found, rows = contest(study), []
    chance, first = found.procedure.chance, found.procedure.race.seeds
    for trial in (START, *found.ranking()):
        own = {run.seed: outcome for run, outcome in found.known.items() if run.trial == trial}
        if not own:
            continue
        values = pd.Series([outcome.worth(chance) for outcome in own.values()])
        searched = found.search.get(trial)
        rows.append(
            Candidate(
                trial=trial,
                arm=str(found.arms.get(trial, study.manifest.arms[0])),
                search=searched.value if searched else None,
                mean=float(values.mean()),
                sd=float(values.std(ddof=1)) if len(values) > 1 else None,
                seeds=len(values),
                fresh=sum(seed >= first for seed in own),
                died=sum(outcome.died for outcome in own.values()),
            )
        )
    return tuple(rows)
