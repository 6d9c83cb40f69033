"""WHAT we learned: the study folder, selection, the playbook's checks, figures, the test split, the report."""
