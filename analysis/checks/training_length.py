"""How many epochs? (playbook: deciding how long to train; still improving, and saturated long before the end)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.checks.evidence import TOP, Evidence
from analysis.checks.trend import late, trend
from storage.finding import Finding, Longer, Shorter, not_judged
from storage.report_json import Answer, EpochsToTrain

ID = "training length"
LATE = 0.75  # of the epochs (playbook): where best epochs that ask for more begin; drawn, not tested
LAST = 0.40  # of the epochs: the part in which a trend is looked for
LEVEL = 0.025  # below 5 %, since leading trials are those with lucky late epochs
ANNEALED = 0.5  # a last rate below this share of the highest makes losses fall at the end whatever is left to learn
STILL = 0.05  # relative: a part of training that brings less than this is not worth its time (ours)
SAVED = 0.5  # of the epochs are left where the second half brought less
LONG = 8  # epochs of which a half can be spared


@dataclass(frozen=True)
class Length:
    """The answer; `said` are its numbers."""

    answer: Answer
    said: str


def training_length(evidence: Evidence) -> list[Finding]:
    """Warn if the leading trials still improve at the end; note if the second half of the epochs brought nothing."""
    if evidence.alive.empty:
        return [not_judged(ID, "no trial learned anything")]
    length = length_of(evidence)
    if length.answer == "longer":
        return [Finding(ID, "warn", length.said, f"still improving: {Longer(2).words}", Longer(2))]
    if length.answer == "fewer":
        return [Finding(ID, "note", length.said, Shorter(SAVED).words, Shorter(SAVED))]
    return [not_judged(ID, length.said) if length.answer == "open" else Finding(ID, "ok", length.said)]


def length_of(evidence: Evidence) -> Length:
    """Answer from the leading trials and the selected config's new-seed runs together.

    Whether longer training helps is asked of those whose rate does not fall much: where it does, the loss falls with it
    until the last epoch. They are looked for in the better half of the trials.
    """
    alive = evidence.alive
    top = list(alive.head(TOP)["trial"])
    all_curves = _with_runs(evidence, top, evidence.curves(top, "val_loss"))
    if saturated(all_curves):
        change = f"the second half of {all_curves.shape[1]} epochs brought less than {STILL:.0%}"
        return Length("fewer", f"of {len(all_curves)} leading runs {change}")
    half = list(alive.head(max(TOP, len(alive) // 2))["trial"])
    steady = [trial for trial in half if not annealed(evidence.curves([trial], "lr"))][:TOP]
    curves = evidence.curves(steady, "val_loss")
    curves = _with_runs(evidence, steady, curves)
    if not len(curves):
        return Length("open", "the rate of all leading trials falls towards the end, and the loss with it")
    line = trend(curves, late(curves.shape[1], LAST))
    if line is None:
        return Length("open", f"{curves.shape[1]} epochs are too few to see a trend")
    said = f"over the last {line.epochs} of {curves.shape[1]} epochs the validation loss of {len(curves)} leading runs "
    said += f"changes by {line.change:+.1%}"
    return Length("longer" if line.p_falling() < LEVEL and line.change < -STILL else "enough", said)


def saturated(curves: NDArray[np.float64]) -> bool:
    """Return whether the second half of `curves` (runs, epochs) surely brought less than `STILL`, and did not rise."""
    epochs = curves.shape[1]
    if epochs < LONG:
        return False
    line = trend(curves, epochs // 2)
    return line is not None and line.lowest_change(1 - LEVEL) > -STILL and line.change < STILL


def annealed(rates: NDArray[np.float64]) -> bool:
    """Return whether learning rates (runs, epochs) end far below their highest; an unknown rate counts as constant."""
    if not rates.size or np.isnan(rates).any():
        return False
    return bool(np.any(rates[:, -1] < ANNEALED * rates.max(1)))


def epochs_to_train(evidence: Evidence, findings: Sequence[Finding]) -> EpochsToTrain:
    """Return how many epochs to train next: twice as many where that is `longer`, the same otherwise.

    It is not where `findings`, of which none contradict each other, ask for something else first.
    """
    finished = evidence.alive if len(evidence.alive) else evidence.trials[evidence.trials["status"] == "finished"]
    top = finished.head(TOP)
    trained = int(top["epochs"].max())
    answer: Answer = length_of(evidence).answer if len(evidence.alive) else "open"
    if answer == "longer" and not longer(findings):
        answer = "open"
    best = tuple(int(epoch) for epoch in top["best_epoch"])
    return EpochsToTrain(trained, best, answer, 2 * trained if answer == "longer" else trained)


def longer(findings: Sequence[Finding]) -> bool:
    """Return whether to train longer: a finding asks for it, and none that comes first asks for the opposite."""
    return any(isinstance(finding.remedy, Longer) for finding in findings)


def _with_runs(evidence: Evidence, trials: list[int], curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the new-seed curves of the config to use, if its trial is among them."""
    if evidence.used not in trials:
        return curves
    runs = evidence.run_curves("selected", "val_loss")
    return np.concatenate([curves, runs]) if runs.shape[1] == curves.shape[1] else curves
