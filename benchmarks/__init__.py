"""Measurements, one command each: seconds, bytes and figures, for docs/experiments.md."""
