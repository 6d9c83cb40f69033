"""WHAT was learned: from a study's record to selection, findings, verdict, figures and the page."""
