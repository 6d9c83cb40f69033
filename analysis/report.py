"""From a study folder to its answer: best.json, report.json, the figures and one self-contained page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from analysis.checks import LATE, TOP, Finding, diagnose, training_length
from analysis.commands import is_cut_off, next_command, sync_command
from analysis.curve_chart import curve_chart
from analysis.curves import (
    axis_points,
    best_epoch_counts,
    best_so_far,
    importance_shares,
    loss_curves,
    parallel_points,
    run_curves,
)
from analysis.page import embedded, render_page
from analysis.plots import (
    draw_axes,
    draw_best_epochs,
    draw_best_so_far,
    draw_importance,
    draw_losses,
    draw_parallel,
    draw_runs,
)
from analysis.published import PUBLISHED
from analysis.scores import TestScore
from analysis.seen import seen_in_figures
from analysis.selection import Adoption, judge, ranked
from search_spaces.domain import from_dict
from search_spaces.stages import stage_named
from storage.folder import SCHEMA, StudyRecord, read_study
from storage.tables import BEST_COLUMNS
from storage.whole import write_json, write_text
from trainables.config import TrialConfig
from trainables.result import Metric

FIGURES = {
    "losses.png": "Loss of the best trials and of the starting config (trial 0). "
    "Thin: as measured; thick: moving average over 3 epochs.",
    "axes.png": "Every varied parameter: a point is a finished trial at its best epoch, the ring the selected one.",
    "parallel.png": "Parallel coordinates: a line is a finished trial, the darker the better, black the selected one; "
    "it has a gap where its arm lacks a parameter, or its value lies outside the range.",
    "importance.png": "How much each parameter matters for being among the best quarter of trials (PED-ANOVA, over all "
    "arms, for what they have in common). With few trials a hint, no more.",
    "best_so_far.png": "The best validation value so far, against trials and against the training time they took: "
    "where the line is flat, more trials of this kind bring nothing.",
    "best_epochs.png": "When trials were best: the playbook never searches the number of epochs, it reads it here.",
    "runs.png": "Loss of the retrained configs: thin for each seed, thick for the mean (moving average over 3 epochs).",
    "saliency.png": "Where the selected verifier looks: validation pairs it is sure of, right and wrong (HiResCAM).",
    "pairs.png": "Five training pairs as the report's augmentation changes them: flips and greyscale at random, "
    "theta 0.7 (a stage that does not augment trains on them unchanged).",
}


PASSED = "; every check passed"

CHANCE = {  # whether the untuned network is worth starting from, by what the check says
    "ok": Adoption(True, "adopted: the starting point, better than chance"),
    "note": Adoption(False, "not adopted: too few images or groups to tell it from chance"),
    "fail": Adoption(False, "not adopted: no better than chance"),
}

RUN_TITLES = {
    "baseline": "the report's baseline",
    "selected": "the adopted config",
    "koch": "the same with Koch's initialisation",
}


def write_report(
    folder: Path,
    scores: Mapping[str, TestScore] | None = None,
    gain: Mapping[str, float] | None = None,
    tests: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """Judge the study in `folder` and write its answer; return the path of report.html.

    `tests` are the rows of a full examination. Without `scores` (a report written again, or a run cut short) earlier
    test figures are kept as they are: nothing here looks at the test split. A study without a finished trial gets a
    report that says so, and no best.json.
    """
    study = _with_own_repeats(read_study(folder))
    metric = Metric(**study.manifest["metric"])
    findings = diagnose(study, metric)
    report: dict[str, Any] = {"schema": SCHEMA, "published": PUBLISHED}
    if study.finished.empty:
        report |= {
            "selected": None,
            "baseline": None,
            "verdict": "no trial finished: nothing can be said",
            "test": None,
            "gain": None,
            "tests": None,
            "training_length": None,
        }
    else:
        report |= _judged(study, metric, findings)
        report |= _tested(study, report, scores, gain, tests)
        if study.manifest["examined"] and report["gain"]:
            report["verdict"] = _with_doubts(_on_the_test_pairs(report["gain"]), findings)
        report["verdict"] = _with_a_dead_test(report["verdict"], report["test"])
        report["training_length"] = training_length(study, metric)
        _draw(study, metric, int(report["selected"]["trial"]))
    if is_cut_off(study):
        trials = study.manifest["budget"]["trials"]
        report["verdict"] = f"not finished: {len(study.evidence)} of {trials} trials have ended"
    report["findings"] = [finding.to_dict() for finding in findings]
    report["next"] = next_command(study, findings, bool(report["selected"] and report["selected"]["adopted"]))
    write_json(folder / "report.json", report)
    write_text(folder / "report.html", _page(study, metric, report))
    return folder / "report.html"


def _with_own_repeats(study: StudyRecord) -> StudyRecord:
    """Return the study without retrainings of another config: trials may have been added since."""
    retrained = study.manifest.get("finalists", {}).get("selected")
    if study.finished.empty or retrained is None or retrained == selected_trial(study)[1].to_dict():
        return study
    return replace(study, repeats=study.repeats.head(0), repeat_epochs=study.repeat_epochs.head(0))


def selected_trial(study: StudyRecord) -> tuple[int, TrialConfig]:
    """Return number and config of the best finished trial by validation."""
    best = ranked(study.finished, Metric(**study.manifest["metric"])).iloc[0]
    return int(best["trial"]), trial_config(study, best)


def trial_config(study: StudyRecord, row: pd.Series[Any]) -> TrialConfig:
    """Return the full config of a row of trials.csv: the study's start with its arm's and the row's values."""
    start = TrialConfig.from_dict(study.manifest["start"])
    varied = [p["path"] for p in study.manifest["parameters"] if p["domain"] and pd.notna(row[p["path"]])]
    # a column with empty cells holds whole numbers as floats, and switches as objects
    values = {path: type(start.value(path))(row[path]) for path in varied}
    own = {"seed": int(row["seed"]), "epochs": int(study.manifest["budget"]["epochs"])}
    return start.override({**study.manifest["arm_values"][row["arm"]], **values, **own})


def _judged(study: StudyRecord, metric: Metric, findings: Sequence[Finding]) -> dict[str, Any]:
    """Write best.json, and return what report.json says about the selected and the starting config."""
    best = ranked(study.finished, metric).iloc[0]
    config = trial_config(study, best)
    adoption = _adoption(study, metric, int(best["trial"]), findings)
    val = {name.removeprefix("val_"): float(best[name]) for name in BEST_COLUMNS}
    write_json(
        study.path / "best.json",
        {
            "config": config.to_dict(),
            "trial": int(best["trial"]),
            "arm": best["arm"],
            "val": {name: val[name] for name in ("loss", "accuracy", "jaccard")},
            "adopted": adoption.adopted,
            "why": adoption.why,
        },
    )
    start = study.finished[study.finished["trial"] == 0]
    compared = _baseline_config(study.manifest)
    if not (len(start) and _same_but_seed(trial_config(study, start.iloc[0]).to_dict(), compared)):
        start = start.head(0)  # no trial of this study was the report's baseline, or the start with more networks
    baseline = {
        "config": compared,
        "val": {n.removeprefix("val_"): float(start.iloc[0][n]) for n in BEST_COLUMNS} if len(start) else None,
        "runs": _runs(study, "baseline"),
    }
    selected = {"trial": int(best["trial"]), "arm": best["arm"], "config": config.to_dict(), "val": val}
    selected |= {"runs": _runs(study, "selected"), **asdict(adoption)}
    return {"selected": selected, "baseline": baseline, "verdict": _verdict(study, adoption, findings)}


def _adoption(study: StudyRecord, metric: Metric, best: int, findings: Sequence[Finding]) -> Adoption:
    """What the retrained runs say, but for one thing: what was not shown to be better than chance is never adopted."""
    adoption = _by_the_runs(study, metric, best, findings)
    chance = next((finding.severity for finding in findings if finding.id == "chance"), "ok")
    if adoption.adopted and chance != "ok":
        gained = adoption.why.partition(": ")[2]
        return replace(adoption, adopted=False, why=f"{CHANCE[chance].why}, whatever it gains ({gained})")
    return adoption


def _by_the_runs(study: StudyRecord, metric: Metric, best: int, findings: Sequence[Finding]) -> Adoption:
    finalists = study.manifest.get("finalists")
    rival = "baseline" in (set(study.repeats["arm"]) if finalists is None else finalists)
    if not rival and study.manifest["examined"] and finalists:
        return Adoption(False, "nothing was adopted on the way: the config is the report's baseline itself")
    if not rival and not any(p["domain"] for p in study.manifest["parameters"]):
        return CHANCE[next(finding.severity for finding in findings if finding.id == "chance")]
    if best == 0 and not study.manifest["examined"]:
        return Adoption(False, "not adopted: no trial beat the starting config; keep it")
    if not rival and finalists and len(study.repeats):
        return Adoption(False, "not adopted: the best trial is the starting config with as many networks; keep it")
    both = study.repeats[study.repeats["arm"].isin(["selected", "baseline"])]
    both = both[both["status"] != "failed"]  # lost workers and full memories say nothing about a config
    runs = both.assign(value=both[metric.name].where(both["status"] == "finished"))
    by_seed = runs.pivot(index="seed", columns="arm", values="value").reindex(columns=["selected", "baseline"])
    whole = by_seed.loc[runs.groupby("seed")["arm"].nunique() == 2]  # Ctrl-C may have left one side of a seed
    pairs = whole.astype(object).where(whole.notna(), None).itertuples(index=False, name=None)
    adoption = judge(metric, list(pairs), rival_name(study.manifest))
    if study.manifest["examined"]:  # the question is the test split's; validation is told beside it
        return replace(adoption, why=f"on validation: {adoption.why.partition(': ')[2]}")
    return adoption


def _baseline_config(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the selected config: its rival, itself where it has none, the start if none was retrained."""
    finalists = manifest.get("finalists", {})
    start = {**manifest["start"], "epochs": manifest["budget"]["epochs"]}
    return dict(finalists.get("baseline") or finalists.get("selected") or start)


def _same_but_seed(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {**one, "seed": None} == {**other, "seed": None}


def rival_name(manifest: Mapping[str, Any]) -> str:
    """Return what the selected config is measured beside."""
    if manifest["examined"]:
        epochs = manifest["reference"]["epochs"]
        return "the report's baseline" + (f" ({epochs} epochs)" if epochs != TrialConfig().epochs else "")
    matched = any(rival.matching for rival in stage_named(manifest["stage"]).rivals)
    return "the starting config" + (" with as many networks" if matched else "")


def _runs(study: StudyRecord, role: str) -> list[dict[str, Any]]:
    """The finished new-seed runs of a finalist: seed, best epoch and validation figures."""
    runs = study.repeats[(study.repeats["arm"] == role) & (study.repeats["status"] == "finished")]
    columns = ["seed", "best_epoch", *BEST_COLUMNS]
    return [{str(name): value for name, value in row.items()} for row in runs[columns].to_dict("records")]


def _verdict(study: StudyRecord, adoption: Adoption, findings: Sequence[Finding]) -> str:
    head = "adopt the selected config" if adoption.adopted else "keep the starting config"
    if study.manifest["examined"]:
        head = "the adopted config was not measured beside the report's baseline"
    return _with_doubts(head, findings)


def _on_the_test_pairs(gain: Mapping[str, float]) -> str:
    if gain["seeds"] < 2:
        return "with one seed nothing tells the adopted config from the report's baseline"
    better = "better than" if gain["low"] > 0 else "not shown to be better than"
    return f"on the test pairs the adopted config is {better} the report's baseline"


def _with_doubts(head: str, findings: Sequence[Finding]) -> str:
    """Add which checks raised a doubt, else which could not judge: a note about the data is neither."""
    doubts = [finding.id for finding in findings if finding.severity in ("warn", "fail")]
    open_ = [finding.id for finding in findings if finding.severity == "note" and finding.id != "data"]
    if doubts:
        return f"{head}, with doubts: {', '.join(doubts)}"
    return head + (f"; not settled: {', '.join(open_)}" if open_ else PASSED)


def _with_a_dead_test(verdict: str, test: Mapping[str, Any] | None) -> str:
    """Say of a network that calls no test pair similar that it does: its accuracy is the share of different pairs."""
    dead = test is not None and test["jaccard"] == 0
    return verdict.removesuffix(PASSED) + "; it calls no similar test pair similar" if dead else verdict


def _tested(
    study: StudyRecord,
    report: Mapping[str, Any],
    scores: Mapping[str, TestScore] | None,
    gain: Mapping[str, float] | None,
    rows: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Test figures: those of `scores`; without any, those of an earlier report on the same selection."""
    if scores is None:
        before = (
            study.report if (study.report.get("selected") or {}).get("trial") == report["selected"]["trial"] else {}
        )
        kept = {"test": _with_mean(before.get("test")), "gain": before.get("gain")}
        rows = before.get("tests") and [_with_mean(row) for row in before["tests"]]
        rival = _with_mean((before.get("baseline") or {}).get("test"))
        return kept | {"tests": rows, "baseline": report["baseline"] | {"test": rival}}
    tests = {role: _with_mean(asdict(score)) for role, score in scores.items()}
    if "baseline" not in set(study.repeats["arm"]):  # the selected config is the starting one
        tests["baseline"] = tests.get("selected")
    return {
        "test": tests.get("selected"),
        "gain": gain,
        "tests": rows and [_with_mean(row) for row in rows],
        "baseline": report["baseline"] | {"test": tests.get("baseline") or None},
    }


def _with_mean(test: Mapping[str, Any] | None) -> Any:
    """Test figures with the mean of all seeds, which the page shows: what is shown stands in the file."""
    return dict(test) | {"mean_accuracy": fmean(test["runs_accuracy"])} if test else None


# --- figures ---------------------------------------------------------------------------------------------------------


def _draw(study: StudyRecord, metric: Metric, best: int) -> None:
    figures = study.path / "figures"
    draw_losses(loss_curves(study, metric), figures / "losses.png")
    domains = {p["path"]: from_dict(p["domain"]) for p in study.manifest["parameters"] if p["domain"]}
    if domains:
        points = axis_points(study, metric, list(domains))
        draw_axes(points, domains, f"best {metric.name}", best, figures / "axes.png")
        lines = parallel_points(study, metric, domains)
        draw_parallel(lines, domains, f"best {metric.name}", best, figures / "parallel.png")
        draw_best_so_far(best_so_far(study, metric), metric.name, figures / "best_so_far.png")
        shares = importance_shares(study, metric, domains)
        if shares:
            draw_importance(shares, figures / "importance.png")
        draw_best_epochs(best_epoch_counts(study, metric, TOP), LATE, figures / "best_epochs.png")
    if study.manifest["examined"] and len(study.repeats):
        draw_runs(run_curves(study, RUN_TITLES), figures / "runs.png")


# --- the page --------------------------------------------------------------------------------------------------------


def _page(study: StudyRecord, metric: Metric, report: Mapping[str, Any]) -> str:
    trials = study.trials
    if len(study.finished):
        order = list(ranked(study.finished, metric)["trial"])
        rest = [trial for trial in trials["trial"] if trial not in set(order)]
        trials = trials.set_index("trial").loc[[*order, *rest]].reset_index()
    domains = {p["path"]: from_dict(p["domain"]) for p in study.manifest["parameters"] if p["domain"]}
    seen = seen_in_figures(study, metric, domains, RUN_TITLES if study.manifest["examined"] else {})
    return render_page(
        "report.html.jinja",
        manifest=study.manifest,
        report=report,
        metric=metric.name,
        varied=list(domains),
        chosen=chosen_values(study, report),
        trials=trials.astype(object).where(trials.notna(), None).to_dict("records"),
        figures=embedded(study.path / "figures", FIGURES, seen),
        path=study.path,
        rival=rival_name(study.manifest),
        command=shlex.join(study.manifest["argv"]),
        sync=sync_command(study.path),
        chart=curve_chart(study, metric, list(domains)),
    )


def chosen_values(study: StudyRecord, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the selected value of each varied parameter that means something in the selected arm."""
    if not report["selected"]:
        return {}
    config = TrialConfig.from_dict(report["selected"]["config"])
    return {
        p["path"]: config.value(p["path"])
        for p in study.manifest["parameters"]
        if p["domain"] and all(config.value(path) == value for path, value in p.get("only_if", {}).items())
    }
