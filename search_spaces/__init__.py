"""WHAT is asked: stages as data, their parameters with roles and ranges, and the trials that follow from a study."""
