"""Guards that the network is the report's, layer by layer, and that what is added stands where it should."""

from collections import OrderedDict

import pytest
import torch
from torch import Generator, nn

from trainables.config import Network
from trainables.dropout import Dropout
from trainables.model import SiameseNetwork

REPORT = """SiameseNetwork(
  (conv): Sequential(
    (0): Conv2d(3, 5, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (1): ReLU(inplace=True)
    (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (3): Conv2d(5, 5, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (4): ReLU(inplace=True)
    (5): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (6): Conv2d(5, 7, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (7): ReLU()
    (8): Flatten(start_dim=1, end_dim=-1)
  )
  (fc1): Sequential(
    (0): Linear(in_features=2268, out_features=18, bias=True)
    (1): Sigmoid()
  )
  (out): Linear(in_features=18, out_features=1, bias=True)
)"""


def test_the_network_has_the_reports_parameters():
    """41,553 parameters in all."""
    assert sum(p.numel() for p in SiameseNetwork().parameters()) == 41_553


def test_the_printed_network_is_the_reports():
    """The layers, one after the other as torch prints them, are the report's listing (section 1.3), line by line."""
    model = SiameseNetwork()
    layers = nn.Sequential(OrderedDict([*model.encoder.named_children(), *list(model.named_children())[1:]]))
    assert str(layers).replace("Sequential", "SiameseNetwork", 1) == REPORT


def test_weights_kept_before_there_were_encoders_are_the_reports():
    """Weights by their names of then, without the encoder's, load into the same places."""
    model, kept = SiameseNetwork(), SiameseNetwork()
    old = {name.removeprefix("encoder."): tensor for name, tensor in kept.state_dict().items()}
    assert set(old) >= {"conv.0.weight", "fc1.0.bias", "out.weight"}
    model.load_state_dict(old)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, kept.state_dict()[name])
    with pytest.raises(RuntimeError, match=r"conv\.9"):
        model.load_state_dict(old | {"conv.9.weight": torch.zeros(1)})


def test_what_is_added_stands_where_it_should():
    """Batch normalisation follows each convolution; dropout follows the flattened features and precedes the last layer."""
    printed = str(SiameseNetwork(Network(batch_norm=True, dropout_conv=0.2, dropout_out=0.3)))
    expected = [
        "Conv2d(3, 5", "BatchNorm2d(5", "ReLU", "MaxPool2d", "Conv2d(5, 5", "BatchNorm2d(5", "ReLU", "MaxPool2d",
        "Conv2d(5, 7", "BatchNorm2d(7", "ReLU", "Flatten", "Dropout(p=0.2)", "in_features=2268", "Sigmoid",
        "Dropout(p=0.3)", "in_features=18",
    ]  # fmt: skip
    positions = []
    for layer in expected:
        positions.append(printed.index(layer, positions[-1] + 1 if positions else 0))
    assert positions == sorted(positions)


def test_dropout_draws_from_its_generator_and_only_in_training():
    """The share of zeros is the rate, what is kept is scaled, a seed gives the same zeros again; evaluation changes nothing."""
    layer, x = Dropout(0.3), torch.ones(100, 200)
    layer.generator = Generator().manual_seed(1)
    once = layer(x)
    assert 0.68 < (once > 0).double().mean() < 0.72
    assert torch.allclose(once[once > 0], torch.tensor(1 / 0.7))
    layer.generator.manual_seed(1)
    assert torch.equal(layer(x), once)
    assert torch.equal(layer.eval()(x), x)


def test_batch_normalisation_normalises_each_convolution():
    """In training the first normalised layer's output has mean 0 and deviation 1 in every channel."""
    model = SiameseNetwork(Network(batch_norm=True)).train()
    out = model.encoder.conv[1](model.encoder.conv[0](3 + 2 * torch.randn(16, 3, 75, 75)))
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(5), atol=1e-4)
    assert torch.allclose(out.std((0, 2, 3)), torch.ones(5), atol=1e-3)


@pytest.mark.parametrize("added", [Network(), Network(batch_norm=True)])
def test_encode_equals_the_layers_in_the_reports_order(added):
    """ReLU after the max-pool gives, to the bit, what the printed order (ReLU before it) gives, gradients included."""
    model = SiameseNetwork(added).to(memory_format=torch.channels_last)
    x = torch.randn(6, 3, 75, 75).to(memory_format=torch.channels_last)
    plain = nn.Sequential(*[nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in model.encoder.conv])
    ours = model.encode(x)
    theirs = model.encoder.fc1(plain(x))
    assert torch.allclose(ours, theirs, atol=1e-6) if added.batch_norm else torch.equal(ours, theirs)
    weight = model.encoder.conv[0].weight
    (mine,) = torch.autograd.grad(ours.sum(), weight, retain_graph=True)
    (reference,) = torch.autograd.grad(theirs.sum(), weight)
    assert torch.allclose(mine, reference, atol=1e-6)


def test_forward_is_symmetric_and_shaped():
    """forward gives (B, 1) and does not care which chip comes first; a chip against itself gives the bias alone."""
    model = SiameseNetwork()
    a, b = torch.randn(2, 4, 3, 75, 75)
    assert model(a, b).shape == (4, 1)
    assert torch.equal(model(a, b), model(b, a))
    assert torch.equal(model(a, a), model.out.bias.expand(4, 1))
