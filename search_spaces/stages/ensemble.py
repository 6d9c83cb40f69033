"""Stage 5: is the average of several networks better than the best of as many?"""

from search_spaces.domain import Choice, IntRange
from search_spaces.stage import Budget, Demo, Parameter, Rival, Stage
from trainables.result import Metric

ENSEMBLE = Stage(
    name="ensemble",
    question="Is the average of several networks better than the best single one of as many?",
    parameters=(
        Parameter(
            "ensemble.combine",
            "scientific",
            Choice(("best", "average")),
            "the question: every arm trains the same number of networks; one keeps the best by validation",
        ),
        Parameter(
            "ensemble.second_init",
            "scientific",
            Choice(("same", "he_fan_in", "koch")),
            "the paper averaged He's as it writes it and Koch's, which failed; He et al.'s is tried too",
        ),
        Parameter(
            "ensemble.members",
            "nuisance",
            IntRange(2, 5),
            "networks for one answer: two are the least, beyond five a user pays more than averaging brings",
            limits=(2, 5),
        ),
        Parameter("optimiser.lr", "fixed", None, "tuned for a single network"),
        Parameter(
            "init.kind",
            "fixed",
            None,
            "that of the first, third and fifth member; decided by the stage before; He's in the paper's own ensemble",
        ),
        Parameter("augmentation.theta", "fixed", None, "decided by an earlier stage"),
        Parameter("epochs", "fixed", None, "answered by the lr stage"),
    ),
    metric=Metric("val_loss", "min"),
    budget=Budget(trials=20, epochs=20),
    demo=Demo(trials=5, epochs=10, repeats=26, fixes={"ensemble.members": 2}),  # the paper's own ensemble
    compared={
        "best": {"ensemble.combine": "best", "ensemble.second_init": "same"},
        "average, same": {"ensemble.combine": "average", "ensemble.second_init": "same"},
        "average with he_fan_in": {"ensemble.combine": "average", "ensemble.second_init": "he_fan_in"},
        "average, he with koch": {
            "ensemble.combine": "average",
            "ensemble.second_init": "koch",
            "init.kind": "he",
        },
    },
    rivals=(Rival("baseline", "start", matching=("ensemble.members",)),),
)
