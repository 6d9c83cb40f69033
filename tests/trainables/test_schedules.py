"""Guards the learning rate of every step."""

import pytest
import torch
from torch import nn

from trainables.config import TrialConfig
from trainables.schedules import learning_rate, learning_rates

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
