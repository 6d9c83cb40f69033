"""Guards how several networks are seeded, become one answer, and are kept."""

import pytest
import torch

from trainables.config import TrialConfig
from trainables.ensemble import mean_score, member_configs, pack, unpack
from trainables.losses import make_loss
from trainables.training import Run, train, validate

BASE = TrialConfig().override({"epochs": 2, "optimiser.lr": 0.003, "seed": 5})


def of(members, combine, second="same", **changes):
    return BASE.override(
        {"ensemble.members": members, "ensemble.combine": combine, "ensemble.second_init": second} | changes
    )


def curves(config, data):
    return [(m.train_loss, m.val_loss, m.val_accuracy) for m in train(config, data)]


def test_members_have_their_own_seeds_and_every_second_the_other_initialisation():
    """The first member is the config itself as a single network; seeds differ; inits alternate where another is named."""
    configs = member_configs(of(5, "average", "he"))
    assert configs[0].seed == BASE.seed
    assert len({config.seed for config in configs}) == 5
    assert [config.init.kind for config in configs] == ["default", "he", "default", "he", "default"]
    assert {config.ensemble.members for config in configs} == {1}
    assert {config.init.kind for config in member_configs(of(3, "average"))} == {"default"}


def test_one_member_is_the_plain_network(device_data):
    """members 1 trains to the bit as the config without an ensemble, whichever way members would be combined."""
    assert curves(of(1, "average"), device_data) == curves(of(1, "best"), device_data) == curves(BASE, device_data)


def test_the_average_is_the_mean_of_the_members_scores(device_data):
    """Validation loss and accuracy are those of averaged probabilities of networks trained each on its own."""
    config = of(3, "average", "he_fan_in")
    last = curves(config, device_data)[-1]
    alone = [Run.fresh(own) for own in member_configs(config)]
    train_losses = [
        list(train(own, device_data, run))[-1].train_loss
        for own, run in zip(member_configs(config), alone, strict=True)
    ]
    loss, data = make_loss(config.loss), device_data.validation
    scores = [validate(run.networks[0], data, loss)[1] for run in alone]
    mean = sum(scores) / 3
    expected = -torch.where(data.target == 1, mean.log(), (1 - mean).log()).mean().item()
    assert last[0] == pytest.approx(sum(train_losses) / 3, rel=1e-6)
    assert last[1] == pytest.approx(expected, rel=1e-5)
    assert last[2] == ((mean < 0.5) == (data.target == 0)).double().mean().item()


def test_the_best_is_the_member_that_validates_best(device_data):
    """Each epoch shows the lowest validation loss among members trained each on its own, and keeps that network."""
    config = of(3, "best")
    run = Run.fresh(config)
    shown = [m.val_loss for m in train(config, device_data, run)]
    alone = [[m.val_loss for m in train(own, device_data)] for own in member_configs(config)]
    assert shown == pytest.approx([min(losses) for losses in zip(*alone, strict=True)], rel=1e-5)
    assert len(run.networks) == 1
    assert run.networks[0] is run.members[min(range(3), key=lambda k: alone[k][-1])].model


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (BASE, 1),
        (BASE.override({"network.encoder": "small", "network.width": 4, "network.depth": 3}), 1),
        (of(3, "average"), 3),
        (of(3, "best"), 1),
        (of(2, "average", **{"network.batch_norm": True, "network.dropout_out": 0.3}), 2),
    ],
)
def test_packed_networks_answer_as_before(device_data, config, count):
    """pack and unpack give networks whose mean score equals the run's last validation score to the bit."""
    run = Run.fresh(config)
    accuracy = list(train(config, device_data, run))[-1].val_accuracy
    tensors = pack(run.networks)
    networks = unpack(config, tensors)
    assert len(networks) == count
    loss, data = make_loss(config.loss), device_data.validation
    again = mean_score([validate(network, data, loss)[1] for network in networks])
    assert torch.equal(again, mean_score([validate(network, data, loss)[1] for network in run.networks]))
    assert ((again < 0.5) == (data.target == 0)).double().mean().item() == accuracy
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in tensors.values())
