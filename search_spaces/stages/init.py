"""Stage 4: which initialisation?"""

from search_spaces.domain import Choice, LogUniform
from search_spaces.stage import Budget, Demo, Parameter, Stage
from trainables.result import Metric

INIT = Stage(
    name="init",
    question="Which initialisation lets this network train best?",
    parameters=(
        Parameter(
            "init.kind",
            "scientific",
            Choice(("default", "he", "he_fan_in", "koch")),
            "the question: the paper chose He's, saw Koch's fail, and wrote He's with another D than He et al.",
        ),
        Parameter(
            "optimiser.lr",
            "nuisance",
            LogUniform(2e-4, 2e-2),
            "weights of another size want another rate, so each initialisation searches its own",
            limits=(1e-6, 0.1),
        ),
        Parameter("schedule.kind", "fixed", None, "decided by an earlier stage"),
        Parameter("optimiser.weight_decay", "fixed", None, "decided by an earlier stage"),
        Parameter("augmentation.theta", "fixed", None, "decided by an earlier stage"),
        Parameter("loss.kind", "fixed", None, "decided by an earlier stage"),
        Parameter("epochs", "fixed", None, "answered by the lr stage; a slow start may want more"),
    ),
    metric=Metric("val_loss", "min"),
    budget=Budget(trials=32, epochs=20),
    demo=Demo(trials=12, epochs=10, repeats=20),
)
