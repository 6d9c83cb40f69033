import pytest
import torch
from torch import nn

from trainables.config import Optimiser, TrialConfig
from trainables.optimisers import learning_rate, learning_rates, make_optimiser, take_step

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


@pytest.mark.parametrize("warmup", [0, 0.3, 1, 2.5, 30])
@pytest.mark.parametrize("kind", ["constant", "exponential", "cosine"])
def test_warm_up_equals_a_count_of_steps(kind, warmup):
    """Step by step the rate is the schedule's, times the share of the warm-up's steps that are done by then."""
    steps, t = 7, 0
    ours = config(kind=kind, warmup=warmup)
    for epoch in range(EPOCHS):
        rates = learning_rates(ours, epoch, steps)
        assert len(rates) == steps
        for rate in rates:
            t += 1
            share = t / (warmup * 7) if t < warmup * 7 else 1.0
            assert rate == pytest.approx(share * learning_rate(ours, epoch), rel=1e-12)
        if epoch >= warmup:
            assert set(rates) == {learning_rate(ours, epoch)}  # to the bit


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
