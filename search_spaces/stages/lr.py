"""Stage 2: which learning rate, under which schedule?"""

from search_spaces.domain import Choice, LogUniform, Uniform
from search_spaces.stage import Budget, Demo, Doubling, Parameter, Stage
from trainables.result import Metric

LR = Stage(
    name="lr",
    question="Which learning rate and schedule train this network best?",
    parameters=(
        Parameter(
            "schedule.kind",
            "scientific",
            Choice(("constant", "exponential", "cosine")),
            "the question: the paper went from none to exponential; the playbook prefers cosine or linear decay",
        ),
        Parameter(
            "optimiser.lr",
            "nuisance",
            LogUniform(2e-4, 2e-2),
            "the best rate differs with the schedule, so each schedule searches its own; "
            "two decades round the paper's 0.001 and 0.01; above 0.02 the network dies under many seeds",
            limits=(1e-6, 0.1),
        ),
        Parameter(
            "schedule.gamma",
            "nuisance",
            Uniform(0.7, 0.99),
            "decay per epoch; the paper's 0.9 inside, from nearly constant to a tenth within seven epochs",
            only_if={"schedule.kind": "exponential"},
            limits=(0.5, 1.0),
        ),
        Parameter(
            "schedule.floor",
            "nuisance",
            Uniform(0.0, 0.2),
            "last rate over first; 0 is the textbook cosine, 0.2 leaves a fifth",
            only_if={"schedule.kind": "cosine"},
            limits=(0.0, 1.0),
        ),
        Parameter(
            "optimiser.weight_decay",
            "nuisance",
            LogUniform(1e-5, 3e-2),
            "interacts with the rate, so it must not be fixed while rates are compared; the paper's 2.5e-4 inside",
            limits=(1e-7, 0.3),
        ),
        Parameter("epochs", "fixed", None, "the playbook never searches training length; see the best-epoch finding"),
        Parameter(
            "batch_size", "fixed", None, "sets speed, not quality, once the rate is tuned (playbook: batch size)"
        ),
        Parameter("loss.kind", "fixed", None, "decided by the stage before"),
        Parameter("init.kind", "fixed", None, "a later stage; the best rate may shift with it"),
        Parameter("augmentation.theta", "fixed", None, "a later stage; the best rate may shift with it"),
    ),
    metric=Metric("val_loss", "min"),
    budget=Budget(trials=24, epochs=20),
    demo=Demo(trials=24, epochs=5),
    length=Doubling(rounds=2),
)
