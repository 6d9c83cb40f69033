"""Guards the training loop: against a plain one, to the bit for one seed, and in what it records."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from trainables.augment import draw_views, gather
from trainables.config import TrialConfig
from trainables.encoder_path import SWITCH
from trainables.errors import Diverged
from trainables.losses import BinaryCrossEntropy
from trainables.training import DeviceData, Member, Run, pairs_of, train, train_epoch, validate

CONFIG = TrialConfig().override(
    {
        "epochs": 3,
        "optimiser.lr": 0.003,
        "optimiser.weight_decay": 1e-3,
        "schedule.kind": "exponential",
        "augmentation.theta": 0.7,
        "seed": 8,
    }
)


def measured(config, data):
    """All metrics but the wall time."""
    return [dataclasses.replace(m, seconds=0.0) for m in train(config, data)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network.dropout_conv": 0.2, "network.dropout_out": 0.2, "network.batch_norm": True},
        {"loss.kind": "contrastive", "ensemble.members": 2, "ensemble.combine": "average", "epochs": 2},
        {"data.partners": "fresh"},
    ],
    ids=["plain", "regularised", "ensemble", "fresh partners"],
)
def test_a_config_trains_the_same_twice(device_data, changes):
    """Equal config and data give equal metrics and weights to the bit on the CPU, whatever torch's global seed."""
    config = CONFIG.override(changes)
    runs = [Run.fresh(config), Run.fresh(config)]
    curves = []
    for seed, run in enumerate(runs):
        torch.manual_seed(seed)
        curves.append([(m.train_loss, m.val_loss) for m in train(config, device_data, run)])
    assert curves[0] == curves[1]
    for one, two in zip(*(run.networks for run in runs), strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, two.state_dict()[name])


def test_another_seed_trains_otherwise(device_data):
    """The seed decides weights, order and augmentation: another one gives other losses."""
    assert measured(CONFIG, device_data) != measured(CONFIG.override({"seed": 9}), device_data)


def test_an_epoch_equals_a_plain_loop(device_data):
    """One epoch equals a textbook loop (contiguous memory, torch's Adam, same draws): the loss to 1e-4, and each
    layer's weights to 2 % of how far they moved; Adam magnifies rounding where gradients are near zero.
    """
    config = CONFIG.override({"epochs": 1, "batch_size": 16})
    run, reference, untrained = Run.fresh(config), Member.fresh(config), Member.fresh(config)
    metrics = next(train(config, device_data, run))
    data, model = device_data.train, reference.model
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003, weight_decay=1e-3)
    order = torch.randperm(len(data.target), generator=reference.order)
    total, norms = 0.0, []
    for start in range(0, len(order), 16):
        pairs = order[start : start + 16]
        both = torch.cat([data.first[pairs], data.second[pairs]])
        views = draw_views(len(both), config.augmentation, reference.generator)
        chips = gather(data.chips.normalised, both, views)
        logits = model(chips[: len(pairs)].contiguous(), chips[len(pairs) :].contiguous()).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, data.target[pairs])
        optimiser.zero_grad()
        loss.backward()
        norms.append(math.sqrt(sum(float(w.grad.double().square().sum()) for w in model.parameters())))
        optimiser.step()
        total += loss.item() * len(pairs)
    assert metrics.train_loss == pytest.approx(total / len(order), rel=1e-4)
    assert metrics.grad_norm == pytest.approx(sum(norms) / len(norms), rel=1e-3)
    for a, b, c in zip(run.networks[0].parameters(), model.parameters(), untrained.model.parameters(), strict=True):
        assert (a - b).norm() < 0.02 * (b - c).norm()


def test_the_scheduled_rate_reaches_the_optimiser(device_data):
    """Under a schedule that falls to a ten-thousandth after one epoch, the second epoch hardly moves the weights."""
    config = CONFIG.override({"epochs": 2, "schedule.kind": "exponential", "schedule.gamma": 1e-4})
    run, moved = Run.fresh(config), []
    before = [weight.detach().clone() for weight in run.members[0].model.parameters()]
    for _ in train(config, device_data, run):
        after = [weight.detach().clone() for weight in run.members[0].model.parameters()]
        moved.append(sum(float((a - b).norm()) for a, b in zip(after, before, strict=True)))
        before = after
    assert moved[1] < 0.01 * moved[0]


def test_warm_up_reaches_the_optimiser_and_the_record(device_data):
    """In an epoch that is a thousandth of its warm-up the weights hardly move; the rate told is that of the last step."""
    config, moved = CONFIG.override({"epochs": 1, "schedule.kind": "constant"}), []
    for warmup in (0.0, 1000.0):
        run = Run.fresh(config.override({"schedule.warmup": warmup}))
        before = [weight.detach().clone() for weight in run.members[0].model.parameters()]
        (epoch,) = train(run.members[0].config, device_data, run)
        assert epoch.lr == pytest.approx(0.003 / (warmup or 1))
        after = run.members[0].model.parameters()
        moved.append(sum(float((a - b).detach().norm()) for a, b in zip(after, before, strict=True)))
    assert moved[1] < 0.01 * moved[0]


def test_clipping_changes_training_and_not_the_norm_of_the_first_step(device_data):
    """A gradient clipped to a thousandth of its size is told as it was before; the norms are finite and recorded."""
    config = CONFIG.override({"epochs": 1, "batch_size": 10_000})
    (plain,), (clipped,) = (
        list(train(config.override({"optimiser.clip_norm": norm}), device_data)) for norm in (0.0, 1e-6)
    )
    assert plain.grad_norm == clipped.grad_norm > 1e-3
    assert plain.val_loss != clipped.val_loss


def test_kochs_penalty_is_part_of_training(device_data):
    """The same network, batches and cross entropy: with a penalty on one layer its weights end smaller than without."""
    norms = []
    for l2 in (0.0, 10.0):
        run = Run.fresh(CONFIG.override({"epochs": 2, "loss.kind": "koch", "loss.l2_fc1": l2}))
        list(train(run.members[0].config, device_data, run))
        norms.append(float(run.members[0].model.encoder.fc1[0].weight.detach().norm()))
    assert norms[1] < norms[0]


def test_random_streams_are_the_seeds_own_and_each_its_own():
    """Another seed draws another order and another augmentation; the two streams of one seed differ, and go on."""
    first, second = (Member.fresh(CONFIG.override({"seed": seed})) for seed in (1, 2))
    draws = [
        tuple(torch.randperm(100, generator=stream).tolist())
        for stream in (first.order, first.generator, second.order, second.generator, first.order)
    ]
    assert len(set(draws)) == 5


def test_validation_equals_pair_by_pair_forward(device_data):
    """Encoding each chip once and comparing embeddings gives the loss and probabilities of a forward per pair."""
    model = Member.fresh(CONFIG).model
    data = device_data.validation
    chips = data.chips.normalised
    loss, probability = validate(model, data, BinaryCrossEntropy())
    with torch.no_grad():
        expected = torch.cat(
            [model(chips[a][None], chips[b][None])[0] for a, b in zip(data.first, data.second, strict=True)]
        )
    assert torch.allclose(probability, torch.sigmoid(expected), atol=1e-6)
    reference = torch.nn.functional.binary_cross_entropy_with_logits(expected, data.target)
    assert loss == pytest.approx(reference.item(), rel=1e-5)


def test_training_learns(device_data):
    """Ten epochs bring the training loss well below that of a coin, 0.693."""
    last = list(train(CONFIG.override({"epochs": 10, "augmentation.theta": 0.0}), device_data))[-1]
    assert last.train_loss < 0.5


@pytest.mark.parametrize("switch", [None, "torch"], ids=["this machine's path", "torch's path"])
def test_a_rate_beyond_reason_diverges(device_data, monkeypatch, switch):
    """A learning rate of 1e30 raises Diverged with the epoch, and yields no metric that is not a number.

    On the compiled pass, where there is one, and on torch's layers.
    """
    if switch:
        monkeypatch.setenv(SWITCH, switch)
    epochs = []
    with pytest.raises(Diverged, match="not finite in epoch"):
        epochs.extend(train(CONFIG.override({"optimiser.lr": 1e30, "init.kind": "he"}), device_data))
    assert all(math.isfinite(m.train_loss) and math.isfinite(m.val_loss) for m in epochs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_as_the_cpu_does(trial_data, device_data):
    """On a GPU the losses of three epochs follow the CPU's to within 2 %."""
    on_gpu = [m.train_loss for m in train(CONFIG, DeviceData.of(trial_data, "cuda"))]
    assert on_gpu == pytest.approx([m.train_loss for m in train(CONFIG, device_data)], rel=0.02)


def test_fresh_partners_are_new_in_every_epoch(device_data):
    """Each epoch of a member has pairs that no other epoch, seed or member has; fixed ones are the part's own, always."""
    fresh = CONFIG.override({"data.partners": "fresh", "ensemble.members": 2})
    members = [member for seed in (0, 1) for member in Run.fresh(fresh.override({"seed": seed})).members]
    drawn = [
        tuple(pairs_of(member, device_data.train, epoch).second.tolist()) for member in members for epoch in (0, 1)
    ]
    assert len(set(drawn)) == 8
    (fixed,) = Run.fresh(CONFIG).members
    assert pairs_of(fixed, device_data.train, 1) is device_data.train
    validated = [m.val_loss for m in train(fresh, device_data)]
    assert np.isfinite(validated).all()


def test_fresh_partners_change_nothing_but_the_training_pairs(device_data):
    """An untrained network validates alike, and the first epoch's gradients are those of the new pairs in the same order."""
    fresh = CONFIG.override({"data.partners": "fresh", "epochs": 1, "augmentation.theta": 0.0})
    (member,), loss = Run.fresh(fresh).members, BinaryCrossEntropy()
    (other,) = Run.fresh(fresh.override({"data.partners": "fixed"})).members
    assert (
        validate(member.model, device_data.validation, loss)[0]
        == validate(other.model, device_data.validation, loss)[0]
    )
    by_hand = device_data.train.with_fresh_pairs(fresh.seed, 0)
    expected = train_epoch(other, by_hand, loss, 0)
    (epoch,) = train(fresh, device_data)
    assert epoch.train_loss == expected.loss
