import io
import re
from dataclasses import replace

from studies.progress import Progress
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, History, Metric, Trial, TrialResult

TWO = TrialConfig().override({"epochs": 2})


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream):
    """Three trials of two epochs: one finished, one diverged after an epoch, one running."""
    with Progress("search", [2] * 5, Metric("val_loss", "min"), stream) as progress:
        trials = [Trial(n, "cosine", {"optimiser.lr": 0.01}, TWO) for n in range(3)]
        epoch = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 1.0)
        for trial in trials:
            progress.started(trial, "ray_0")
            progress.epoch(trial, epoch)
        progress.epoch(trials[0], epoch)
        progress.ended(TrialResult(trials[0], "finished", 2, epoch, 2.0), [epoch])
        progress.ended(TrialResult(trials[1], "infeasible", 1, None, 1.0, "loss not finite"), [epoch])
        return progress.line()


def test_the_line_says_done_running_left_best_and_time():
    """Counts, the best trial with its value and config, and the time left stand in one line."""
    line = run(Terminal())
    assert line.startswith("search: 2 done, 1 running, 2 left | ")
    assert re.search(r"\d+:\d\d left", line)
    assert "best is 0: val_loss 0.4000, accuracy 90.0% (lr 0.01)" in line


def test_a_terminal_gets_one_line_redrawn():
    """On a terminal the line is rewritten in place and ends on a fresh line, never wider than the terminal."""
    stream = Terminal()
    run(stream)
    drawn = stream.getvalue()
    assert drawn.count("\n") == 1
    assert drawn.endswith("\n")
    assert all(len(part) <= 80 for part in drawn.replace("\x1b[K", "").split("\r"))


def test_anything_but_a_terminal_stays_quiet():
    """A log file gets nothing."""
    stream = io.StringIO()
    run(stream)
    assert stream.getvalue() == ""


def test_a_run_that_goes_on_counts_what_was_done():
    """Six trials of ten were done before and one begun: the line begins there, and the time left is that of the rest."""
    epoch = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0)
    ended = TrialResult(Trial(0, "cosine", {}, TWO), "infeasible", 1, None, 1.0)
    before = {n: History(Trial(n, "cosine", {}, TWO), (epoch,), ended) for n in range(6)}
    before[7] = History(Trial(7, "cosine", {}, TWO), (epoch,))
    with Progress("search", [2] * 10, Metric("val_loss", "min"), Terminal(), before) as progress:
        assert progress.line().startswith("search: 6 done, 0 running, 4 left")
        trial = Trial(6, "cosine", {}, TWO)
        progress.started(trial, "ray_6")
        progress.epoch(trial, epoch)
        assert "search: 6 done, 1 running, 3 left | 1:00 left" in progress.line()
        assert "best is" not in progress.line()


def test_a_run_that_goes_on_knows_the_best_so_far():
    """The best trial of the run before stands in the line until a better one ends."""
    epoch = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0)
    trials = [Trial(n, "cosine", {}, TWO) for n in range(2)]
    before = {0: History(trials[0], (epoch,), TrialResult(trials[0], "finished", 2, epoch, 2.0))}
    with Progress("search", [2] * 2, Metric("val_loss", "min"), Terminal(), before) as progress:
        assert "best is 0: val_loss 0.4000" in progress.line()
        better = replace(epoch, val_loss=0.3)
        progress.started(trials[1], "ray_1")
        progress.ended(TrialResult(trials[1], "finished", 2, better, 2.0), [better])
        assert "best is 1: val_loss 0.3000" in progress.line()


def test_runs_of_different_lengths_count_their_own_epochs():
    """After one epoch of ten seconds, a run of two epochs and one of five have sixty seconds left."""
    with Progress("retrain", [2, 5], Metric("val_loss", "min"), Terminal()) as progress:
        trial = Trial(0, "selected", {}, TWO)
        progress.started(trial, "ray_0")
        progress.epoch(trial, EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0))
        assert "1:00 left" in progress.line()
