"""The compiled pass through the convolution blocks: torch's mathematics, the same bits whoever shares the work."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from trainables.augment import GREY_WEIGHTS
from trainables.compiled_encoder import share_threads
from trainables.config import Network, TrialConfig
from trainables.encoder_path import SOURCE, SWITCH, Library, digest, encoder_path
from trainables.model import SiameseNetwork
from trainables.preparation import prepare
from trainables.stored_chips import StoredChips
from trainables.training import DeviceData, Run, train

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which(os.environ.get("CC", "cc"))
TIE = 1e-6  # of a map's largest value: closer than that, rounding decides which place is the maximum or open

needs_pass = pytest.mark.skipif(not encoder_path().compiled, reason=f"no compiled pass: {encoder_path().why}")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")


def stored(count, seed, kind="8-bit", size=1.0):
    """`count` chips of bytes, of floats up to `size`, or of one value."""
    rng = np.random.default_rng(seed)
    if kind == "8-bit":
        pixels = rng.integers(0, 256, (count, 75, 75, 3)).astype(np.uint8)
    elif kind == "floats":
        pixels = (size * rng.random((count, 75, 75, 3))).astype(np.float32)
    else:
        pixels = np.full((count, 75, 75, 3), size, np.float32)
    flat = pixels.reshape(-1, 3)
    return StoredChips.of(pixels, flat.mean(0, dtype=np.float32), np.maximum(flat.std(0, dtype=np.float32), 0.1))


def network(seed):
    torch.manual_seed(seed)
    return SiameseNetwork()


def drawn(numbers, kind, size, seed, viewed):
    """A batch of these of six chips, if `viewed` under the eight views in turn, and a network."""
    views = ((torch.arange(len(numbers)) + seed) % 8).to(torch.uint8) if viewed else None
    return stored(6, seed, kind, size).batch(torch.tensor(numbers), views), network(seed)


def exactly(model, batch):
    """The same network in float64, and what it sees of the batch (B, 3, 75, 75)."""
    exact = SiameseNetwork().double()
    exact.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    chips = batch.stored.pixels[batch.chips].double()
    chips = ((chips - batch.stored.mean.double()) / batch.stored.sd.double()).permute(0, 3, 1, 2)
    views = [0] * len(chips) if batch.views is None else batch.views.tolist()
    return exact, torch.stack([seen(chip, view) for chip, view in zip(chips, views, strict=True)])


def seen(chip, view):
    """A chip (3, 75, 75) flipped and turned grey as the bits of `view` say."""
    chip = chip.flip([dim for dim, bit in ((-1, 1), (-2, 2)) if view & bit])
    return sum(w * chip[c] for c, w in enumerate(GREY_WEIGHTS)).expand(3, -1, -1) if view & 4 else chip


@torch.no_grad()
def nearest_tie(exact, x):
    """How near a maximum is to the next of its four, or to the ReLU's threshold, relative to the map's largest value."""
    nearest = 1.0
    for convolution in (exact.encoder.conv[0], exact.encoder.conv[3], exact.encoder.conv[6]):
        x = convolution(x)
        size = x.abs().max()
        if convolution is not exact.encoder.conv[6]:
            first, second = F.unfold(x.flatten(0, 1)[:, None], 2, stride=2).topk(2, dim=1).values.unbind(1)
            lead = (first - second)[first > 0]
            nearest = min(nearest, float(lead.min() / size) if len(lead) else 1.0)
            x = F.max_pool2d(x, 2)
        nearest = min(nearest, float(x.abs().min() / size))
        x = F.relu(x)
    return nearest


def gradients(features, model, weight):
    return torch.autograd.grad((features * weight).sum(), list(model.encoder.conv.parameters()))


batches = st.lists(st.integers(0, 5), min_size=1, max_size=9)  # chips may stand in a batch more than once


@needs_pass
@settings(max_examples=40, deadline=None)
@given(batches, st.sampled_from(["8-bit", "floats", "equal"]), st.floats(1e-3, 1e4), st.integers(0, 99), st.booleans())
@example(list(range(6)) * 7, "8-bit", 1.0, 1, True)
def test_features_equal_torchs_in_float64(numbers, kind, size, seed, viewed):
    """Within 1e-5 of the largest feature: any batch, repeated and all-equal chips, values to 1e4, every view."""
    batch, model = drawn(numbers, kind, size, seed, viewed)
    exact, x = exactly(model, batch)
    expected = exact.encoder.features(x)
    assert (model.encoder.features(batch) - expected).abs().max() <= 1e-5 * max(
        1.0, float(expected.detach().abs().max())
    )


@needs_pass
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(batches, st.sampled_from(["8-bit", "floats"]), st.floats(1e-3, 1e4), st.integers(0, 999), st.booleans())
def test_gradients_equal_torchs_in_float64(numbers, kind, size, seed, viewed):
    """Each layer's gradient within 1e-4 of its norm, where no maximum is tied and no ReLU at its threshold."""
    batch, model = drawn(numbers, kind, size, seed, viewed)
    exact, x = exactly(model, batch)
    assume(nearest_tie(exact, x) > TIE)
    weight = torch.randn(len(numbers), 7, 18, 18)
    mine = gradients(model.encoder.features(batch), model, weight)
    for ours, theirs in zip(mine, gradients(exact.encoder.features(x), exact, weight.double()), strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


@needs_pass
def test_the_number_of_threads_changes_no_bit():
    """Features and gradients of 100 chips are equal to the bit for 1, 2, 3 and 7 threads."""
    batch, model, weight = stored(20, 1).batch(torch.arange(100) % 20), network(1), torch.randn(100, 7, 18, 18)
    answers = []
    try:
        for threads in (1, 2, 3, 7):
            share_threads(threads, encoder_path())
            features = model.encoder.features(batch)
            answers.append((features.detach(), *gradients(features, model, weight)))
    finally:
        share_threads(1, encoder_path())
    for answer in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answer, answers[0], strict=True))


@needs_pass
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_comes_through(bad):
    """A pixel that is NaN or infinite makes NaN and infinity where torch's layers do, a weight at least there.

    (Padding times an infinite weight is NaN; torch skips the padding.)
    """
    chips, model = stored(3, 2, "floats"), network(2)
    chips.pixels[1, 30, 40] = bad
    batch = chips.batch(torch.arange(3))
    ours, theirs = model.encoder.features(batch), model.encoder.features(batch.normalised())
    assert not torch.isfinite(theirs).all()
    assert torch.equal(ours.isnan(), theirs.isnan())
    assert torch.equal(ours.isinf(), theirs.isinf())
    with torch.no_grad():
        model.encoder.conv[3].weight[2, 1, 0, 0] = bad
    ours, theirs = model.encoder.features(batch), model.encoder.features(batch.normalised())
    assert not (ours.isfinite() & ~theirs.isfinite()).any()


@needs_pass
def test_a_chip_that_is_not_stored_is_an_error():
    """A number beyond the stored chips, or below 0, is an IndexError, not a read of other memory."""
    for number in (3, -1):
        with pytest.raises(IndexError, match="not stored"):
            network(0).encoder.features(stored(3, 0).batch(torch.tensor([0, number])))


@needs_pass
def test_chips_of_another_side_are_an_error():
    """Chips that are smaller than the pass reads are a ValueError, not a read of other memory."""
    chips = StoredChips.of(np.zeros((2, 74, 75, 3), np.uint8), np.zeros(3, np.float32), np.ones(3, np.float32))
    with pytest.raises(ValueError, match="75 x 75"):
        network(0).encoder.features(chips.batch(torch.tensor([0, 1])))


@needs_pass
def test_training_goes_as_on_torchs_path(device_data, monkeypatch):
    """Three epochs with augmentation and dropout behind the blocks: the losses of both paths agree to 1e-3."""
    config = TrialConfig().override({"epochs": 3, "augmentation.theta": 0.5, "network.dropout_conv": 0.2, "seed": 5})
    ours = [epoch.val_loss for epoch in train(config, device_data)]
    monkeypatch.setenv(SWITCH, "torch")
    assert ours == pytest.approx([epoch.val_loss for epoch in train(config, device_data)], rel=1e-3)


def test_one_place_decides(monkeypatch):
    """Batch normalisation, a GPU and the switch take torch's path and say why."""
    assert "batch normalisation" in encoder_path(Network(batch_norm=True)).why
    assert "CPU" in encoder_path(device="cuda:0").why
    monkeypatch.setenv(SWITCH, "torch")
    assert str(encoder_path()) == f"torch ({SWITCH}=torch)"


@needs_pass
def test_a_worker_keeps_an_8_bit_set_as_it_is(chips):
    """Of 8-bit chips an epoch of training and validation makes no copy, neither as floats nor normalised."""
    coarse = (255 * (chips.images - chips.images.min()) / np.ptp(chips.images)).astype(np.uint8)
    data = DeviceData.of(prepare(replace(chips, images=coarse), "grouped").for_trials())
    config = TrialConfig().override({"epochs": 1})
    list(train(config, data, Run.fresh(config)))
    for part in (data.train, data.validation):
        assert part.chips.pixels.dtype == torch.uint8
        assert "normalised" not in vars(part.chips)


def build(folder, *flags):
    """Compile the source as installation does, with more flags, in `folder`; return the library."""
    library = folder / "encoder.so"
    made = subprocess.run(
        [COMPILER, "-O3", "-shared", "-fPIC", *flags, str(SOURCE), "-o", str(library)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"{COMPILER} {' '.join(flags)}: {made.stderr.splitlines()[0]}")
    return library


@needs_compiler
@pytest.mark.parametrize("flags", [[], ["-mavx2", "-mfma"]], ids=["baseline", "AVX2"])
def test_every_width_of_vectors_gives_the_same(flags, tmp_path, monkeypatch):
    """Built for narrower vectors, features and gradients equal the installed build's to rounding."""
    library = build(tmp_path, f'-DENCODER_SOURCE="{digest()}"', *flags)
    batch, model, weight = stored(5, 4).batch(torch.arange(21) % 5), network(4), torch.randn(21, 7, 18, 18)
    features = model.encoder.features(batch)
    expected = (features, *gradients(features, model, weight))
    monkeypatch.setenv(SWITCH, str(library))
    if not encoder_path().compiled:
        pytest.skip(encoder_path().why)
    features = model.encoder.features(batch)
    for ours, theirs in zip((features, *gradients(features, model, weight)), expected, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@needs_compiler
def test_a_library_of_another_source_is_not_used(tmp_path):
    """What was compiled from an older encoder.c is refused, and the line says what compiles it again."""
    with pytest.raises(OSError, match="another encoder"):
        Library(build(tmp_path, '-DENCODER_SOURCE="0123"'))


@needs_compiler
@pytest.mark.slow
def test_no_access_lies_outside_its_array(tmp_path):
    """Under the address sanitiser, forward and backward of 1, 16 and 33 chips, bytes and floats, touch their arrays alone."""
    runtime = subprocess.run([COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip(f"{COMPILER} has no address sanitiser")
    program = Path(__file__).with_name("encoder_checked.c")
    made = subprocess.run(
        [COMPILER, "-O1", "-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
         f"-I{SOURCE.parent}", str(program), "-o", str(tmp_path / "checked")],
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"cannot be built with the sanitiser: {made.stderr.splitlines()[-1]}")
    run = subprocess.run([tmp_path / "checked"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["1", "16", "33"]


@pytest.mark.slow
def test_without_a_compiler_installation_goes_on(tmp_path):
    """With CC pointing nowhere the build ends with status 0 and no library, and the path is torch's, with the reason."""
    for name in ("trainables", "setup.py", "pyproject.toml", "README.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for library in tmp_path.glob("trainables/*.so"):
        library.unlink()
    environment = os.environ | {"CC": "/nowhere/cc", "PYTHONPATH": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert made.returncode == 0, made.stderr.decode()[-2000:]
    assert not list(tmp_path.glob("trainables/*.so"))
    told = "from trainables.encoder_path import encoder_path; print(encoder_path())"
    said = subprocess.run([sys.executable, "-c", told], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.stdout.strip() == "torch (nothing compiled: no C compiler was found at installation)"
