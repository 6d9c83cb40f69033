"""Guards the optimiser's step against the paper's formula, clipping, and what it loads."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from trainables.config import Optimiser
from trainables.optimisers import make_optimiser, take_step


def weights_with_gradients():
    """Two weights whose gradients have a norm of 13 together, and one that took no part."""
    a, b, c = (nn.Parameter(torch.zeros(size)) for size in (2, 1, 3))
    a.grad, b.grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
    return a, b, c


@pytest.mark.parametrize(("clip_norm", "scale"), [(0.0, 1.0), (6.5, 0.5), (13.1, 1.0)])
def test_a_gradient_is_clipped_as_a_whole(clip_norm, scale):
    """All gradients shrink by one factor to the largest norm, and none where it is not reached; the norm said is that before."""
    weights = weights_with_gradients()
    optimiser = torch.optim.SGD(weights, lr=9.0)
    assert float(take_step(optimiser, 0.1, clip_norm)) == pytest.approx(13.0)
    moved = [-value for weight in weights for value in weight.tolist()]
    assert moved == pytest.approx([0.1 * scale * g for g in (3, 4, 12, 0, 0, 0)], rel=1e-5)


def test_adam_equals_a_loop_of_the_paper():
    """Three updates with weight decay equal Adam written out (Kingma and Ba 2015, decay added to the gradient)."""
    w = nn.Parameter(torch.tensor([0.5, -2.0]))
    optimiser = make_optimiser(Optimiser(lr=0.1, weight_decay=0.3), [w])
    x, m, v = [0.5, -2.0], [0.0, 0.0], [0.0, 0.0]
    for step in range(1, 4):
        optimiser.zero_grad()
        (w**3).sum().backward()
        optimiser.step()
        for i in range(2):
            gradient = 3 * x[i] ** 2 + 0.3 * x[i]
            m[i] = 0.9 * m[i] + 0.1 * gradient
            v[i] = 0.999 * v[i] + 0.001 * gradient**2
            x[i] -= 0.1 * (m[i] / (1 - 0.9**step)) / ((v[i] / (1 - 0.999**step)) ** 0.5 + 1e-8)
    assert w.tolist() == pytest.approx(x, rel=1e-4)


def test_a_step_loads_no_compiler():
    """Adam is made, zeroed and stepped without torch's compiler, whose loading would cost each worker two seconds."""
    steps = (
        "import sys, torch; from trainables.optimisers import make_optimiser, take_step; "
        "from trainables.config import Optimiser; w = torch.nn.Parameter(torch.ones(2)); "
        "o = make_optimiser(Optimiser(), [w]); o.zero_grad(); w.sum().backward(); take_step(o, 0.1, 1.0); "
        "print('torch._dynamo' in sys.modules, w.tolist() != [1.0, 1.0])"
    )
    done = subprocess.run([sys.executable, "-c", steps], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
