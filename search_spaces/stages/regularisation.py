"""Stage 3: which regularisation makes the network generalise?"""

from search_spaces.domain import Choice, LogUniform, Uniform
from search_spaces.stage import Budget, Demo, Parameter, Stage
from trainables.result import Metric

_STILL = {"augmentation.crop": 0.0, "augmentation.turn": 0.0, "augmentation.brightness": 0.0}
_NO_AUGMENTATION = {"augmentation.theta": 0.0, "augmentation.greyscale": True, **_STILL}
_FLIPS = {"augmentation.vertical_flip": True, **_STILL}
_NO_DROPOUT = {"network.dropout_conv": 0.0, "network.dropout_out": 0.0}
_PLAIN = {"network.batch_norm": False, "data.partners": "fixed"}

REGULARISATION = Stage(
    name="regularisation",
    question="Which regularisation makes the network generalise best, beside weight decay?",
    parameters=(
        Parameter(
            "network.batch_norm",
            "scientific",
            Choice((False, True)),
            "part of the question: on or off is a choice of architecture (playbook)",
        ),
        Parameter(
            "augmentation.greyscale",
            "scientific",
            Choice((False, True)),
            "part of the question: the paper turns chips grey, which throws away what their bands say; so flips "
            "are tried with and without it",
        ),
        Parameter(
            "augmentation.crop",
            "scientific",
            Choice((0.0, 0.15)),
            "part of the question where a set has pictures of things, which no camera frames alike; not for the "
            "paper's encoder",
        ),
        Parameter("augmentation.turn", "scientific", Choice((0.0, 10.0)), "as crop; degrees, as a camera is held"),
        Parameter("augmentation.brightness", "scientific", Choice((0.0, 0.2)), "as crop; as light and exposure vary"),
        Parameter(
            "data.partners",
            "scientific",
            Choice(("fixed", "fresh")),
            "part of the question: other pairs in every epoch are new examples, for nothing; with many classes the "
            "paper's five partners a chip are few",
        ),
        Parameter(
            "augmentation.theta",
            "nuisance",
            Uniform(0.1, 0.9),
            "how often each transform hits; the paper's 0.7 inside; 0 in arms that do not augment",
            limits=(0.0, 1.0),
        ),
        Parameter(
            "network.dropout_conv",
            "nuisance",
            Uniform(0.02, 0.5),
            "strength behind the convolution blocks; above a half little is left of seven channels",
            limits=(0.0, 0.8),
        ),
        Parameter(
            "network.dropout_out",
            "nuisance",
            Uniform(0.02, 0.5),
            "strength before the last layer, which sees 18 distances",
            limits=(0.0, 0.8),
        ),
        Parameter(
            "optimiser.weight_decay",
            "nuisance",
            LogUniform(1e-5, 3e-2),
            "strength, partly replaced by any other regulariser, so each arm searches it; the paper's 2.5e-4 inside",
            limits=(1e-7, 0.3),
        ),
        Parameter(
            "optimiser.lr",
            "nuisance",
            LogUniform(2e-4, 2e-2),
            "noise and normalisation move the best rate (playbook)",
            limits=(1e-6, 0.1),
        ),
        Parameter(
            "augmentation.horizontal_flip", "fixed", None, "on in arms that augment: a chip has no left or right"
        ),
        Parameter("augmentation.vertical_flip", "fixed", None, "on in arms that augment: a chip has no up or down"),
        Parameter("schedule.kind", "fixed", None, "decided by the stage before; its constant may shift a little"),
        Parameter("loss.kind", "fixed", None, "decided by an earlier stage"),
        Parameter("init.kind", "fixed", None, "the next stage"),
        Parameter("epochs", "fixed", None, "answered by the lr stage; strong augmentation may want more"),
    ),
    metric=Metric("val_loss", "min"),
    budget=Budget(trials=42, epochs=20),
    # batch normalisation takes torch's path, seven times the time, so that the chain would not end within half an hour
    demo=Demo(trials=15, epochs=10, repeats=16, without=("batch normalisation",)),
    compared={
        "none": {**_PLAIN, **_NO_AUGMENTATION, **_NO_DROPOUT},
        "flips": {**_PLAIN, "augmentation.greyscale": False, **_FLIPS, **_NO_DROPOUT},
        "flips and grey": {**_PLAIN, "augmentation.greyscale": True, **_FLIPS, **_NO_DROPOUT},
        "framing and light": {
            **_PLAIN,
            "augmentation.crop": 0.15,
            "augmentation.turn": 10.0,
            "augmentation.brightness": 0.2,
            "augmentation.greyscale": False,
            "augmentation.vertical_flip": False,  # pictures of things have an up and a down
            **_NO_DROPOUT,
        },
        "fresh partners": {**_PLAIN, "data.partners": "fresh", **_NO_AUGMENTATION, **_NO_DROPOUT},
        "dropout": {**_PLAIN, **_NO_AUGMENTATION},
        "batch normalisation": {**_PLAIN, "network.batch_norm": True, **_NO_AUGMENTATION, **_NO_DROPOUT},
    },
)
