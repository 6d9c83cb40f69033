"""The study.json of a real study, for the tests of what reads it."""

import functools

from search_spaces.stage import Budget
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.data_source import Source
from studies.describe import manifest
from studies.resources import Cluster, Node
from trainables.config import TrialConfig
from trainables.encoder_path import encoder_path
from trainables.images.synthetic import simulate
from trainables.preparation import prepare


@functools.cache
def described():
    """What a real study.json says."""
    data = prepare(simulate(40), "grouped")
    study = Study(stage_named("lr"), "s", TrialConfig(), Budget(3, 2, 1))
    return manifest(
        study, data, data.for_trials(), Source(), "the baseline's config", Cluster((Node(1),)), encoder_path()
    )
