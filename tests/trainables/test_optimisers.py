import pytest
import torch
from torch import nn

from trainables.config import Optimiser, TrialConfig
from trainables.optimisers import learning_rate, make_optimiser

EPOCHS = 12


def config(**schedule):
    return TrialConfig().override(
        {"epochs": EPOCHS, "optimiser.lr": 0.02, **{f"schedule.{k}": v for k, v in schedule.items()}}
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (config(kind="constant"), lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        (config(kind="exponential", gamma=0.87), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.87)),
        (
            config(kind="cosine", floor=0.1),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS, eta_min=0.002),
        ),
    ],
)
def test_a_schedule_is_torchs(ours, theirs):
    """Each epoch's rate equals torch's scheduler stepped once an epoch."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    scheduler = theirs(optimiser)
    for epoch in range(EPOCHS):
        assert learning_rate(ours, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimiser.step()
        scheduler.step()


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
