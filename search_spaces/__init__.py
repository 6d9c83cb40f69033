"""WHAT is searched, and how it is asked for: stages as data, one Optuna study an arm, one Ray Tune run a study."""
