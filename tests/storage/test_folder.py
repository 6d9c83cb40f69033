"""Guards that a study folder is read back as it was written, and what is said of one that was damaged or made otherwise."""

import json
from dataclasses import replace

import pytest

from storage.best_json import Best, write_best
from storage.event_record import Files, Record
from storage.folder import newest_adopted, read_study, write_manifest
from storage.tables import EPOCH_COLUMNS, TRIAL_COLUMNS, TrialLog
from storage.whole_files import read_json, write_json, write_text
from studies.describe import notes_on_start, resumed
from tests.storage.build_manifest import described
from trainables.config import TrialConfig
from trainables.encoder_path import EncoderPath
from trainables.errors import InputError
from trainables.result import EpochMetrics, Trial, TrialResult

EPOCH = EpochMetrics(1, 0.1 + 0.2, 1 / 3, 0.5, 0.25, 0.75, 1e-3, 1.5)

TORCH = EncoderPath(False, "no compiler")


def trial(number, arm="cosine"):
    config = TrialConfig().override({"seed": 7 + number})
    return Trial(number, arm, {"optimiser.lr": 0.1 / 3, "schedule.kind": arm}, config)


def write_study(folder, **manifest):
    folder.mkdir(parents=True)
    write_manifest(folder, replace(described(), **manifest))
    log = Record(Files.of_search(folder), described().metric, ["optimiser.lr", "schedule.kind", "schedule.gamma"])
    log.started(trial(0), "ray")
    log.epoch(trial(0), EPOCH)
    log.ended(TrialResult(trial(0), "finished", 1, EPOCH, 1.5), [EPOCH])
    log.started(trial(1, 'odd, "name"\n'), "ray")
    log.ended(TrialResult(trial(1, 'odd, "name"\n'), "infeasible", 0, None, 0.0, "loss not finite, epoch 1"), [])
    return folder


def test_the_columns_are_the_contracts(tmp_path):
    """trials.csv and epochs.csv have the contract's columns, in its order, then a column a varied parameter."""
    folder = write_study(tmp_path / "s")
    contract = "trial,arm,status,seed,epochs,best_epoch,val_loss,val_accuracy,val_jaccard,val_cosine,seconds,reason"
    header = (folder / "trials.csv").read_text().splitlines()[0]
    assert header == contract + ",optimiser.lr,schedule.kind,schedule.gamma"
    assert ",".join(TRIAL_COLUMNS) == contract
    columns = "trial,epoch,train_loss,val_loss,val_accuracy,val_jaccard,val_cosine,lr,seconds,grad_norm"
    assert ",".join(EPOCH_COLUMNS) == columns
    assert (folder / "epochs.csv").read_text().splitlines()[0] == ",".join(EPOCH_COLUMNS)


def test_rows_come_back_exact(tmp_path):
    """Numbers survive to the last bit, odd names unharmed; a trial without an epoch has a row with empty figures."""
    study = read_study(write_study(tmp_path / "s"))
    assert study.epochs.iloc[0]["train_loss"] == 0.1 + 0.2
    assert study.trials.iloc[0]["optimiser.lr"] == 0.1 / 3
    assert study.trials.iloc[0]["val_loss"] == 1 / 3
    failed = study.trials.iloc[1]
    assert failed["arm"] == 'odd, "name"\n'
    assert failed["reason"] == "loss not finite, epoch 1"
    assert failed[["val_loss", "best_epoch", "schedule.gamma"]].isna().all()
    assert study.finished["trial"].tolist() == [0]


def test_epochs_of_older_studies_have_no_gradient_norm(tmp_path):
    """A record written before there was grad_norm is read, with that figure empty; any other that is missing is named."""
    folder = write_study(tmp_path / "s")
    record = folder / "search.jsonl"
    events = [json.loads(line) for line in record.read_text().splitlines()]

    def without(name):
        kept = [{key: value for key, value in event.items() if key != name} for event in events]
        record.write_text("".join(json.dumps(event) + "\n" for event in kept))

    without("grad_norm")
    epochs = read_study(folder).epochs
    assert epochs["grad_norm"].isna().all()
    assert epochs.iloc[0]["seconds"] == EPOCH.seconds
    without("seconds")
    with pytest.raises(InputError, match="seconds"):
        read_study(folder)


def test_interrupted_repeats_are_no_evidence(tmp_path):
    """A finalist's run that Ctrl-C cut off is left out when the study is read: it must not count as one that died."""
    folder = write_study(tmp_path / "s")
    log = Record(Files.of_repeats(folder), described().metric)
    for number, status, reason in ((0, "finished", ""), (1, "interrupted", ""), (2, "failed", "disk on fire")):
        run = trial(number, "baseline" if number == 1 else "selected")
        log.started(run, "ray")
        log.ended(TrialResult(run, status, 0, None, 1.5, reason), [])
    study = read_study(folder)
    assert study.repeats["trial"].tolist() == [0, 2]
    assert study.retraining[1].result is None


def test_a_study_that_runs_is_read_and_not_touched(tmp_path):
    """A reader beside the run passes over a line that is being written, and leaves it to its writer."""
    folder = write_study(tmp_path / "s")
    record = folder / "search.jsonl"
    with open(record, "a") as file:
        file.write('{"event": "epo')
    before = record.read_bytes()
    assert len(read_study(folder).search) == 2
    assert record.read_bytes() == before


def test_a_trial_that_has_not_ended_stands_in_the_table_as_cut_off(tmp_path):
    """Begun and not ended: interrupted, with its best epoch so far; and no evidence."""
    folder = write_study(tmp_path / "s")
    log = Record(Files.of_search(folder), described().metric)
    log.started(trial(2), "ray")
    log.epoch(trial(2), EPOCH)
    study = read_study(folder)
    last = study.trials.iloc[-1]
    assert (last["trial"], last["status"], last["val_loss"]) == (2, "interrupted", 1 / 3)
    assert study.evidence["trial"].tolist() == [0, 1]


def test_rows_are_there_as_soon_as_they_are_known(tmp_path):
    """Another reader sees each epoch at once: a run that dies leaves what it had."""
    log = TrialLog(tmp_path / "t.csv", tmp_path / "e.csv")
    for number in range(3):
        log.epoch(trial(0), EPOCH)
        assert len((tmp_path / "e.csv").read_text().splitlines()) == number + 2


def test_a_file_is_whole_or_not_there(tmp_path):
    """A write that fails midway leaves the old content and no other file of that name."""
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\udc80")
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def edit(folder, change):
    content = json.loads((folder / "study.json").read_text())
    change(content)
    (folder / "study.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "study.json").unlink(), "not a study folder"),
        (lambda f: (f / "study.json").write_text("{"), "study.json: not valid JSON"),
        (lambda f: (f / "study.json").write_text("[]"), "expected a JSON object"),
        (lambda f: (f / "study.json").write_text(json.dumps({"schema": 99})), "schema 99"),
        (lambda f: edit(f, lambda m: m.pop("budget")), "study.json: budget is missing"),
        (lambda f: edit(f, lambda m: m["data"].pop("digest")), "study.json: data.digest is missing"),
        (lambda f: edit(f, lambda m: m["budget"].update(trials="many")), r"budget.trials is 'many', expected int"),
        (lambda f: (f / "report.json").write_text("{}"), "report.json: verdict is missing"),
    ],
)
def test_a_damaged_folder_is_one_clear_line(tmp_path, damage, said):
    """A file that is missing, damaged or of another version raises an InputError naming it."""
    folder = write_study(tmp_path / "s")
    damage(folder)
    with pytest.raises(InputError, match=said):
        read_study(folder)


def test_the_newest_adopted_config_is_found(tmp_path):
    """Of several studies of a stage the one that finished last and was adopted gives the config; else there is none."""
    assert newest_adopted(tmp_path, "baseline") is None
    for name, finished, adopted in (("z", "2026-01-01", True), ("a", "2026-02-01", True), ("b", "2026-03-01", False)):
        folder = write_study(tmp_path / "baseline" / name, finished=finished)
        write_best(folder / "best.json", Best(TrialConfig(), adopted=adopted))
    found = tmp_path / "baseline/a/best.json", Best(TrialConfig(), adopted=True)
    assert newest_adopted(tmp_path, "baseline") == found


@pytest.mark.parametrize(
    ("before", "judged"),
    [({"examined": True}, "test"), ({"examined": False}, "start"), ({"examined": False, "parameters": []}, "chance")],
)
def test_an_older_study_says_what_it_is_measured_against(tmp_path, before, judged):
    """It has no `judged`: a study that searches meets its start, one that does not meets guessing."""
    folder = write_study(tmp_path / "s")
    content = read_json(folder / "study.json")
    assert (content.pop("judged"), content["examined"]) == ("start", False)
    write_json(folder / "study.json", content | before)
    assert read_study(folder).manifest.judged == judged


def test_a_start_found_on_other_images_is_noted(tmp_path):
    """A starting config from a study on other images, or under another split, has a note that says so; its own has none."""
    folder = write_study(tmp_path / "lr" / "s")
    data = described().data
    best = str(folder / "best.json")
    assert notes_on_start(best, data) == []
    assert notes_on_start("the baseline's config", data) == []
    (note,) = notes_on_start(best, replace(data, digest="other"))
    assert note.startswith("the starting config was found on other images, synthetic (40 simulated")
    (note,) = notes_on_start(best, replace(data, split=replace(data.split, kind="random")))
    assert "another split" in note


def test_going_on_under_other_versions_is_said_and_both_are_kept():
    """What differs is a note; the versions of the start stay, each going on under others is added once."""
    data = replace(described().data, notes=("small set",))
    started = replace(described(), versions={"python": "3.0", "torch": "1.0"}, hardware={}, data=data)
    again, note = resumed(started, TORCH)
    assert "python 3.0 to" in note and "torch 1.0 to" in note
    assert again.versions == started.versions
    assert again.resumed_under[0].versions["torch"] != "1.0"
    assert again.data.notes == ("small set", note)
    assert resumed(again, TORCH) == (again, "")


def test_going_on_with_another_encoder_is_said():
    """Compiled to torch, torch to compiled and narrower vectors are a note on the last digits; another reason is none."""
    torch, avx2, avx512 = TORCH, EncoderPath(True, "AVX2"), EncoderPath(True, "AVX-512")
    started = described()
    for before, after in ((torch, avx512), (avx512, torch), (avx512, avx2)):
        begun = replace(started, hardware={**started.hardware, "encoder": str(before)})
        again, note = resumed(begun, after)
        assert note == (
            f"resumed by another encoder ({before} to {after}): figures may differ from an unbroken run's in the last digits"
        )
        assert resumed(again, after) == (again, "")
    begun = replace(started, hardware={**started.hardware, "encoder": str(torch)})
    assert resumed(begun, EncoderPath(False, "another reason"))[1] == ""
