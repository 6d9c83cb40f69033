import torch
from torch import nn

from trainables.model import SiameseNetwork


def test_the_network_has_the_reports_parameters():
    """41,553 parameters in all."""
    assert sum(p.numel() for p in SiameseNetwork().parameters()) == 41_553


def test_the_layers_are_the_reports():
    """The printed network names the report's layers in the report's order."""
    printed = str(SiameseNetwork())
    expected = [
        "Conv2d(3, 5, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "ReLU(inplace=True)",
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        "Conv2d(5, 5, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "ReLU(inplace=True)",
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        "Conv2d(5, 7, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "ReLU()",
        "Flatten(start_dim=1, end_dim=-1)",
        "Linear(in_features=2268, out_features=18, bias=True)",
        "Sigmoid()",
        "Linear(in_features=18, out_features=1, bias=True)",
    ]
    positions = []
    for layer in expected:
        positions.append(printed.index(layer, positions[-1] + 1 if positions else 0))
    assert positions == sorted(positions)


def test_encode_equals_the_layers_in_the_reports_order():
    """ReLU after the max-pool gives, to the bit, what the printed order (ReLU before it) gives, gradients included."""
    model = SiameseNetwork().to(memory_format=torch.channels_last)
    x = torch.randn(6, 3, 75, 75).to(memory_format=torch.channels_last)
    plain = nn.Sequential(*[nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in model.conv])
    ours = model.encode(x)
    theirs = model.fc1(plain(x))
    assert torch.equal(ours, theirs)
    weight = model.conv[0].weight
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
