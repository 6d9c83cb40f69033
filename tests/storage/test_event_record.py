"""Guards that the record knows all it heard, loses one event at most, and that the tables follow from it."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.event_record import Files, Record, read_histories
from tests.storage.build_record import LOSS, epoch, trial, write
from trainables.errors import InputError
from trainables.result import trial_result

PATHS = ["optimiser.lr", "schedule.kind"]


@pytest.fixture
def written(tmp_path):
    """A finished, a diverged, a cut-off and a running trial."""
    record = Record(Files.of_search(tmp_path), LOSS, PATHS)
    write(record, 0, 3, "finished")
    write(record, 1, 1, "infeasible", "loss not finite in epoch 2")
    write(record, 2, 2, "interrupted")
    write(record, 3, 1)
    return record, tmp_path


def test_a_record_opened_again_knows_all_it_heard(written):
    """Configs, epochs to the last bit, and ends come back; what Ctrl-C cut off, or never ended, is open."""
    before, folder = written
    after = Record(Files.of_search(folder), LOSS, PATHS)
    assert after.histories == before.histories
    assert list(after.done) == [0, 1]
    assert list(after.open) == [2, 3]
    assert after.histories[0].epochs == tuple(epoch(e) for e in (1, 2, 3))
    assert after.histories[0].trial == trial(0)
    assert after.done[1].result.reason == "loss not finite in epoch 2"


def test_what_was_cut_off_is_a_failed_row_in_the_table(written):
    """The file's contract has four statuses: what Ctrl-C cut off is failed there, with the reason interrupted."""
    _, folder = written
    row = pd.read_csv(folder / "trials.csv").query("trial == 2").iloc[0]
    assert (row["status"], row["reason"], row["epochs"]) == ("failed", "interrupted", 2)


def test_a_record_of_an_older_version_calls_cut_off_trials_failed(written):
    """Written as failed, with interrupted for a reason, such a trial is open as it was then."""
    _, folder = written
    path = Files.of_search(folder).record
    now, then = '"status": "interrupted", "reason": ""', '"status": "failed", "reason": "interrupted"'
    assert path.read_text().count(now) == 1
    path.write_text(path.read_text().replace(now, then))
    assert list(Record(Files.of_search(folder), LOSS, PATHS).open) == [2, 3]


def test_a_record_of_an_older_version_has_no_gradient_norm(written):
    """Epochs written before there was grad_norm are read without it; one without a loss makes no sense."""
    _, folder = written
    path = Files.of_search(folder).record
    events = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "grad_norm"}) + "\n" for e in events))
    histories = Record(Files.of_search(folder), LOSS).histories.values()
    assert {e.grad_norm for history in histories for e in history.epochs} == {None}
    path.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "val_loss"}) + "\n" for e in events))
    with pytest.raises(InputError, match="line 2 makes no sense"):
        read_histories(path, LOSS)


def test_the_tables_follow_from_the_record(written):
    """Lost, torn or edited tables are made anew: a row for each ended trial, and for each epoch of any."""
    _, folder = written
    before = (folder / "epochs.csv").read_text()
    (folder / "trials.csv").write_text("nonsense")
    (folder / "epochs.csv").unlink()
    Record(Files.of_search(folder), LOSS, PATHS)
    assert (folder / "epochs.csv").read_text() == before
    trials = pd.read_csv(folder / "trials.csv")
    assert trials["trial"].tolist() == [0, 1]
    assert trials["status"].tolist() == ["finished", "infeasible"]
    assert sorted(path.name for path in folder.iterdir()) == ["epochs.csv", "search.jsonl", "trials.csv"]


def test_a_trial_that_goes_on_adds_its_epochs_to_those_it_had(written):
    """Handed to Ray again, an open trial keeps its epochs and config, gets the new ones, and ends once."""
    _, folder = written
    record = Record(Files.of_search(folder), LOSS, PATHS)
    record.started(trial(2), "ray_9")
    record.epoch(trial(2), epoch(3))
    curve = [epoch(e) for e in (1, 2, 3)]
    record.ended(trial_result(trial(2), "finished", curve, LOSS), curve)
    again = Record(Files.of_search(folder), LOSS, PATHS)
    assert again.done[2].epochs == tuple(curve)
    assert pd.read_csv(folder / "epochs.csv").query("trial == 2")["epoch"].tolist() == [1, 2, 3]


@given(st.data())
def test_a_cut_anywhere_loses_at_most_one_event(tmp_path_factory, data):
    """A record cut after any byte opens again, with all events but the one that was cut, and is whole from then on."""
    folder = tmp_path_factory.mktemp("cut")
    record = Record(Files.of_search(folder), LOSS)
    write(record, 0, 2, "finished")
    write(record, 1, 1)
    path = folder / "search.jsonl"
    content = path.read_bytes()
    kept = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(kept)
    Record(Files.of_search(folder), LOSS)
    assert path.read_bytes() == kept[: kept.rfind(b"\n") + 1]
    assert len(read_histories(path, LOSS)) == sum(b'"started"' in line for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "3",
        json.dumps({"event": "epoch", "trial": 99}),
        json.dumps({"event": "started", "trial": 4, "arm": "a", "overrides": {}, "config": {"optimiser": {"lr": -1}}}),
        json.dumps({"event": "invented", "trial": 0}),
        json.dumps({"event": "ended", "trial": 3, "status": "splendid", "reason": ""}),
        json.dumps({"event": "epoch", "trial": 3} | vars(epoch(7))),
    ],
)
def test_an_edited_record_is_one_clear_line(written, line):
    """A whole line that makes no sense raises InputError naming file and line; nothing is guessed."""
    _, folder = written
    with open(folder / "search.jsonl", "a") as file:
        file.write(line + "\n")
    lines = len((folder / "search.jsonl").read_text().splitlines())
    with pytest.raises(InputError, match=rf"search.jsonl: line {lines} .*damaged or edited"):
        Record(Files.of_search(folder), LOSS, PATHS)
