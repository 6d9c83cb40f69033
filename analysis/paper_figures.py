"""The figures that the paper of 2023 published (section 2), as data: what ours stand beside."""

from search_spaces.stage import COMPARED, PAPER
from storage.report_json import Published

PUBLISHED = (
    Published("baseline, test pairs", role=COMPARED, task="pairs", accuracy=0.8846, jaccard=0.8109),
    Published("final (he), test pairs", role=PAPER, task="pairs", accuracy=0.9614, jaccard=0.9276),
    Published("final, ship task", role=PAPER, task="ship", accuracy=0.9585, jaccard=0.9239),
)
