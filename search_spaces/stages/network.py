"""Which network, for pictures that want another than the paper's? Asked where a user says so."""

from search_spaces.domain import Choice, LogUniform
from search_spaces.stage import Budget, Demo, Fixed, Parameter, Stage
from trainables.config import SIDE
from trainables.result import Metric

NETWORK = Stage(
    name="network",
    question="Which network, at which cost?",
    parameters=(
        Parameter(
            "network.encoder",
            "scientific",
            Choice(("report", "small", "resnet18")),
            "the question: a network of 2023 for radar chips, one of today's making, and the field's usual one; Koch "
            "et al.'s is left out: 39 million parameters for one side cost most and fit least",
        ),
        Parameter(
            "network.width",
            "scientific",
            Choice((16, 32)),
            "part of the question: does the small network want more channels? Twice as many cost three times as much",
        ),
        Parameter(
            "optimiser.lr",
            "nuisance",
            LogUniform(1e-4, 2e-2),
            "each network searches its own; the lr stage's range, and half of its low end for the deepest",
            limits=(1e-6, 0.1),
        ),
        Parameter(
            "optimiser.weight_decay",
            "nuisance",
            LogUniform(1e-5, 3e-2),
            "interacts with the rate, and large networks may want more of it; the lr stage's range",
            limits=(1e-7, 0.3),
        ),
        Parameter(
            "data.side",
            "fixed",
            None,
            "the start's, 75 for the paper's network, which takes no other; images are read at the largest",
        ),
        Parameter("network.depth", "fixed", None, "four blocks leave a map of four by four at side 75"),
        Parameter("network.embedding", "fixed", None, "64 numbers a chip are enough for a few hundred classes"),
        Parameter("network.head", "fixed", None, "one head, so that encoders are compared"),
        Parameter("batch_size", "fixed", None, "sets speed, not quality, once the rate is tuned (playbook)"),
        Parameter("loss.kind", "fixed", None, "a later stage"),
        Parameter("schedule.kind", "fixed", None, "a later stage; a constant rate before any decay (playbook)"),
        Parameter("augmentation.theta", "fixed", None, "a later stage; a large network may gain more from it"),
        Parameter("epochs", "fixed", None, "the lr stage answers how many; a large network may want more"),
    ),
    metric=Metric("val_accuracy", "max"),  # a large network is wrong with more confidence: its loss says less of it
    budget=Budget(trials=24, epochs=20, repeats=10),
    demo=Demo(trials=6, epochs=5, repeats=6, without=("small 32", "resnet18")),
    compared={
        "report": {
            "network.encoder": "report",
            "network.width": 16,
            "data.side": SIDE,
            "augmentation.crop": 0.0,
            "augmentation.turn": 0.0,
            "augmentation.brightness": 0.0,
        },
        "small 16": {"network.encoder": "small", "network.width": 16, "network.batch_norm": False},
        "small 32": {"network.encoder": "small", "network.width": 32, "network.batch_norm": False},
        "resnet18": {"network.encoder": "resnet18", "network.width": 16, "network.batch_norm": False},
    },
    length=Fixed(),
)
