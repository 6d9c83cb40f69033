"""Guards each initialisation against its formula."""

import math

import pytest
import torch
from scipy import stats
from torch import Generator, nn

from trainables.initialisers import INITIALISERS, initialise
from trainables.model import SiameseNetwork

ALPHA = 1e-3  # the seeds are fixed, so a failure is a wrong distribution, not bad luck


def drawn(kind, layer, parameter):
    generator = Generator().manual_seed(11)
    values = []
    while sum(v.numel() for v in values) < 4000:
        initialise(layer, kind, generator)
        values.append(getattr(layer, parameter).detach().flatten().clone())
    return torch.cat(values).numpy()


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.Linear(30, 18)])
def test_default_is_uniform_in_the_fan_in(layer):
    """Weights and biases follow U(-1/sqrt(fan in), 1/sqrt(fan in)) (Kolmogorov-Smirnov at 0.001)."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in ("weight", "bias"):
        assert stats.kstest(drawn("default", layer, parameter), "uniform", (-bound, 2 * bound)).pvalue > ALPHA


@pytest.mark.parametrize(
    ("layer", "inputs", "fan_in"),
    [(nn.Conv2d(3, 5, 3), 3, 27), (nn.Conv2d(5, 7, 3), 5, 45), (nn.Linear(30, 18), 30, 30)],
)
@pytest.mark.parametrize("kind", ["he", "he_fan_in"])
def test_he_is_the_reports_normal(kind, layer, inputs, fan_in):
    """Weights follow N(0, 2/D), biases N(0.5, 2/D) (Kolmogorov-Smirnov at 0.001).

    D is the input channels or features, as the report has it, and for `he_fan_in` the channels times the kernel's area.
    """
    sd = math.sqrt(2 / (inputs if kind == "he" else fan_in))
    assert stats.kstest(drawn(kind, layer, "weight"), "norm", (0, sd)).pvalue > ALPHA
    assert stats.kstest(drawn(kind, layer, "bias"), "norm", (0.5, sd)).pvalue > ALPHA


@pytest.mark.parametrize(("layer", "sd"), [(nn.Conv2d(3, 5, 3), 0.01), (nn.Linear(30, 18), 0.2)])
def test_koch_has_its_own_deviation_for_each_kind_of_layer(layer, sd):
    """Weights follow N(0, sd) with sd 0.01 or 0.2, all biases N(0.5, sd 0.01) (Kolmogorov-Smirnov at 0.001)."""
    assert stats.kstest(drawn("koch", layer, "weight"), "norm", (0, sd)).pvalue > ALPHA
    assert stats.kstest(drawn("koch", layer, "bias"), "norm", (0.5, 0.01)).pvalue > ALPHA


@pytest.mark.parametrize("kind", list(INITIALISERS))
def test_the_generator_decides_the_weights(kind):
    """Equal seeds give equal weights whatever torch's global state; another seed gives others in every layer."""
    one, two, other = SiameseNetwork(), SiameseNetwork(), SiameseNetwork()
    initialise(one, kind, Generator().manual_seed(5))
    torch.manual_seed(99)
    initialise(two, kind, Generator().manual_seed(5))
    initialise(other, kind, Generator().manual_seed(6))
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
