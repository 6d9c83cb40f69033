"""The figures that the report of 2023 published, as data: what ours stand beside."""

PUBLISHED = (
    {"run": "baseline, test pairs", "accuracy": 0.8846, "jaccard": 0.8109},
    {"run": "final (he), test pairs", "accuracy": 0.9614, "jaccard": 0.9276},
    {"run": "final, ship task", "accuracy": 0.9585, "jaccard": 0.9239},
)
