"""The public face: what a program or a notebook needs of this project, under one name.

from siamese_search import Session

with Session("photos/") as session:
    study = session.run("lr", trials=24)
print(study.verdict, study.best.optimiser.lr)
"""

from search_spaces.domain import Choice, IntRange, LogUniform, Uniform
from search_spaces.stage import Budget, Parameter, Stage
from search_spaces.stages import STAGES
from siamese_search.session import Session
from storage.folder import StudyRecord, read_study
from trainables.base_config import Config, number, one_of
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.images.arrays import Arrays, from_dataset
from trainables.result import EpochMetrics, Metric
from trainables.task import Task, TaskData
from trainables.verifier import Verifier

__all__ = [
    "STAGES",
    "Arrays",
    "Budget",
    "Choice",
    "Config",
    "EpochMetrics",
    "InputError",
    "IntRange",
    "LogUniform",
    "Metric",
    "Parameter",
    "Session",
    "Stage",
    "StudyRecord",
    "Task",
    "TaskData",
    "TrialConfig",
    "Uniform",
    "Verifier",
    "from_dataset",
    "number",
    "one_of",
    "read_study",
]
