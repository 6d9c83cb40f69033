"""Guards that a config is frozen, whole and legal, and stays what it was through JSON and later versions."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import LATER, Ensemble, Init, Loss, Network, Schedule, TrialConfig
from trainables.encoders import ENCODERS
from trainables.errors import ConfigError, InputError
from trainables.initialisers import INITIALISERS
from trainables.losses import LOSSES
from trainables.schedules import SCHEDULES

overrides = st.fixed_dictionaries(
    {},
    optional={
        "optimiser.lr": st.floats(0, 10, allow_nan=False),
        "optimiser.weight_decay": st.floats(0, 1),
        "schedule.kind": st.sampled_from(["constant", "exponential", "cosine"]),
        "schedule.gamma": st.floats(0, 1),
        "schedule.warmup": st.floats(0, 100),
        "optimiser.clip_norm": st.floats(0, 100),
        "augmentation.theta": st.floats(0, 1),
        "augmentation.greyscale": st.booleans(),
        "init.kind": st.sampled_from(["default", "he", "he_fan_in", "koch"]),
        "network.batch_norm": st.booleans(),
        "network.dropout_out": st.floats(0, 0.95),
        "loss.kind": st.sampled_from(["bce", "contrastive", "koch"]),
        "loss.margin": st.floats(0.1, 10),
        "ensemble.members": st.integers(1, 5),
        "epochs": st.integers(1, 1000),
        "seed": st.integers(0, 2**63 - 1),
    },
)


@given(overrides)
def test_a_config_survives_json_unchanged(values):
    """to_dict, JSON and from_dict give back an equal config, to the last bit of every number."""
    config = TrialConfig().override(values)
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert all(config.value(path) == value for path, value in values.items())


def test_whole_numbers_become_what_the_field_holds():
    """A 0 for 0.0, as JSON written by hand has it, is the same config down to its JSON; counts stay whole."""
    config = TrialConfig.from_dict({"optimiser": {"weight_decay": 0, "lr": 1}, "augmentation": {"theta": 0}})
    assert [type(config.value(path)) for path in ("optimiser.lr", "augmentation.theta", "epochs")] == [
        float,
        float,
        int,
    ]
    assert json.dumps(config.to_dict()) == json.dumps(TrialConfig().override({"optimiser.lr": 1.0}).to_dict())


def test_the_default_is_the_reports_baseline():
    """Adam 0.001, no schedule, no decay, no augmentation, 20 epochs, batch 64, bce (report, section 1.9)."""
    config = TrialConfig()
    assert (config.optimiser.kind, config.optimiser.lr, config.optimiser.weight_decay) == ("adam", 0.001, 0.0)
    assert (config.schedule.kind, config.augmentation.theta, config.init.kind) == ("constant", 0.0, "default")
    assert (config.epochs, config.batch_size, config.loss.kind) == (20, 64, "bce")


def test_a_config_is_frozen():
    """No field of a config or of its parts can be assigned."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialConfig().optimiser.lr = 1.0


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("optimiser.rate", 0.1, "unknown configuration path 'optimiser.rate'"),
        ("optimiser", 0.1, "names a group"),
        ("optimiser.lr", -1.0, "optimiser.lr is -1.0"),
        ("optimiser.lr", float("nan"), "optimiser.lr is nan"),
        ("optimiser.lr", 10**400, "optimiser.lr is 1000"),
        ("optimiser.weight_decay", 10**400, "optimiser.weight_decay is 1000"),
        ("optimiser.clip_norm", -0.1, "optimiser.clip_norm is -0.1"),
        ("schedule.warmup", float("inf"), "schedule.warmup is inf"),
        ("optimiser.lr", True, "must be a number"),
        ("optimiser.lr", "0.1", "must be a number"),
        ("schedule.kind", "linear", "constant, exponential, cosine"),
        ("schedule.kind", ["cosine"], "constant, exponential, cosine"),
        ("augmentation.theta", 1.5, "0 to 1"),
        ("data.side", 64, "data.side is 64; the encoder report takes 75"),
        ("network.encoder", "koch", "data.side is 75; the encoder koch takes 105"),
        ("network.encoder", "vgg", "report, small, koch, resnet18, own"),
        ("network.encoder", "own", "--encoder FILE.py:NAME says which"),
        ("network.source", 3, "must be text"),
        ("optimiser.lrr", 0.1, "unknown configuration path 'optimiser.lrr'; did you mean optimiser.lr?"),
        ("network.batch_norm", 1, "network.batch_norm is 1; it must be true or false"),
        ("data.partners", "new", "fixed, fresh"),
        ("network.head", "cosine", "l1, distance"),
        ("init.weights", 3, "init.weights is 3; it must be text"),
        ("augmentation.crop", 0.2, "augmentation.crop is 0.2; small, koch, resnet18, own take it, report does not"),
        ("augmentation.brightness", 1.2, "0 to 1"),
        ("ensemble.members", 6, "1 to 5"),
        ("loss.margin", 0, "loss.margin is 0"),
        ("epochs", 0, "epochs is 0"),
        ("epochs", 2.5, "whole number"),
    ],
)
def test_a_bad_value_is_refused_by_name(path, value, said):
    """Every illegal path or value raises a ConfigError that names it and, where it can, what would be right."""
    with pytest.raises(ConfigError, match=said):
        TrialConfig().override({path: value})


@pytest.mark.parametrize(
    ("part", "name", "units"),
    [
        (Loss, "kind", (*LOSSES,)),
        (Network, "encoder", (*ENCODERS,)),
        (Schedule, "kind", (*SCHEDULES,)),
        (Init, "kind", (*INITIALISERS,)),
        (Ensemble, "second_init", ("same", *INITIALISERS)),
    ],
)
def test_what_can_be_chosen_is_what_there_is(part, name, units):
    """The choices of a config are the units that are registered, in the same order: neither knows one alone."""
    (entry,) = (entry for entry in dataclasses.fields(part) if entry.name == name)
    assert entry.metadata["choices"] == units


def test_what_is_drawn_from_a_config_ignores_paths_that_are_later_and_at_their_default():
    """The identity of the baseline has the paths of the first version; a later path counts once it is set."""
    plain, first = TrialConfig(), TrialConfig().identity()
    assert "data" not in first
    assert set(first["schedule"]) == {"kind", "gamma", "floor"}
    assert {path: plain.value(path) for path in LATER}  # each of them is a path
    for path, value in {"data.side": 90, "network.width": 8, "schedule.warmup": 0.5}.items():
        changed = plain.override({"network.encoder": "small", path: value}).identity()
        head, _, tail = path.partition(".")
        assert changed[head][tail] == value


def test_values_that_are_legal_only_together_are_set_together():
    """An encoder and its side need not be set in order; the side is read at a multiple of the blocks, never below 75."""
    config = TrialConfig().override({"network.encoder": "koch", "data.side": 105})
    assert TrialConfig().override({"data.side": 105, "network.encoder": "koch"}) == config
    assert TrialConfig.from_dict(config.to_dict()) == config
    sides = [config.override({"network.encoder": "small", "data.side": side}).data.read_at for side in (8, 75, 76, 105)]
    assert sides == [75, 75, 90, 105]


def test_code_of_ones_own_stays_with_its_encoder():
    """A config that turns to another encoder has no code left; what is drawn from one with code follows from the code."""
    plain = TrialConfig()
    own = plain.override({"network.encoder": "own", "network.own": "f.py:Net", "network.source": "x = 1"})
    assert TrialConfig.from_dict(own.to_dict()) == own
    assert own.override({"network.encoder": "report"}) == plain
    assert own.identity() != own.override({"network.source": "x = 2"}).identity()


@pytest.mark.parametrize("content", [[], "lr", {"optimiser": 3}, {"optimiser": {"lr": {}}}, {"nothing": 1}])
def test_a_config_that_was_never_written_is_refused(content):
    """from_dict turns any foreign JSON into an InputError, never into another exception."""
    with pytest.raises(InputError):
        TrialConfig.from_dict(content)
