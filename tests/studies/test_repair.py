"""Guards what is tried again, and what is dropped, before a study goes on."""

from storage.event_record import Files, Record
from studies.checkpoint_store import trial_file
from studies.repair import drop_damaged_states, remove_retraining, reopen_given_up, repair_retraining
from studies.training import given_up_trials
from tests.storage.build_record import LOSS, epoch, write
from trainables.checkpoint import Best, to_bytes
from trainables.siamese import Siamese
from trainables.task import Task
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


def test_with_more_trials_the_search_s_own_checkpoints_are_kept(tmp_path):
    """What goes are the runs under new seeds: a trial of the search that was cut off goes on where it was."""
    search, retraining = (trial_file(tmp_path / "states" / phase, 0) for phase in ("search", "retrain"))
    weights = trial_file(tmp_path / "checkpoints", 0)
    for file in (search, retraining, weights):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"-")
    remove_retraining(tmp_path)
    assert (search.exists(), retraining.exists(), weights.exists()) == (True, False, False)


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


class Counted(Task):
    """A task whose checkpoint is the number of its epochs."""

    def resume(self, content, config, device):
        count = int(content)
        return None, Best(epoch(count) if count else None)


def test_checkpoints_of_a_task_of_one_s_own_are_read_by_it(tmp_path, capsys):
    """What its `resume` takes is kept, unless its best epoch is ahead of the record; what it refuses is dropped."""
    cut = Record(Files.of_search(tmp_path), LOSS)
    (tmp_path / "states").mkdir()
    for number, content in enumerate((b"1", b"2", b"3", b"damaged")):
        write(cut, number, 2)
        trial_file(tmp_path / "states", number).write_bytes(content)
    drop_damaged_states(cut, tmp_path / "states", Counted())
    assert [trial_file(tmp_path / "states", number).exists() for number in range(4)] == [True, True, False, False]
    assert "it has 3 epochs, the record 2; trial 2 starts again" in capsys.readouterr().err


def test_only_a_finished_run_without_weights_is_opened_again(tmp_path):
    """A run under a new seed that failed on its way has none and stays failed, or the seeds of all later runs would move."""
    record = Record(Files.of_repeats(tmp_path), LOSS)
    write(record, 0, 3, "finished"), write(record, 1, 2, "failed", "killed"), write(record, 2, 3, "finished")
    kept = trial_file(tmp_path / "checkpoints", 2)
    kept.parent.mkdir()
    kept.write_bytes(b"weights")
    repair_retraining(record, tmp_path, (), Siamese())
    assert sorted(record.open) == [0]
