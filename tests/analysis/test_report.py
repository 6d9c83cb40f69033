"""Guards what a study's report says: the config to use, whether it is adopted, on which grounds, and what to run next."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.checks import Finding, diagnose, training_length
from analysis.commands import next_command
from analysis.report import compared_config
from analysis.verdict import adoption, on_the_test_pairs, with_doubts
from search_spaces.stage import Budget
from search_spaces.stages import STAGES, stage_named
from search_spaces.study import Round, Study
from storage.data_source import Source
from storage.event_record import Files, Record
from storage.finding import Longer, MoreTrials, Narrow, Regularise, WarmUp, Widen
from storage.folder import read_study, write_manifest
from storage.report_json import Gain
from studies.describe import manifest
from studies.options import parser, request
from studies.resources import Cluster, Node
from studies.suggest import Suggester
from studies.write_up import measured
from tests.build import LOSS, right_or_guessing, saying, study
from tests.raced import score
from trainables.config import TrialConfig
from trainables.encoder_path import encoder_path
from trainables.images.synthetic import simulate
from trainables.preparation import prepare
from trainables.result import TrialResult


def record(path="results/lr/s", repeats=(), start_from="the baseline's config", seed=0, stage="lr", **changes):
    """A clean study of a stage, kept in `path`, with such runs under new seeds."""
    made = saying(study(**changes), stage=stage, name=Path(path).name, seed=seed, start_from=start_from)
    runs = right_or_guessing(pd.DataFrame(repeats, columns=["arm", "seed", "status", "val_loss"]))
    return dataclasses.replace(made, path=Path(path), repeats=runs)


REMEDIES = {
    "training length": Longer(2),
    "density": MoreTrials(2),
    "retraining": WarmUp(),
    "boundary": Widen("optimiser.lr", 0.0002, 0.04),
    "early best epochs": Narrow("optimiser.lr", 0.0002, 0.001),
}


def warn(*ids):
    return [Finding(name, "warn", "", remedy=REMEDIES[name]) for name in ids]


# as `diagnose` leaves them: longer training waits for what comes first
CONTRADICTED = [Finding("overfitting", "warn", "", remedy=Regularise()), Finding("training length", "warn", "")]


@pytest.mark.parametrize(
    ("findings", "adopted", "expected"),
    [
        ([], True, {"--stage": "regularisation", "--start": None, "--trials": None}),
        (warn("training length"), True, {"--epochs": "40", "--trials": "24", "--start": "results/lr/s/best.json"}),
        (warn("density"), False, {"--resume": "--study", "--study": "s", "--trials": "48", "--epochs": None}),
        (warn("retraining"), True, {"--resume": "--study", "--study": "s", "--trials": "48", "--start": None}),
        (warn("early best epochs"), True, {"--resume": None, "--trials": "48", "--start": "results/lr/s/best.json"}),
        (warn("boundary", "density"), False, {"--resume": None, "--trials": "48", "--epochs": "20", "--seed": None}),
        (warn("boundary", "training length"), False, {"--epochs": "40"}),
        (CONTRADICTED, False, {"--stage": "regularisation", "--epochs": "20"}),
    ],
)
def test_the_next_command_changes_what_a_finding_asks(findings, adopted, expected):
    """The command is this study with one thing changed; it parses, and carries the data along."""
    words = shlex.split(next_command(record(), findings, adopted))
    assert words[:2] == ["python", "run_search.py"]
    assert words[-2:] == ["--data", "my chips"]
    for option, value in expected.items():
        assert (words[words.index(option) + 1] if option in words else None) == value
    parser().parse_args(words[2:])


def test_the_next_command_keeps_the_users_settings():
    """Start, seed, sampler and results folder of a study that was not adopted stay what the user chose."""
    made = saying(record("elsewhere/lr/s", start_from="mine.json", seed=7), sampler="tpe")
    args = parser().parse_args(shlex.split(next_command(made, warn("boundary"), False))[2:])
    assert (str(args.start), args.seed, args.sampler, str(args.results_dir)) == ("mine.json", 7, "tpe", "elsewhere")


def test_a_range_that_a_round_would_widen_is_widened_by_the_next_command():
    """Where the loss falls right up to an end, the study is asked for more rounds; a longer one keeps those it had."""
    share = np.arange(27) // 3 / 9
    falling = record(val_loss=list(0.5 - 0.3 * share))
    args = parser().parse_args(shlex.split(next_command(falling, warn("boundary"), False))[2:])
    assert (args.resume, args.study, args.rounds, args.trials) == (True, "s", 3, None)
    own = Round(24, 12, ("cosine",), ())
    made = saying(falling, budget=Budget(36, 20, rounds=2), rounds=(own,))
    args = parser().parse_args(shlex.split(next_command(made, warn("training length"), False))[2:])
    assert (args.epochs, args.trials, args.rounds) == (40, 24, 2)


def test_the_next_stage_starts_where_the_user_did():
    """Where nothing was adopted the next stage is given this one's start and length; else it finds what was adopted."""
    made = record(start_from="mine.json")
    kept = parser().parse_args(shlex.split(next_command(made, [], False))[2:])
    assert (kept.stage, str(kept.start), kept.epochs) == ("regularisation", "mine.json", 20)
    found = parser().parse_args(shlex.split(next_command(made, [], True))[2:])
    assert (found.stage, found.start, found.epochs) == ("regularisation", None, None)


@pytest.mark.parametrize("stage", ["lr", "final"])
@pytest.mark.parametrize("ended", [0, 5, 27])
def test_a_study_that_was_cut_off_goes_on(stage, ended):
    """Before its first trial has ended, among them or in the retraining: what comes next is --resume, whatever is found."""
    cut = ["finished"] * ended + ["interrupted"] * (27 - ended)
    made = record("elsewhere/x/s", stage=stage, status=cut)
    made = saying(made, finished=None)
    args = parser().parse_args(shlex.split(next_command(made, warn("training length", "density"), False))[2:])
    assert (args.stage, args.resume, args.study, str(args.results_dir)) == (stage, True, "s", "elsewhere")
    assert (args.trials, args.epochs, args.start) == (None, None, None)


def test_after_a_good_baseline_comes_the_next_stage():
    """With every check passed the baseline stage leads to loss, in the same results folder, ready to run."""
    made = record("elsewhere/baseline/s", stage="baseline")
    args = parser().parse_args(shlex.split(next_command(made, [], True))[2:])
    assert (args.stage, str(args.results_dir), args.data) == ("loss", "elsewhere", "my chips")
    asked, stage = request(args), stage_named(args.stage)
    assert asked.study(stage, asked.starting_config(stage), "n").stage.name == "loss"


def test_after_the_final_stage_comes_the_summary():
    """Past the last stage the next command is the summary of the results folder; late best epochs still ask for more."""
    made = record("elsewhere/final/s", stage="final")
    assert next_command(made, [], True) == "python -m analysis elsewhere"
    assert "--stage final" in next_command(made, warn("training length"), True)


def test_if_nothing_finished_the_baseline_is_tried():
    """A study of which no trial finished leads to the plain baseline, not to more of the same."""
    made = record(status=["infeasible"] * 27)
    assert "--stage baseline" in next_command(made, [], False)
    assert "--start" not in next_command(made, [], False)


def runs(selected, baseline):
    rows = []
    for role, values in (("selected", selected), ("baseline", baseline)):
        rows += [(role, seed, "infeasible" if v is None else "finished", v) for seed, v in enumerate(values)]
    return rows


@pytest.mark.parametrize(
    ("selected", "baseline", "adopted", "said"),
    [
        ([0.2, 0.3, 0.25], [0.4, 0.5, 0.46], True, "over 3 new seeds"),
        ([0.2, None, 0.25], [0.4, 0.5, 0.46], False, "it dies under 1 of 3 seeds"),
        ([0.2, 0.3, 0.25], [None, None, None], False, "the starting config under 3 of 3 seeds"),
        ([0.2, 0.3, 0.25], [0.4, 0.5], False, "over 2 new seeds; the spread between seeds is unknown"),
        ([], [], False, "not compared under new seeds"),
    ],
)
def test_adoption_looks_at_every_new_seed(selected, baseline, adopted, said):
    """Runs are paired by seed; one that died decides, one that Ctrl-C left out is passed over."""
    made = record(repeats=runs(selected, baseline))
    grounds = adoption(made, findings=[])
    assert grounds.adopted == adopted
    assert said in grounds.why


def test_a_run_that_learned_nothing_has_died_in_the_last_stage_too():
    """One run of the adopted config ends at guessing: `final` counts it, on validation pairs, though nothing diverged."""
    made = record(stage="final", repeats=runs([0.2, 0.22, 0.69], [0.4, 0.42, 0.41]))
    grounds = adoption(saying(made, judged="test"), findings=[])
    assert (grounds.deaths.died, grounds.deaths.runs, grounds.start_deaths.died) == (1, 3, 0)
    assert "it dies under 1 of 3 seeds" in grounds.why


def test_runs_that_a_machine_lost_say_nothing_of_a_config():
    """A seed under which either side failed for want of memory or of a machine is left out of the comparison."""
    made = record(repeats=runs([0.2, 0.22, 0.21, 0.2, 0.9], [0.4, 0.41, 0.43, 0.42, 0.1]))
    made.repeats.loc[4, "status"] = made.repeats.loc[5, "status"] = "failed"
    grounds = adoption(made, findings=[])
    assert grounds.adopted
    assert "over 3 new seeds" in grounds.why


def test_a_dead_baseline_never_borrows_the_selected_ones_figures():
    """Where every run of the starting config died its test is None; where it is the selected config they are the same."""
    dead = record(repeats=runs([0.2, 0.3], [None, None]))
    assert measured(dead, {"selected": score(0.9)}, None, None).compared is None
    same = record(repeats=runs([0.2, 0.3], []))
    assert measured(same, {"selected": score(0.9)}, None, None).compared.accuracy == 0.9
    lost = record(repeats=runs([None], [0.3]))
    found = measured(lost, {"baseline": score(0.8)}, None, None)
    assert found.selected is None
    assert found.compared.accuracy == 0.8


@pytest.mark.parametrize(
    ("stage", "repeats", "adopted", "said"),
    [
        ("final", runs([0.2, 0.3, 0.25], [0.4, 0.5, 0.46]), True, "over 3 new seeds"),
        ("final", runs([0.2, 0.3], []), False, "the paper's baseline itself"),
        ("ensemble", runs([0.2, 0.3], []), False, "the best trial is the starting config"),
    ],
)
def test_adoption_without_a_search_or_without_a_rival(stage, repeats, adopted, said):
    """The final stage judges against the paper's baseline; where the selected config is its own rival nothing is adopted."""
    made = record(repeats=repeats, stage=stage)
    finalists = {role: TrialConfig() for role, *_ in repeats}
    made = saying(made, judged="test" if stage == "final" else "start", finalists=finalists)
    if stage == "final":
        made = saying(made, parameters=())
    grounds = adoption(made, findings=[])
    assert grounds.adopted == adopted
    assert said in grounds.why


@pytest.mark.parametrize(
    ("stage", "epochs", "rival"),
    [
        ("lr", 20, "the starting config"),
        ("ensemble", 20, "the starting config with as many networks"),
        ("final", 20, "the paper's baseline"),
        ("final", 40, "the paper's baseline (40 epochs)"),
    ],
)
def test_the_rival_is_called_what_it_is(stage, epochs, rival):
    """What did not finish is the start, in an ensemble several of it, in the final stage the paper's baseline."""
    made = record(repeats=runs([0.2, 0.3, 0.2], [None, None, None]), stage=stage)
    matching = ("ensemble.members",) if stage == "ensemble" else ()
    made = saying(
        made,
        judged="test" if stage == "final" else "start",
        matching=matching,
        reference=TrialConfig().override({"epochs": epochs}),
    )
    assert f"{rival} under 3 of 3 seeds" in adoption(made, findings=[]).why


@pytest.mark.parametrize(
    ("severity", "adopted", "said"),
    [("ok", True, "better than chance"), ("note", False, "too few images"), ("fail", False, "no better than chance")],
)
def test_an_untuned_network_is_a_start_unless_it_learned_nothing(severity, adopted, said):
    """Nothing searched, no rival: the check against chance decides, and where it cannot, the reason says so."""
    made = saying(record(), judged="chance", parameters=(), finalists={"selected": TrialConfig()})
    grounds = adoption(made, findings=[Finding("chance", severity, "")])
    assert grounds.adopted == adopted
    assert said in grounds.why


@pytest.mark.parametrize(("severity", "adopted"), [("ok", True), ("note", False), ("fail", False)])
def test_what_is_not_shown_to_be_better_than_chance_is_never_adopted(severity, adopted):
    """However much a config gains under new seeds: at chance, or where chance cannot be told, the start is kept."""
    made = record(repeats=runs([0.2, 0.21, 0.2], [0.4, 0.41, 0.4]))
    grounds = adoption(made, findings=[Finding("chance", severity, "")])
    assert grounds.adopted == adopted
    assert "val_loss 0.4033 to 0.2033" in grounds.why


def test_every_check_passed_is_said_where_every_check_could_judge():
    """A check that had to leave something open is named; a note about the data is no check."""
    ok, note = Finding("density", "ok", ""), Finding("data", "note", "small set")
    assert with_doubts("keep", [ok, note]) == "keep; every check passed"
    assert with_doubts("keep", [ok, note, Finding("chance", "note", "")]) == "keep; not settled: chance"
    assert with_doubts("keep", [*warn("density"), Finding("chance", "note", "")]) == "keep, with doubts: density"


def test_a_jaccard_of_zero_on_the_test_pairs_is_in_the_verdict():
    """A network that calls no similar test pair similar passed no check; others keep their verdict."""
    head, ok = "adopt the selected config", [Finding("density", "ok", "")]
    dead, alive = (score(0.9, jaccard=jaccard) for jaccard in (0.0, 0.1))
    assert with_doubts(head, ok, dead) == f"{head}; it calls no similar test pair similar"
    assert with_doubts(head, warn("density"), dead).endswith("doubts: density; it calls no similar test pair similar")
    assert with_doubts(head, ok, alive) == with_doubts(head, ok) == f"{head}; every check passed"


@pytest.mark.parametrize("roles", [[], ["selected"], ["selected", "baseline"]])
def test_the_baseline_s_config_trained_as_long_as_its_figures_say(roles):
    """Retrained beside the selected one, being the selected one, or not retrained: its epochs are those it was trained."""
    finalists = {role: TrialConfig() for role in roles}
    made = saying(record(), finalists=finalists, start=TrialConfig().override({"epochs": 7}))
    assert compared_config(made.manifest).epochs == 20


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Gain(0.02, 0.01, 0.03, 2), "is better than"),
        (Gain(0.0, -0.01, 0.01, 9), "is not shown to be better than"),
        (Gain(0.02, 0.01, 0.03, 1), "with one seed nothing tells"),
    ],
)
def test_the_test_pairs_verdict_needs_an_interval_and_a_second_seed(gain, said):
    """Better is said where the whole interval of the gain lies above zero, and never of single networks."""
    assert said in on_the_test_pairs(gain)


@pytest.mark.parametrize(("pace", "answer", "epochs"), [(0.03, "longer", 40), (0.4, "enough", 20), (1.0, "fewer", 20)])
def test_how_many_epochs_is_read_from_the_leading_curves(pace, answer, epochs):
    """Still falling at the end: twice as many, unless overfitting comes first; settled in the first half: fewer would do.

    Between the two these are enough.
    """
    curve = 0.1 + 0.5 * np.exp(-pace * np.arange(20))
    made = study(curve=lambda number: curve + number * 1e-4)
    length = training_length(made, diagnose(made, LOSS))
    assert (length.trained, length.answer, length.epochs) == (20, answer, epochs)
    assert length.best_epochs == (20,) * 5
    first = training_length(made, CONTRADICTED)
    assert (first.answer, first.epochs) == (answer, epochs) if answer != "longer" else ("open", 20)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("demo", [False, True])
def test_every_trial_of_every_stage_comes_back_as_it_was_trained(tmp_path, stage, demo):
    """Written down and read again, each trial of a stage, also of its demo, has the config that was trained and its row."""
    asked = stage.for_demo() if demo else stage
    planned = Study(asked, "s", TrialConfig(), Budget(12, 4, 1))
    data = prepare(simulate(40), "grouped")
    chips = (data, data.for_trials())
    write_manifest(tmp_path, manifest(planned, *chips, Source(), "", Cluster((Node(1),)), encoder_path()))
    kept = Record(Files.of_search(tmp_path), asked.metric, [p.path for p in asked.varied])
    suggester, trials = Suggester(planned, tmp_path / "journal"), []
    for number in range(12):
        trials.append(suggester.ask(number))
        kept.started(trials[-1], "ray")
        kept.ended(TrialResult(trials[-1], "finished", 0, None, 0.0), [])
    read = read_study(tmp_path)
    for trial, (_, row) in zip(trials, read.trials.iterrows(), strict=True):
        assert read.search[row["trial"]].trial == trial
        assert {path: row[path] for path in trial.overrides} == trial.overrides


@pytest.mark.parametrize(
    ("status", "count", "goes_on"), [("stopped", 5, True), ("infeasible", 5, True), ("infeasible", 27, False)]
)
def test_a_search_that_was_cut_off_before_a_trial_finished_goes_on(status, count, goes_on):
    """Stopped by a scheduler, or diverged: only where all trials have ended is there nothing to resume."""
    made = study(status=[status] * 27)
    made = dataclasses.replace(made, trials=made.trials.head(count), path=Path("results/lr/s"))
    made = saying(made, finished=None, budget=Budget(27, 20, 20))
    assert ("--resume" in next_command(made, [], adopted=False)) == goes_on


def test_a_study_cut_off_in_its_retraining_says_no_more_than_it_knows():
    """With a rival still to be retrained nothing is called the same config as another; it is not retrained, or not whole."""
    made = record(repeats=runs([0.2], []), stage="final")
    both = {"selected": TrialConfig(), "baseline": TrialConfig()}
    made = saying(made, judged="test", parameters=(), finalists=both)
    assert "not trained under new seeds" in adoption(made, findings=[]).why
