"""Stage 0: does the paper's untuned network learn at all, and how much does a new seed alone change it?"""

from search_spaces.stage import Budget, Demo, Fixed, Parameter, Stage
from trainables.result import Metric

BASELINE = Stage(
    name="baseline",
    question="Is the untuned network much better than chance, and how far do seeds alone spread it?",
    parameters=(
        Parameter("optimiser.lr", "fixed", None, "the paper's baseline trains at a constant 0.001 (section 1.9)"),
        Parameter("schedule.kind", "fixed", None, "a constant rate before any decay (playbook: initial configuration)"),
        Parameter("augmentation.theta", "fixed", None, "the paper's baseline does not augment"),
    ),
    metric=Metric("val_loss", "min"),
    budget=Budget(trials=5, epochs=20, repeats=5),
    demo=Demo(trials=3, epochs=5, repeats=3),
    length=Fixed(),
    judged="chance",
)
