"""Guards that suggestions follow from study and seed alone, and that Optuna is told the truth."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import qmc

from search_spaces.domain import LogUniform
from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import SAMPLERS, Round, Study
from studies.suggest import Suggester, disagreements, journal_states
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.result import EpochMetrics, History, TrialResult

LR = stage_named("lr")
STUDY = Study(LR, "s", TrialConfig(), Budget(30, 5))


def metrics(epoch, loss):
    return EpochMetrics(epoch, loss, loss, 0.5, 0.5, 0.5, 0.1, 1.0)


def result(trial, status="finished", loss=0.5, epochs=5):
    return TrialResult(trial, status, epochs, metrics(1, loss) if epochs else None, 1.0)


def suggestions(study, journal, count, in_flight=1):
    """Ask for `count` trials with `in_flight` of them open at a time; return their overrides."""
    suggester = Suggester(study, journal)
    open_trials, asked = [], []
    for number in range(count):
        if len(open_trials) == in_flight:
            suggester.ended(result(open_trials.pop(0)), [])
        asked.append(suggester.ask(number))
        open_trials.append(asked[-1])
    return [trial.overrides for trial in asked]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_lie_in_their_arms_ranges(tmp_path, sampler):
    """Every suggestion after the start has its arm's parameters, each inside its range."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    for number, overrides in enumerate(suggestions(study, tmp_path / "j", 18)):
        arm = study.arm_of(number)
        assert set(overrides) == {*arm.values, *(p.path for p in arm.nuisance)}
        if number:
            assert all(p.domain.contains(overrides[p.path]) for p in arm.nuisance)


def test_tpe_explores_as_long_before_minutes_are_planned_as_after(tmp_path):
    """Begun with a trial of each arm, or resumed as planned, a study by minutes draws the same first ten of an arm."""
    begun = dataclasses.replace(STUDY, sampler="tpe").within(5)
    planned = dataclasses.replace(begun, budget=dataclasses.replace(begun.budget, trials=60))
    first, resumed = (suggestions(study, tmp_path / str(study.budget.trials), 30) for study in (begun, planned))
    assert begun.budget.trials == 3
    assert first == resumed


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_suggestions_do_not_depend_on_how_many_run_at_once(tmp_path, sampler):
    """One at a time or eight at once, the k-th trial has the same values."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    assert suggestions(study, tmp_path / "a", 24, 1) == suggestions(study, tmp_path / "b", 24, 8)


@pytest.mark.parametrize("sampler", ["qmc", "random"])
@pytest.mark.parametrize(("stage", "path"), [("ensemble", "ensemble.members"), ("init", "optimiser.lr")])
def test_arms_that_search_the_same_get_the_same_points(tmp_path, stage, path, sampler):
    """The arms search in step, so no arm's ensembles have more networks; the start's own trial takes one turn of its arm."""
    made = Study(stage_named(stage), "s", TrialConfig(), Budget(20, 5), sampler=sampler)
    values = [overrides[path] for overrides in suggestions(made, tmp_path / "j", 20)]
    own, *others = (values[place::4] for place in range(4))
    assert others[0] == others[1] == others[2]
    assert own[1:] == others[0][:-1]
    assert len(set(others[0])) > 2


def test_a_start_that_is_a_point_of_the_sequence_is_not_drawn_again(tmp_path):
    """An earlier stage of the same seed found the start at a point of this one's: its arm has the other points alone."""
    made = Study(stage_named("init"), "s", TrialConfig(), Budget(20, 5))
    rates = [overrides["optimiser.lr"] for overrides in suggestions(made, tmp_path / "j", 24)][1::4]
    again = dataclasses.replace(made, start=made.start.override({"optimiser.lr": rates[2]}))
    own, *others = ([o["optimiser.lr"] for o in suggestions(again, tmp_path / "k", 24)][place::4] for place in range(4))
    assert others[0] == others[1] == others[2] == rates
    assert own == [rates[2], rates[0], rates[1], *rates[3:]]


def test_quasi_random_points_are_evener_than_random_ones(tmp_path):
    """In every arm, with eight in flight, 40 points from the first on have under half the discrepancy of random ones."""
    spread = {}
    for sampler in ("qmc", "random"):
        study = dataclasses.replace(STUDY, sampler=sampler)
        asked = suggestions(study, tmp_path / sampler, 121, in_flight=8)
        for arm in study.arms():
            points = [
                [p.domain.position(overrides[p.path]) for p in arm.nuisance]
                for overrides in asked[1:]
                if overrides["schedule.kind"] == arm.name
            ]
            spread[sampler, arm.name] = qmc.discrepancy(np.array(points)[:40])
    for arm in STUDY.arms():
        assert spread["qmc", arm.name] < 0.5 * spread["random", arm.name]


def test_a_start_inside_the_space_is_told_to_the_sampler(tmp_path):
    """A start with weight decay in range enters Optuna with its values; the baseline's 0 does not, but is run."""
    inside = TrialConfig().override({"optimiser.weight_decay": 1e-4})
    for start, params in ((inside, {"optimiser.lr": 0.001, "optimiser.weight_decay": 1e-4}), (TrialConfig(), {})):
        journal = tmp_path / f"{len(params)}"
        suggester = Suggester(dataclasses.replace(STUDY, start=start), journal)
        trial = suggester.ask(0)
        suggester.ended(result(trial), [])
        assert trial.config.override({"seed": 0, "epochs": 20}) == start
        assert journal_states(journal)["lr/s/constant"][0]["params"] == params


def test_optuna_is_told_the_truth(tmp_path):
    """Finished is COMPLETE with its best value, stopped PRUNED, diverged and failed FAIL."""
    suggester = Suggester(STUDY, tmp_path / "j")
    trials = [suggester.ask(number) for number in range(8)]
    for trial, status in zip(trials, ["finished", "stopped", "infeasible", "failed"] * 2, strict=True):
        epochs = [metrics(1, 0.9), metrics(2, 0.4)] if status in ("finished", "stopped") else []
        suggester.ended(result(trial, status, loss=0.4), epochs)
    states = {t["trial"]: (t["state"], t["value"]) for arm in journal_states(tmp_path / "j").values() for t in arm}
    expected = {
        "finished": ("COMPLETE", 0.4),
        "stopped": ("PRUNED", 0.4),
        "infeasible": ("FAIL", None),
        "failed": ("FAIL", None),
    }
    for number, status in enumerate(["finished", "stopped", "infeasible", "failed"] * 2):
        assert states[number] == expected[status]


def test_tpe_learns_from_what_it_is_told(tmp_path):
    """On a bowl in log lr, the last 20 of 60 TPE suggestions an arm lie twice as near the bottom as random ones."""
    misses = {}
    for sampler in ("tpe", "random"):
        suggester = Suggester(dataclasses.replace(STUDY, sampler=sampler), tmp_path / sampler)
        late = []
        for number in range(180):
            trial = suggester.ask(number)
            miss = abs(LR.varied[1].domain.position(trial.config.optimiser.lr) - 0.3)
            suggester.ended(result(trial, loss=miss**2), [])
            late += [miss] if number >= 120 else []
        misses[sampler] = np.mean(late)
    assert misses["tpe"] < 0.5 * misses["random"]


def histories(study, journal, count, ended):
    """Ask for `count` trials; return what a record would know of them, the first `ended` of them finished."""
    suggester = Suggester(study, journal)
    known = {}
    for number in range(count):
        trial = suggester.ask(number)
        suggester.started(trial, f"ray_{number}")
        known[number] = History(trial, ray=f"ray_{number}")
        if number < ended:
            known[number] = dataclasses.replace(known[number], epochs=(metrics(1, 0.5),), result=result(trial))
            suggester.ended(known[number].result, known[number].epochs)
    return known


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_storage_is_made_anew_from_the_record(tmp_path, sampler):
    """From a record alone a new storage has each trial once with its config, ended as recorded, the open ones RUNNING."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    known = histories(study, tmp_path / "a", 9, ended=6)
    (tmp_path / "a").write_text("damaged")
    suggester = Suggester(study, tmp_path / "a", known)
    stored = {t["trial"]: t for arm in journal_states(tmp_path / "a").values() for t in arm}
    assert {number: t["state"] for number, t in stored.items()} == {
        n: "COMPLETE" if n < 6 else "RUNNING" for n in range(9)
    }
    assert {number: t["ray"] for number, t in stored.items()} == {number: f"ray_{number}" for number in range(9)}
    for number in range(1, 9):
        assert all(known[number].trial.config.value(path) == value for path, value in stored[number]["params"].items())
    for number in range(6, 9):
        suggester.ended(result(known[number].trial), [])
    assert disagreements(tmp_path / "a", known) == 3  # the record still calls them open


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_a_study_gone_on_with_suggests_what_it_would_have(tmp_path, sampler):
    """After a restart the next trials are those of a study that was never interrupted."""
    study = dataclasses.replace(STUDY, sampler=sampler)
    unbroken = suggestions(study, tmp_path / "a", 18)
    suggester = Suggester(study, tmp_path / "b", histories(study, tmp_path / "b", 7, ended=5))
    assert [suggester.ask(number).overrides for number in range(7, 18)] == unbroken[7:]


def test_a_record_of_another_space_is_refused(tmp_path):
    """If today's suggestion is not what the record has, going on would mix two searches: InputError."""
    known = histories(dataclasses.replace(STUDY, seed=1), tmp_path / "a", 4, ended=4)
    with pytest.raises(InputError, match="would get another config today"):
        Suggester(STUDY, tmp_path / "a", known)


@pytest.mark.parametrize("damage", ["torn", "gone", "nonsense", "locked"])
def test_a_damaged_storage_stops_nothing(tmp_path, damage):
    """A torn, lost or senseless journal, or a lock left by a dead process, is counted as disagreement and replaced."""
    journal = tmp_path / "a"
    known = histories(STUDY, journal, 6, ended=6)
    assert disagreements(journal, known) == 0
    content = journal.read_bytes()
    match damage:
        case "torn":
            journal.write_bytes(content[: len(content) // 2])
        case "gone":
            journal.unlink()
        case "nonsense":
            journal.write_bytes(b"{\n" + content)
        case "locked":
            journal.with_name("a.lock").symlink_to(journal)
    assert disagreements(journal, known) == 0 if damage == "locked" else disagreements(journal, known) > 0
    Suggester(STUDY, journal, known)
    assert disagreements(journal, known) == 0


WIDER = Round(
    12,
    6,
    ("exponential", "cosine"),
    (),
    {"optimiser.lr": LogUniform(2e-4, 0.1)},
    {"optimiser.lr": LogUniform(5e-3, 0.1)},
)
WARMED = Round(18, 3, ("cosine",), (), WIDER.ranges, {}, {"schedule.warmup": 1.0})


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_round_has_its_own_arms_ranges_and_values(tmp_path, sampler):
    """From its first trial on: its arms in turn, rates from its part of the range, its values in every config."""
    made = dataclasses.replace(STUDY, budget=Budget(21, 5, rounds=3), sampler=sampler, rounds=(WIDER, WARMED))
    suggester = Suggester(made, tmp_path / "j")
    trials = [suggester.ask(number) for number in range(21)]
    assert [trial.arm for trial in trials[12:18]] == ["exponential", "cosine"] * 3
    assert all(2e-4 <= trial.config.optimiser.lr <= 2e-2 for trial in trials[1:12])
    assert all(5e-3 <= trial.config.optimiser.lr <= 0.1 for trial in trials[12:18])
    assert max(trial.config.optimiser.lr for trial in trials[12:18]) > 2e-2
    assert [trial.config.schedule.warmup for trial in trials] == [0.0] * 18 + [1.0] * 3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_round_that_is_planned_on_the_way_gives_the_same_trials(tmp_path, sampler):
    """Told of its rounds one by one as they come, or of all of them beforehand, a search asks for the same."""
    whole = dataclasses.replace(STUDY, budget=Budget(21, 5, rounds=3), sampler=sampler, rounds=(WIDER, WARMED))
    one, other = Suggester(whole, tmp_path / "a"), Suggester(whole.as_asked(), tmp_path / "b")
    expected, asked = [], []
    for number in range(21):
        if number in (12, 18):
            other.follow(dataclasses.replace(whole, rounds=whole.rounds[: 1 + (number == 18)]))
        for suggester, said in ((one, expected), (other, asked)):
            said.append(suggester.ask(number))
            suggester.ended(result(said[-1], loss=0.5 + 0.01 * number), [])
    assert asked == expected


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("known", [5, 12, 14, 18, 20])
def test_a_study_with_rounds_goes_on_where_it_was(tmp_path, sampler, known):
    """Cut off in any round, or between two, the record is told again, and the next trial is as it would have been."""
    made = dataclasses.replace(STUDY, budget=Budget(21, 5, rounds=3), sampler=sampler, rounds=(WIDER, WARMED))
    suggester, histories = Suggester(made, tmp_path / "a"), {}
    for number in range(known):
        trial = suggester.ask(number)
        ended = result(trial, loss=0.5 + 0.01 * number)
        suggester.ended(ended, [])
        histories[number] = History(trial, (), ended, "ray")
    resumed = Suggester(made, tmp_path / "b", histories)
    again, before = resumed.ask(known), suggester.ask(known)
    if sampler == "tpe":  # what it suggests is its own; where it asks is not
        assert (again.arm, set(again.overrides)) == (before.arm, set(before.overrides))
    else:
        assert again == before
