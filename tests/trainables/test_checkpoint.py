"""Guards that a run goes on from its checkpoint to the bit, and that no file of another kind is taken for one."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load

from trainables.checkpoint import Best, from_bytes, to_bytes
from trainables.config import TrialConfig
from trainables.ensemble import pack
from trainables.result import EpochMetrics
from trainables.training import Run, train

PLAIN = TrialConfig().override({"epochs": 4, "optimiser.lr": 0.003, "optimiser.weight_decay": 1e-3, "seed": 3})
SMALL = PLAIN.override(
    {"network.encoder": "small", "network.width": 4, "network.depth": 3, "augmentation.theta": 0.4, "epochs": 3}
)
CONFIGS = {
    "warm-up and clipping": PLAIN.override({"schedule.warmup": 2.5, "optimiser.clip_norm": 0.05}),
    "augmented": PLAIN.override({"augmentation.theta": 0.6, "schedule.kind": "cosine"}),
    "regularised": PLAIN.override(
        {"network.batch_norm": True, "network.dropout_conv": 0.2, "network.dropout_out": 0.1}
    ),
    "ensemble": PLAIN.override({"ensemble.members": 2, "ensemble.combine": "average", "epochs": 3}),
    "fresh partners": PLAIN.override({"data.partners": "fresh", "ensemble.members": 2, "epochs": 3}),
    "contrastive": PLAIN.override({"loss.kind": "contrastive", "epochs": 3}),
    "small encoder": SMALL,
    "cropped, turned and lit": SMALL.override(
        {"augmentation.crop": 0.2, "augmentation.turn": 10.0, "augmentation.brightness": 0.2}
    ),
}


def figures(epoch):
    """What an epoch measured, without the time that it took."""
    return epoch.epoch, epoch.train_loss, epoch.val_loss, epoch.grad_norm


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("stop", [1, 2])
def test_a_restored_run_goes_on_to_the_bit(device_data, name, stop):
    """Stopped after an epoch a run goes on to the losses and weights of an unbroken one: written and read, or as it is."""
    config = CONFIGS[name]
    unbroken, begun = Run.fresh(config), Run.fresh(config)
    expected = [figures(epoch) for epoch in train(config, device_data, unbroken)]
    first = [epoch for _, epoch in zip(range(stop), train(config, device_data, begun), strict=False)]
    content = to_bytes(config, begun, Best(first[-1], pack(begun.networks)))
    restored, best = from_bytes(content, config)
    assert best.epoch == first[-1]
    for run in (restored, begun):
        rest = [figures(epoch) for epoch in train(config, device_data, run)]
        assert [*map(figures, first), *rest] == expected
        for key, tensor in pack(unbroken.networks).items():
            assert torch.equal(pack(run.networks)[key], tensor)


def test_an_untrained_run_can_be_kept_too():
    """Before the first epoch there is no best and no moment yet, and nothing is lost by that."""
    restored, best = from_bytes(to_bytes(PLAIN, Run.fresh(PLAIN), Best()), PLAIN)
    assert (restored.epoch, best.epoch, best.weights) == (0, None, {})


def test_weights_that_two_names_share_are_kept_under_both():
    """An encoder of a user's own may have a layer twice; its run is kept like any other."""
    run = Run.fresh(PLAIN)
    (member,) = run.members
    member.model.again = next(member.model.children())
    content = to_bytes(PLAIN, run, Best())
    names = [name for name in load(content) if name.startswith("0.model.again.")]
    assert names
    assert all(
        torch.equal(load(content)[name], member.model.state_dict()[name.removeprefix("0.model.")]) for name in names
    )


def test_another_configs_checkpoint_is_refused():
    """A file of a config with another seed, or with other layers, is no checkpoint of this trial."""
    content = to_bytes(PLAIN, Run.fresh(PLAIN), Best())
    for changes in ({"seed": 4}, {"network.batch_norm": True}):
        with pytest.raises(ValueError, match="belongs to another config"):
            from_bytes(content, PLAIN.override(changes))


def test_a_checkpoint_from_before_a_path_was_there_is_its_default_s():
    """A state whose config lacks a path, and its best epoch a figure, goes on where the path's value is the default."""
    run, epoch = Run.fresh(PLAIN), EpochMetrics(1, 0.5, 0.5, 0.9, 0.8, 0.9, 0.01, 1.0)
    content = to_bytes(PLAIN, run, Best(epoch))
    with_spaces = {b', \\"grad_norm\\": null': b"", b', \\"warmup\\": 0.0': b"", b', \\"clip_norm\\": 0.0': b""}
    for name, nothing in with_spaces.items():
        assert name in content
        content = content.replace(name, nothing + b" " * len(name))
    assert from_bytes(content, PLAIN)[1].epoch == epoch
    with pytest.raises(ValueError, match="belongs to another config"):
        from_bytes(content, PLAIN.override({"schedule.warmup": 1.0}))


CONTENT = to_bytes(PLAIN, Run.fresh(PLAIN), Best())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255), st.booleans())
def test_a_damaged_file_is_a_value_error_or_harmless(place, change, cut):
    """Cut anywhere, or with any byte changed, a checkpoint raises ValueError, or loads as numbers: never anything else."""
    damaged = CONTENT[:place] if cut else CONTENT[:place] + bytes([CONTENT[place] ^ change]) + CONTENT[place + 1 :]
    try:
        run, _ = from_bytes(damaged, PLAIN)
    except ValueError:
        return
    assert not cut
    assert math.isfinite(run.epoch)


def test_nothing_in_a_checkpoint_is_code():
    """The file is a safetensors file: a JSON header and numbers; a pickle in its place is refused, not run."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    with pytest.raises(ValueError, match="not a checkpoint"):
        from_bytes(pickle.dumps(Bomb()), PLAIN)
