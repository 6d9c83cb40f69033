"""Each loss against its formula, pair by pair in plain Python."""

import math

import pytest
import torch

from trainables.config import Loss
from trainables.losses import LOSSES, make_loss
from trainables.model import SiameseNetwork

TARGET = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1.0])
KOCH = {"l2_conv1": 0.1, "l2_conv2": 0.02, "l2_conv3": 0.003, "l2_fc1": 0.0004, "l2_out": 0.05}


@pytest.fixture
def pairs():
    torch.manual_seed(0)
    return SiameseNetwork(), *torch.rand(2, 9, 18)


def cross_entropy(model, first, second):
    """The report's equation 1 and p = sigmoid(out |z1 - z2|), by loop."""
    weight, bias = model.out.weight[0].tolist(), model.out.bias.item()
    loss, scores = 0.0, []
    for a, b, y in zip(first.tolist(), second.tolist(), TARGET.tolist(), strict=True):
        p = 1 / (1 + math.exp(-bias - sum(w * abs(u - v) for w, u, v in zip(weight, a, b, strict=True))))
        scores.append(p)
        loss += (-y * math.log(p) - (1 - y) * math.log(1 - p)) / 9
    return loss, scores


def test_bce_equals_the_reports_formula_by_loop(pairs):
    """The loss is the mean of -y log p - (1 - y) log(1 - p) with p = sigmoid(out |z1 - z2|), without a penalty."""
    model, first, second = pairs
    expected, scores = cross_entropy(model, first, second)
    loss = make_loss(Loss("bce"))
    assert loss(model, first, second, TARGET).item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(loss.score(model, first, second), torch.tensor(scores), atol=1e-6)
    assert loss.penalty(model) == 0


@pytest.mark.parametrize("margin", [0.5, 1.7, 4.0])
def test_contrastive_equals_the_papers_formula_by_loop(pairs, margin):
    """(1 - y) d^2 / 2 + y max(0, m - d)^2 / 2 with the Euclidean distance d, and the score min(d / m, 1)."""
    model, first, second = pairs
    expected, scores = 0.0, []
    for a, b, y in zip(first.tolist(), second.tolist(), TARGET.tolist(), strict=True):
        d = math.sqrt(sum((u - v) ** 2 for u, v in zip(a, b, strict=True)))
        scores.append(min(d / margin, 1.0))
        expected += ((1 - y) * d**2 / 2 + y * max(0.0, margin - d) ** 2 / 2) / 9
    loss = make_loss(Loss("contrastive", margin=margin))
    assert loss(model, first, second, TARGET).item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(loss.score(model, first, second), torch.tensor(scores), atol=1e-5)


def test_koch_is_bce_with_a_penalty_for_each_layers_weights(pairs):
    """The loss and score are those of bce; the penalty is the sum of l2 |w|^2 layer by layer, biases left out.

    Its gradient is 2 l2 w on weights and nothing on biases.
    """
    model, first, second = pairs
    loss = make_loss(Loss("koch", **KOCH))
    expected, scores = cross_entropy(model, first, second)
    assert loss(model, first, second, TARGET).item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(loss.score(model, first, second), torch.tensor(scores), atol=1e-6)
    layers = {
        "conv1": "encoder.conv.0",
        "conv2": "encoder.conv.3",
        "conv3": "encoder.conv.6",
        "fc1": "encoder.fc1.0",
    } | {"out": "out"}
    state = model.state_dict()
    penalty = sum(
        KOCH[f"l2_{name}"] * sum(w * w for w in state[f"{layer}.weight"].flatten().tolist())
        for name, layer in layers.items()
    )
    assert loss.penalty(model).item() == pytest.approx(penalty, rel=1e-5)
    loss.penalty(model).backward()
    for name, layer in layers.items():
        own = model.get_submodule(layer)
        assert torch.allclose(own.weight.grad, 2 * KOCH[f"l2_{name}"] * own.weight)
        assert own.bias.grad is None


@pytest.mark.parametrize("kind", list(LOSSES))
def test_gradients_are_finite_at_distance_zero_and_far_away(kind):
    """Equal embeddings, and embeddings 10,000 apart on the wrong side, give finite losses, scores and gradients."""
    model, loss = SiameseNetwork(), make_loss(Loss(kind))
    z = torch.zeros(3, 18, requires_grad=True)
    far = torch.full((3, 18), 1e4)
    for other in (torch.zeros(3, 18), far, -far):
        for target in (torch.zeros(3), torch.ones(3)):
            value = loss(model, z, other, target)
            (gradient,) = torch.autograd.grad(value, z)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()
            assert torch.isfinite(loss.score(model, z, other)).all()


@pytest.mark.parametrize("kind", list(LOSSES))
def test_the_loss_of_a_single_networks_scores_is_its_loss(pairs, kind):
    """of_score of one network's scores is that network's loss (contrastive: while no similar pair lies beyond m)."""
    model, first, second = pairs
    loss = make_loss(Loss(kind, margin=4.5))
    score = loss.score(model, first, second)
    assert loss.of_score(score, TARGET).item() == pytest.approx(loss(model, first, second, TARGET).item(), rel=1e-4)
