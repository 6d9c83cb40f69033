import itertools

import numpy as np
import pytest
import torch
from torch import Generator, nn

from trainables.checkpoint import Best, from_bytes, to_bytes
from trainables.config import Loss, Network, TrialConfig
from trainables.encoders import ENCODERS, make_encoder
from trainables.ensemble import pack, unpack
from trainables.initialisers import INITIALISERS, initialise
from trainables.losses import LOSSES, make_loss
from trainables.model import SiameseNetwork
from trainables.native import encoder_path
from trainables.training import Run, train

SMALL = {"network.encoder": "small", "network.width": 4, "network.depth": 3, "network.embedding": 6}
CONFIG = TrialConfig().override({**SMALL, "epochs": 2, "optimiser.lr": 0.003, "seed": 4, "augmentation.theta": 0.4})


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_an_encoder_makes_embeddings_by_way_of_a_map(kind):
    """Chips (B, 3, S, S) become a map (B, F, h, w) and that embeddings (B, E), one a chip whatever stands beside it."""
    encoder = make_encoder(Network(encoder=kind), 75).eval()
    chips = torch.randn(3, 3, 75, 75)
    with torch.no_grad():
        features, embeddings = encoder.features(chips), encoder(chips)
        assert features.dim() == 4
        assert embeddings.shape == (3, encoder.embedding)
        assert torch.equal(encoder.embed(features), embeddings)
        assert torch.allclose(encoder(chips[1:2])[0], embeddings[1], atol=1e-4)
    assert not torch.allclose(embeddings[0], embeddings[1], atol=1e-4)


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_every_weighted_layer_is_in_one_group(kind):
    """The penalty's groups hold each convolution and linear layer once, in order, and `out` is the last of all."""
    model = SiameseNetwork(Network(encoder=kind))
    groups = model.layer_groups()
    assert list(groups) == ["conv1", "conv2", "conv3", "fc1", "out"]
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = [layer for group in groups.values() for layer in group]
    assert sorted(map(id, found)) == sorted(map(id, layers))
    sizes = [len(groups[name]) for name in ("conv1", "conv2", "conv3")]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_kochs_penalty_is_of_every_layer_of_an_encoder(kind):
    """With one factor for all groups the penalty is that factor times the squared weights of all layers, without biases."""
    model = SiameseNetwork(Network(encoder=kind))
    squared = sum(float(p.detach().double().square().sum()) for p in model.parameters() if p.dim() > 1)
    penalty = make_loss(Loss("koch", **{f"l2_{name}": 0.02 for name in model.layer_groups()})).penalty(model)
    assert penalty.item() == pytest.approx(0.02 * squared, rel=1e-4)


@pytest.mark.parametrize(("kind", "init"), [*itertools.product(ENCODERS, INITIALISERS)])
def test_the_generator_decides_all_weights(kind, init):
    """Equal seeds give equal weights, whatever torch's global state: no encoder keeps a draw of its own."""
    one, two = SiameseNetwork(Network(encoder=kind)), SiameseNetwork(Network(encoder=kind))
    for model in (one, two):
        initialise(model, init, Generator().manual_seed(5))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_trains_an_encoder(loss, device_data):
    """Each loss trains the small encoder, gives finite figures, and moves every layer that it uses."""
    config = CONFIG.override({"loss.kind": loss, "epochs": 1})
    run = Run.fresh(config)
    before = pack(run.networks)
    (epoch,) = train(config, device_data, run)
    assert np.isfinite([epoch.train_loss, epoch.val_loss, epoch.grad_norm]).all()
    still = {name for name, weight in pack(run.networks).items() if torch.equal(weight, before[name])}
    assert still <= ({"out.weight", "out.bias"} if loss == "contrastive" else set())


def test_a_run_is_gone_on_with_and_kept_whatever_the_encoder(device_data):
    """Restored after an epoch the small encoder goes on to the bit, and its kept weights give its answers."""
    unbroken, begun = Run.fresh(CONFIG), Run.fresh(CONFIG)
    expected = [epoch.val_loss for epoch in train(CONFIG, device_data, unbroken)]
    first = next(train(CONFIG, device_data, begun))
    restored, _ = from_bytes(to_bytes(CONFIG, begun, Best(first, pack(begun.networks))), CONFIG)
    assert [first.val_loss, *(epoch.val_loss for epoch in train(CONFIG, device_data, restored))] == expected
    (kept,) = unpack(CONFIG, pack(unbroken.networks))
    chips = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        assert torch.equal(kept.encode(chips), unbroken.networks[0].eval().encode(chips))


@pytest.mark.parametrize(("depth", "side"), [*itertools.product((1, 4, 8), (16, 75, 200))])
def test_a_small_encoder_may_be_deep_where_chips_are_small(depth, side):
    """A map of less than four is not pooled again, so any depth goes with any side."""
    network = Network(encoder="small", width=2, depth=depth, embedding=5)
    features = make_encoder(network, side).eval().features(torch.randn(1, 3, side, side))
    assert features.shape[1] == 2 * min(2 ** (depth - 1), 8)
    expected = side
    for _ in range(depth):
        expected = expected // 2 if expected >= 4 else expected
    assert features.shape[2:] == (expected, expected)


@pytest.mark.parametrize(
    ("kind", "count"), [("report", 41_534), ("small", 475_344), ("resnet18", 11_176_512 + 512 * 64 + 64)]
)
def test_the_parameters_are_as_many_as_said(kind, count):
    """What the encoder's docstring says of its size; ResNet-18 has torchvision's 11,689,512 less its last layer's."""
    assert sum(p.numel() for p in make_encoder(Network(encoder=kind), 75).parameters()) == count


def test_only_the_reports_encoder_is_compiled():
    """Another encoder takes torch's layers, and says why."""
    path = encoder_path(Network(encoder="small"))
    assert not path.compiled
    assert "report" in path.why
