"""Guards what is tried again, and what is dropped, before a study goes on."""

from storage.event_record import Files, Record
from studies.checkpoint_store import trial_file
from studies.repair import drop_damaged_states, reopen_given_up
from studies.training import given_up_trials
from tests.storage.test_event_record import LOSS, write
from trainables.checkpoint import Best, to_bytes
from trainables.siamese import Siamese
from trainables.training import Run


def test_a_start_without_hope_says_its_reason_and_may_be_tried_again(tmp_path, capsys):
    """Search or retraining: what failed when a run was given up is begun anew by the next, whatever had ended before."""
    before = Record(Files.of_repeats(tmp_path), LOSS)
    write(before, 0, 3, "finished"), write(before, 1, 1, "failed", "a bug")
    broken = Record(Files.of_repeats(tmp_path), LOSS)
    for number in range(2, 5):
        write(broken, number, 1, "failed", f"no room on the device ({number})")
    cost = given_up_trials(broken, "retraining")
    said = "the first 3 trials of this retraining all failed, the last with: no room on the device (4)"
    assert said in capsys.readouterr().err
    mended = Record(Files.of_repeats(tmp_path), LOSS)
    reopen_given_up(mended, ())
    assert not mended.open
    reopen_given_up(mended, cost)
    assert (sorted(mended.done), sorted(mended.open)) == ([0, 1], [2, 3, 4])


def test_one_trial_that_ended_is_hope_enough(tmp_path):
    """Where one of three was trained to its end the two that failed stay failed; where none was, all are tried again."""
    mixed = Record(Files.of_repeats(tmp_path), LOSS)
    for number in (1, 2):
        write(mixed, number, 1, "failed", "killed")
    write(mixed, 0, 3, "finished")
    reopen_given_up(mixed, ())
    assert not mixed.open
    alone = Record(Files.of_search(tmp_path), LOSS)
    write(alone, 0, 1, "failed", "killed")
    reopen_given_up(alone, ())
    assert sorted(alone.open) == [0]


def test_a_checkpoint_ahead_of_the_record_is_dropped(tmp_path, capsys):
    """A power cut may cost the record its last epochs and not the checkpoint: the trial then starts again, and says so."""
    cut = Record(Files.of_search(tmp_path), LOSS)
    write(cut, 0, 1), write(cut, 1, 2)
    for number, trial in enumerate(history.trial for history in cut.open.values()):
        run = Run.fresh(trial.config)
        run.epoch = 2
        state = trial_file(tmp_path / "states", number)
        state.parent.mkdir(exist_ok=True)
        state.write_bytes(to_bytes(trial.config, run, Best()))
    drop_damaged_states(cut, tmp_path / "states", Siamese())
    assert [trial_file(tmp_path / "states", number).exists() for number in (0, 1)] == [False, True]
    assert "it has 2 epochs, the record 1; trial 0 starts again" in capsys.readouterr().err
