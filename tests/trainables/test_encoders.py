"""Guards that every encoder does what training, keeping and showing ask of one."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Generator, nn
from torchvision.models import resnet18
from torchvision.transforms.v2 import functional as vision

from trainables import config
from trainables.augment import GREY, HORIZONTAL, VERTICAL
from trainables.config import Data, Loss, Network, TrialConfig
from trainables.encoder_path import encoder_path
from trainables.encoders import ENCODERS, check_encoder, make_encoder
from trainables.ensemble import pack, unpack
from trainables.errors import InputError
from trainables.initialisers import INITIALISERS, initialise
from trainables.losses import LOSSES, make_loss
from trainables.model import SiameseNetwork
from trainables.stored_chips import StoredChips
from trainables.training import Run, train

SMALL = {"network.encoder": "small", "network.width": 4, "network.depth": 3, "network.embedding": 6}
CONFIG = TrialConfig().override({**SMALL, "epochs": 2, "optimiser.lr": 0.003, "seed": 4, "augmentation.theta": 0.4})


def side_of(kind):
    """A side that an encoder takes: the report's where it does."""
    least, most = config.ENCODERS[kind]
    return min(max(75, least), most)


OWN = """
from torch import nn
def net(side):
    return nn.Sequential(nn.Conv2d(3, 4, 7, stride=4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6))
"""


def named(kind, **parts):
    """The part of a config that names an encoder, a user's own among them."""
    return Network(encoder=kind, **parts, **({"own": "f.py:net", "source": OWN} if kind == "own" else {}))


def network(kind):
    return SiameseNetwork(named(kind), Data(side=side_of(kind)))


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_an_encoder_makes_embeddings_by_way_of_a_map(kind):
    """Chips (B, 3, S, S) become a map (B, F, h, w) and that embeddings (B, E), one a chip whatever stands beside it."""
    encoder = make_encoder(named(kind), side_of(kind)).eval()
    chips = torch.randn(3, 3, side_of(kind), side_of(kind))
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
    model = network(kind)
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
    model = network(kind)
    squared = sum(float(p.detach().double().square().sum()) for p in model.parameters() if p.dim() > 1)
    penalty = make_loss(Loss("koch", **{f"l2_{name}": 0.02 for name in model.layer_groups()})).penalty(model)
    assert penalty.item() == pytest.approx(0.02 * squared, rel=1e-4)


DRAWN = {*itertools.product(ENCODERS, INITIALISERS)} - {("own", "default")}  # which keeps what it starts with


@pytest.mark.parametrize(("kind", "init"), sorted(DRAWN))
def test_the_generator_decides_all_weights(kind, init):
    """Equal seeds give equal weights, whatever torch's global state: no encoder keeps a draw of its own."""
    one, two = network(kind), network(kind)
    for model in (one, two):
        initialise(model, init, Generator().manual_seed(5))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_every_side_that_is_said_is_taken(kind):
    """The smallest chips that a config allows an encoder, and larger ones if any, become embeddings."""
    least, most = config.ENCODERS[kind]
    for side in {least, min(most, least + 53)}:
        encoder = make_encoder(named(kind), side).eval()
        with torch.no_grad():
            assert encoder(torch.randn(2, 3, side, side)).shape == (2, encoder.embedding)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_trains_an_encoder(loss, device_data):
    """Each loss trains the small encoder, gives finite figures, and moves every layer that it uses."""
    own = CONFIG.override({"loss.kind": loss, "epochs": 1})
    run = Run.fresh(own)
    before = pack(run.networks)
    (epoch,) = train(own, device_data, run)
    assert np.isfinite([epoch.train_loss, epoch.val_loss, epoch.grad_norm]).all()
    still = {name for name, weight in pack(run.networks).items() if torch.equal(weight, before[name])}
    assert still <= ({"out.weight", "out.bias"} if loss == "contrastive" else set())


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
    ("kind", "count"),
    [("report", 41_534), ("small", 475_344), ("koch", 38_960_448), ("resnet18", 11_176_512 + 512 * 64 + 64)],
)
def test_the_parameters_are_as_many_as_said(kind, count):
    """What the encoder's docstring says of its size; ResNet-18 has torchvision's 11,689,512 less its last layer's."""
    assert sum(p.numel() for p in make_encoder(named(kind), side_of(kind)).parameters()) == count


@pytest.mark.parametrize("kind", sorted({*ENCODERS} - {"report"}))
def test_only_the_reports_encoder_is_compiled(kind):
    """Any other, a user's own too, takes torch's layers, and says why."""
    path = encoder_path(named(kind))
    assert not path.compiled
    assert "paper" in path.why


def test_stored_chips_are_shown_at_the_side_of_the_config(chips):
    """A network for another side sees each stored chip resized with antialiasing, flips after it; its own side as it is."""
    images = (255 * (chips.images[:5] - chips.images.min()) / np.ptp(chips.images)).astype(np.uint8)
    stored = StoredChips.of(images, np.full(3, 90, np.float32), np.full(3, 40, np.float32))
    views = torch.tensor([0, HORIZONTAL, VERTICAL, GREY, HORIZONTAL + GREY], dtype=torch.uint8)
    shown = stored.batch(torch.arange(5), views).shown(48, grey=False)
    resized = vision.resize(torch.from_numpy(images).permute(0, 3, 1, 2), [48, 48], antialias=True)
    expected = (resized.float() - 90) / 40
    expected[[1, 4]] = expected[[1, 4]].flip(3)
    expected[2] = expected[2].flip(1)
    luma = torch.tensor([0.2989, 0.587, 0.114])
    expected[3:] = torch.einsum("bchw,c->bhw", expected[3:], luma)[:, None]
    assert torch.allclose(shown.normalised(), expected, atol=1e-5)
    assert stored.at(75) is stored
    assert stored.at(48) is stored.at(48)


def test_a_network_of_grey_chips_sees_no_colour(chips):
    """Chips that differ in colour alone have one embedding under `data.grey`, and two without."""
    grey, red = np.full((1, 75, 75, 3), 100, np.uint8), np.full((1, 75, 75, 3), 100, np.uint8)
    red[..., 0], red[..., 1] = 100 + 58, 100 - 30  # 58 * 0.2989 - 30 * 0.587 is -0.27, a hundredth of one's contrast
    images = np.concatenate([grey, red])
    batch = StoredChips.of(images, np.zeros(3, np.float32), np.ones(3, np.float32)).batch(torch.arange(2))
    distances = []
    for switch in (False, True):
        torch.manual_seed(0)
        model = SiameseNetwork(Network(encoder="small", width=4, depth=2), Data(grey=switch)).eval()
        with torch.no_grad():
            one, two = model.encode(batch)
        distances.append(float((one - two).norm()))
    assert distances[1] < 0.05 * distances[0]


def test_a_small_encoder_trains_at_another_side(device_data):
    """At 40 pixels, grey, training gives finite figures, the same twice, and others than at 75."""
    own = CONFIG.override({"data.side": 40, "data.grey": True})
    curves = [[epoch.val_loss for epoch in train(one, device_data)] for one in (own, own, CONFIG)]
    assert np.isfinite(curves).all()
    assert curves[0] == curves[1] != curves[2]


PRETRAINED = {"network.encoder": "resnet18", "network.embedding": 8, "data.side": 32, "seed": 3}


def kept_weights(path):
    """ResNet-18's weights as torchvision would hand them out, in a file of its kind."""
    torch.manual_seed(9)
    model = resnet18(weights=None)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape).abs() if tensor.is_floating_point() else torch.tensor(7))
    save_file(model.state_dict(), path) if path.suffix == ".safetensors" else torch.save(model.state_dict(), path)
    return model


@pytest.mark.parametrize("name", ["kept.pth", "kept.safetensors"])
def test_resnet18_starts_with_the_weights_of_a_file(tmp_path, name):
    """Its map of features is then torchvision's to the bit; the linear layer and the head are drawn as without a file."""
    theirs = kept_weights(tmp_path / name).eval()
    config = TrialConfig().override({**PRETRAINED, "init.weights": str(tmp_path / name)})
    (own,), (drawn,) = (Run.fresh(each).networks for each in (config, TrialConfig().override(PRETRAINED)))
    chips = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(chips))))
        for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            expected = layer(expected)
        assert torch.allclose(own.eval().features(chips), expected, rtol=1e-4)
    for part in ("encoder.head", "out"):
        for one, other in zip(
            own.get_submodule(part).parameters(), drawn.get_submodule(part).parameters(), strict=True
        ):
            assert torch.equal(one, other)
    check_encoder(config)


def test_a_kept_network_needs_no_file_of_weights(tmp_path):
    """What was trained from a file is unpacked after the file has gone."""
    kept_weights(tmp_path / "kept.pth")
    config = TrialConfig().override({**PRETRAINED, "init.weights": str(tmp_path / "kept.pth")})
    run = Run.fresh(config)
    (tmp_path / "kept.pth").unlink()
    (again,) = unpack(config, pack(run.networks))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), run.networks[0].parameters(), strict=True))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"kept.pth: cannot be read \(No such file or directory\)"),
        (b"nothing", "kept.pth: no file of weights"),
        (b"", "kept.pth: no file of weights"),
        ([1, 2], "holds no tensors by name"),
        ({"conv1.weight": torch.zeros(2)}, r"not the weights of torchvision's resnet18 \(conv1.weight is \(2,\), not"),
        ({"fc.weight": torch.zeros(2)}, r"resnet18 \(lacks conv1.weight\)"),
    ],
)
def test_a_file_of_weights_that_does_not_fit_is_refused_in_a_line(tmp_path, content, said):
    """Missing, damaged, of something else or of another network: an InputError that names the file and what is wrong."""
    path = tmp_path / "kept.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=said) as refused:
        check_encoder(TrialConfig().override({**PRETRAINED, "init.weights": str(path)}))
    assert "\n" not in str(refused.value)


def test_a_file_of_weights_is_read_by_resnet18_alone(tmp_path):
    """Where arms are networks, those that read no file do not miss it."""
    check_encoder(CONFIG.override({"init.weights": str(tmp_path / "gone.pth")}))


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_distance_compares_unit_vectors(kind):
    """With the head `distance` embeddings have length 1, and the logit is 5 e^s (d - 1 - t) of their distance d."""
    model = SiameseNetwork(named(kind, head="distance"), Data(side=side_of(kind))).eval()
    chips = torch.randn(4, 3, side_of(kind), side_of(kind))
    with torch.no_grad():
        model.out.s.fill_(0.3), model.out.t.fill_(-0.2)
        one, two = model.encode(chips).chunk(2)
        assert torch.allclose(one.norm(dim=1), torch.ones(2), atol=1e-5)
        expected = [5 * np.exp(0.3) * (float((a - b).norm()) - 0.8) for a, b in zip(one, two, strict=True)]
        assert model.compare(one, two).tolist() == pytest.approx(expected, rel=1e-3)
        assert model.compare(one, one).tolist() == pytest.approx([-0.8 * 5 * np.exp(0.3)] * 2, rel=1e-3)
    assert model.layer_groups()["out"] == []


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_trains_a_network_that_takes_a_distance(loss, device_data):
    """Its figures are finite and the same twice; the head is learned but by the contrastive loss, which reads none."""
    own = CONFIG.override({"network.head": "distance", "network.dropout_out": 0.1, "loss.kind": loss, "epochs": 1})
    runs = [Run.fresh(own), Run.fresh(own)]
    one, two = ([dataclasses.replace(epoch, seconds=0) for epoch in train(own, device_data, run)] for run in runs)
    assert one == two
    assert np.isfinite([one[0].train_loss, one[0].val_loss, one[0].grad_norm]).all()
    assert (float(runs[0].networks[0].out.t.detach()) == 0) == (loss == "contrastive")
    (kept,) = unpack(own, pack(runs[0].networks))
    assert torch.equal(kept.out.t, runs[0].networks[0].out.t)


def test_a_small_encoder_trains_on_cropped_turned_and_lit_chips(device_data):
    """The figures are finite and the same twice, and others than those of flips alone."""
    warped = CONFIG.override({"augmentation.crop": 0.2, "augmentation.turn": 10.0, "augmentation.brightness": 0.2})
    curves = [[epoch.val_loss for epoch in train(own, device_data)] for own in (warped, warped, CONFIG)]
    assert np.isfinite(curves).all()
    assert curves[0] == curves[1] != curves[2]
