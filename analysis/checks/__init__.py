"""The playbook's checks on a study, a file each: each returns findings with evidence and, where it warns, what to do.

docs/design/checks.md says of each which section of the tuning playbook it follows, its rule and its measured error
rates. Numbers that the playbook does not give are ours; they stand as constants beside the check that uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.checks.boundary import boundary
from analysis.checks.chance import chance
from analysis.checks.data import data
from analysis.checks.density import density
from analysis.checks.early_best_epochs import early_best_epochs
from analysis.checks.evidence import TOP, Evidence, evidence_of
from analysis.checks.feasibility import feasibility
from analysis.checks.late_variance import late_variance
from analysis.checks.overfitting import overfitting
from analysis.checks.precedence import settled
from analysis.checks.retraining import retraining
from analysis.checks.separation import separation
from analysis.checks.training_length import LATE, epochs_to_train, longer
from analysis.checks.training_length import training_length as _training_length
from analysis.checks.training_loss import training_loss
from analysis.checks.unstable_edge import unstable_edge
from storage.finding import Finding, Remedy
from storage.folder import StudyRecord
from storage.report_json import EpochsToTrain
from trainables.result import Metric

__all__ = ["CHECKS", "LATE", "TOP", "Evidence", "Finding", "Remedy", "diagnose", "longer", "training_length"]

# In the order in which they are shown, and in which an advice holds where two contradict each other: first what makes
# every figure doubtful, then what makes runs die, then what training lacks, then what the search lacks.
CHECKS: tuple[Callable[[Evidence], list[Finding]], ...] = (
    chance,
    training_loss,
    unstable_edge,
    feasibility,
    retraining,
    early_best_epochs,
    overfitting,
    _training_length,
    boundary,
    late_variance,
    density,
    separation,
    data,
)


def diagnose(study: StudyRecord, metric: Metric) -> list[Finding]:
    """Run every check on a study, settle contradictions between their advices, and return them worst first."""
    return findings_of(evidence_of(study, metric))


def findings_of(evidence: Evidence) -> list[Finding]:
    """Run every check on `evidence`; without a finished trial only what can be said then."""
    if not (evidence.trials["status"] == "finished").any():
        return feasibility(evidence)
    return settled([finding for check in CHECKS for finding in check(evidence)])


def training_length(study: StudyRecord, findings: Sequence[Finding]) -> EpochsToTrain:
    """Return how many epochs to train next, `findings` being those of `diagnose`."""
    return epochs_to_train(evidence_of(study, study.manifest.metric), findings)
