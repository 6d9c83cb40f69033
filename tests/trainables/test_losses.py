import math

import torch

from trainables.losses import LOSSES
from trainables.model import SiameseNetwork


def test_bce_equals_the_reports_formula_by_loop():
    """The loss is the mean of -y log p - (1 - y) log(1 - p) with p = sigmoid(out |z1 - z2|), pair by pair."""
    torch.manual_seed(0)
    model = SiameseNetwork()
    first, second = torch.rand(2, 9, 18)
    target = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1.0])
    weight, bias = model.out.weight[0].tolist(), model.out.bias.item()
    expected, probabilities = 0.0, []
    for a, b, y in zip(first.tolist(), second.tolist(), target.tolist(), strict=True):
        logit = bias + sum(w * abs(u - v) for w, u, v in zip(weight, a, b, strict=True))
        p = 1 / (1 + math.exp(-logit))
        probabilities.append(p)
        expected += (-y * math.log(p) - (1 - y) * math.log(1 - p)) / 9
    loss = LOSSES["bce"]
    assert math.isclose(loss(model, first, second, target).item(), expected, rel_tol=1e-5)
    assert torch.allclose(loss.probability(model, first, second), torch.tensor(probabilities), atol=1e-6)


def test_bce_has_finite_gradients_for_equal_and_for_extreme_embeddings():
    """Equal embeddings, and logits of +-10,000 on the wrong side, give finite losses and gradients."""
    model = SiameseNetwork()
    z = torch.zeros(3, 18, requires_grad=True)
    far = torch.full((3, 18), 1e4)
    for other in (torch.zeros(3, 18), far, -far):
        for target in (torch.zeros(3), torch.ones(3)):
            loss = LOSSES["bce"](model, z, other, target)
            (gradient,) = torch.autograd.grad(loss, z)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()
