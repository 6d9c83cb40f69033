"""What the tests of the checks ask of a study: its findings, and what the checks read of it."""

from analysis.checks import diagnose
from analysis.checks.evidence import evidence_of
from tests.build import LOSS, study

SEEDS = [("selected", "finished", 0.22 + 0.02 * k) for k in (-1, 0, 1)]  # new-seed runs that reach what was found


def found(record, check):
    """The one finding of a check in a study."""
    (finding,) = [finding for finding in diagnose(record, LOSS) if finding.id == check]
    return finding


def severities(record):
    """The severity of each finding of a study, by its id."""
    return {finding.id: finding.severity for finding in diagnose(record, LOSS)}


def evidence(**changes):
    """What the checks read of a clean study with `changes`."""
    return evidence_of(study(**changes), LOSS)
