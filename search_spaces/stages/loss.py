"""Stage 1: which loss?"""

from search_spaces.domain import Choice, LogUniform
from search_spaces.stage import Budget, Demo, Fixed, Parameter, Stage
from trainables.result import Metric

_L2 = LogUniform(1e-6, 1e-2)
_KOCH = {"loss.kind": "koch"}
_L1, _DISTANCE = {"network.head": "l1"}, {"network.head": "distance"}

LOSS = Stage(
    name="loss",
    question="Which loss trains the verifier that is right most often?",
    parameters=(
        Parameter(
            "loss.kind",
            "scientific",
            Choice(("bce", "contrastive", "koch")),
            "the question: the paper compared these three (section 1.9)",
        ),
        Parameter(
            "network.head",
            "scientific",
            Choice(("l1", "distance")),
            "part of the question: what a loss is taken of, the paper's weighted differences or how far apart two "
            "unit vectors lie; on faces that decided more than the network did",
        ),
        Parameter(
            "optimiser.lr",
            "nuisance",
            LogUniform(2e-4, 2e-2),
            "each loss has gradients of its own size, so each searches its own rate; the lr stage's range",
            limits=(1e-6, 0.1),
        ),
        Parameter(
            "loss.margin",
            "nuisance",
            LogUniform(0.3, 3.0),
            "a distance between two points of an 18-dimensional cube of side 1, whose diagonal is 4.2; between unit "
            "vectors, at most 2 apart, it is 1",
            only_if={"loss.kind": "contrastive"},
            limits=(0.03, 4.2),
        ),
        Parameter(
            "loss.l2_conv1",
            "nuisance",
            _L2,
            "Koch et al. penalise each layer by its own factor, up to 0.1; most of such strength kills a small network",
            only_if=_KOCH,
            limits=(1e-8, 0.1),
        ),
        Parameter("loss.l2_conv2", "nuisance", _L2, "as l2_conv1", only_if=_KOCH, limits=(1e-8, 0.1)),
        Parameter("loss.l2_conv3", "nuisance", _L2, "as l2_conv1", only_if=_KOCH, limits=(1e-8, 0.1)),
        Parameter(
            "loss.l2_fc1",
            "nuisance",
            _L2,
            "as l2_conv1; most of the weights are here",
            only_if=_KOCH,
            limits=(1e-8, 0.1),
        ),
        Parameter("loss.l2_out", "nuisance", _L2, "as l2_conv1", only_if=_KOCH, limits=(1e-8, 0.1)),
        Parameter("schedule.kind", "fixed", None, "the next stage; a constant rate before any decay (playbook)"),
        Parameter("optimiser.weight_decay", "fixed", None, "0 in the baseline; Koch's penalty is the arm that decays"),
        Parameter("augmentation.theta", "fixed", None, "a later stage"),
        Parameter("init.kind", "fixed", None, "a later stage"),
        Parameter("epochs", "fixed", None, "the lr stage answers how many"),
    ),
    metric=Metric("val_accuracy", "max"),  # the losses themselves are on different scales
    budget=Budget(trials=30, epochs=20),
    demo=Demo(trials=15, epochs=5, repeats=16),
    compared={
        "bce": {"loss.kind": "bce", **_L1},
        "contrastive": {"loss.kind": "contrastive", **_L1},
        "koch": {**_KOCH, **_L1},
        "bce on distance": {"loss.kind": "bce", **_DISTANCE},
        "contrastive on distance": {"loss.kind": "contrastive", "loss.margin": 1.0, **_DISTANCE},
    },
    length=Fixed(),
)
