"""What was noted when the images were read."""

from __future__ import annotations

from analysis.checks.evidence import Evidence
from storage.finding import Finding


def data(evidence: Evidence) -> list[Finding]:
    """Warn of pictures that stand in several classes; pass on every other note."""
    warned = [Finding("labels", "warn", text, "look at these images") for text in evidence.warnings]
    return warned + [Finding("data", "note", text) for text in evidence.notes]
