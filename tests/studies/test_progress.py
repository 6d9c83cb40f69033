"""Guards what a terminal shows while trials run, and that a log file is not drawn on but told."""

import io
import re
import sys
import time
from dataclasses import replace

import pytest

from studies.progress import Progress, closing
from trainables.config import TrialConfig
from trainables.result import EpochMetrics, History, Metric, Trial, TrialResult

TWO = TrialConfig().override({"epochs": 2})


EPOCH = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 1.0)


class Terminal(io.StringIO):
    """A terminal of 80 columns that keeps what was written; a closed one takes nothing more."""

    gone = False

    def isatty(self):
        return True

    def write(self, text):
        if self.gone:
            raise OSError("Input/output error")
        return super().write(text)


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def run(stream):
    """Three trials of two epochs: one finished, one diverged after an epoch, one running."""
    with Progress("search", [2] * 5, Metric("val_loss", "min"), stream) as progress:
        trials = [Trial(n, "cosine", {"optimiser.lr": 0.01}, TWO) for n in range(3)]
        for trial in trials:
            progress.started(trial, "ray_0")
            progress.epoch(trial, EPOCH)
        progress.epoch(trials[0], EPOCH)
        progress.ended(TrialResult(trials[0], "finished", 2, EPOCH, 2.0), [EPOCH])
        progress.ended(TrialResult(trials[1], "infeasible", 1, None, 1.0, "loss not finite"), [EPOCH])
        return progress


def shown(stream):
    """The lines that stand on the terminal at the end: what is below the last cursor movement up, without colours."""
    last = re.split(r"\x1b\[1A\x1b\[2K|\r\x1b\[2K", stream.getvalue())[-1]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).splitlines()


def test_it_says_done_running_left_best_and_time():
    """Counts, the time left, and the best trial with its value and config."""
    progress = run(Terminal())
    assert progress.counts() == "2 done, 1 running, 2 left"
    assert re.fullmatch(r"\d+:\d\d left", progress.time_left())
    assert progress.best() == "best is 0: val_loss 0.4000, accuracy 90.0% (lr 0.01)"


def test_a_terminal_gets_a_bar_with_its_numbers_and_the_best_below():
    """What stands at the end is two lines no wider than the terminal: phase, bar, counts and time; then the best so far."""
    stream = Terminal()
    progress = run(stream)
    head, best = shown(stream)
    assert re.fullmatch(r"search [━╸╺ ]+ 2 done, 1 running, 2 left \d+:\d\d left", head)
    assert len(head) <= 80
    assert best.rstrip() == progress.best()
    assert stream.getvalue().endswith("\n")


def test_a_narrow_terminal_cuts_the_lines(monkeypatch):
    """Nothing is wrapped: on 50 columns both lines are cut."""
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    run(stream)
    assert [len(line) <= 50 for line in shown(stream)] == [True, True]


def test_what_is_said_meanwhile_stands_above_the_bar(monkeypatch):
    """A line printed on the same standard error is whole, and the bar is drawn again below it; then stderr is as before."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("search", [2] * 5, Metric("val_loss", "min")):
        print("note: one of the nodes was lost", file=sys.stderr)
    assert sys.stderr is stream
    said = stream.getvalue()
    assert "note: one of the nodes was lost\n" in said
    assert said.index("note:") < said.rindex("starting workers")


def test_the_cursor_is_never_hidden():
    """A run that is killed leaves a terminal with a cursor."""
    stream = Terminal()
    run(stream)
    assert "\x1b[?25l" not in stream.getvalue()


def test_a_terminal_that_is_closed_stops_nothing():
    """Once nothing can be written any more, trials are counted and the phase ends without an error."""
    stream = Terminal()
    with Progress("search", [2] * 5, Metric("val_loss", "min"), stream) as progress:
        stream.gone = True
        trial = Trial(0, "cosine", {}, TWO)
        progress.started(trial, "ray_0")
        progress.epoch(trial, EPOCH)
    assert progress.counts() == "0 done, 1 running, 4 left"


def test_a_log_file_gets_a_plain_line_a_minute(monkeypatch):
    """A study of seconds leaves a log file empty; over ten minutes of epochs it gets ten lines, whatever asks for colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    progress = run(stream)
    assert stream.getvalue() == ""
    begun = time.monotonic()
    for seconds in range(10, 610, 10):
        monkeypatch.setattr("studies.progress.time.monotonic", lambda at=begun + seconds: at)
        progress.epoch(Trial(2, "cosine", {}, TWO), EPOCH)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert all(line.startswith("search: 2 done, 1 running, 2 left; ") for line in lines)
    assert lines[0].endswith("best is 0: val_loss 0.4000, accuracy 90.0% (lr 0.01)")
    assert "\x1b" not in stream.getvalue()


def test_a_run_that_goes_on_counts_what_was_done():
    """Six trials of ten were done before and one begun: the counts begin there, and the time left is that of the rest."""
    epoch = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0)
    ended = TrialResult(Trial(0, "cosine", {}, TWO), "infeasible", 1, None, 1.0)
    before = {n: History(Trial(n, "cosine", {}, TWO), (epoch,), ended) for n in range(6)}
    before[7] = History(Trial(7, "cosine", {}, TWO), (epoch,))
    with Progress("search", [2] * 10, Metric("val_loss", "min"), Terminal(), before) as progress:
        assert progress.counts() == "6 done, 0 running, 4 left"
        trial = Trial(6, "cosine", {}, TWO)
        progress.started(trial, "ray_6")
        progress.epoch(trial, epoch)
        assert progress.counts() == "6 done, 1 running, 3 left"
        assert progress.time_left() == "1:00 left"
        assert progress.best() == ""


def test_a_run_that_goes_on_knows_the_best_so_far():
    """The best trial of the run before is named until a better one ends."""
    epoch = EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0)
    trials = [Trial(n, "cosine", {}, TWO) for n in range(2)]
    before = {0: History(trials[0], (epoch,), TrialResult(trials[0], "finished", 2, epoch, 2.0))}
    with Progress("search", [2] * 2, Metric("val_loss", "min"), Terminal(), before) as progress:
        assert progress.best().startswith("best is 0: val_loss 0.4000")
        better = replace(epoch, val_loss=0.3)
        progress.started(trials[1], "ray_1")
        progress.ended(TrialResult(trials[1], "finished", 2, better, 2.0), [better])
        assert progress.best().startswith("best is 1: val_loss 0.3000")


def test_runs_of_different_lengths_count_their_own_epochs():
    """After one epoch of ten seconds, a run of two epochs and one of five have sixty seconds left."""
    with Progress("retrain", [2, 5], Metric("val_loss", "min"), Terminal()) as progress:
        trial = Trial(0, "selected", {}, TWO)
        progress.started(trial, "ray_0")
        progress.epoch(trial, EpochMetrics(1, 0.5, 0.4, 0.9, 0.8, 0.9, 0.01, 10.0))
        assert progress.time_left() == "1:00 left"


def test_the_answer_is_a_table_on_a_terminal_and_lines_elsewhere():
    """What a study ends with wraps within a terminal's width beside its heads; a log file gets each entry as a line."""
    entries = [("verdict", "adopt the selected config, " + "with doubts " * 10), ("next", "python run_search.py")]
    terminal, log = Terminal(), io.StringIO()
    closing(entries, terminal)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("verdict  adopt")
    assert lines[1].startswith("         ")
    closing(entries, log)
    assert log.getvalue() == "".join(f"{head}: {text}\n" for head, text in entries)
    terminal.gone = True
    closing(entries, terminal)
