"""A training step on both paths through the encoder, in turn, and how near the compiled one comes to the peak.

    python -m benchmarks.step [--data PATH] [--pairs 64] [--theta 0] [--rounds 7] [--march native]

A step is the product's own: a batch of pairs gathered, both chips encoded, loss, backward, Adam. Each round trains an
epoch on torch's path and one on the compiled path from the same weights, in this process, with one thread. Times are
CPU time, so that neighbours matter little. `--march x86-64-v3` (AVX2) or another name of the compiler's builds the
compiled path and the peak for that.

The last line is a JSON object. `torch_ms`, `kernel_ms`: median milliseconds of CPU a step; `ratio`: the median of each
round's torch / kernel, `ratios` all of them; `gflop`: the arithmetic of a step, forward over all places, backward over
those that hand a gradient on; `peak_gflops`: fused multiply-adds of one core at their fastest, measured in every round;
`share_of_peak`: gflop / kernel time / peak_gflops. Exit status 1 where nothing can be compiled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.study import ROOT, positive
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig
from trainables.encoder_path import SWITCH, encoder_path
from trainables.encoders.report import Report
from trainables.errors import InputError
from trainables.images.readers import read_chips
from trainables.images.synthetic import simulate
from trainables.losses import make_loss
from trainables.preparation import prepare
from trainables.stored_chips import Tensors
from trainables.training import DeviceData, Member, train_epoch


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, metavar="PATH", help="images as run_search.py takes them (default: simulated)")
    p.add_argument("--chips", type=positive, default=600, metavar="N", help="simulated chips (default: 600)")
    p.add_argument("--pairs", type=positive, default=64, metavar="N", help="pairs in a step (default: 64)")
    p.add_argument("--theta", type=float, default=0.0, metavar="P", help="augmentation (default: 0, none)")
    p.add_argument("--rounds", type=positive, default=7, metavar="N", help="epochs on each path (default: 7)")
    p.add_argument("--march", default="native", metavar="NAME", help="processor to compile for (default: native)")
    return p


@contextlib.contextmanager
def switched(value: str) -> Iterator[None]:
    """Set the switch between the paths for a while."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = value
    try:
        yield
    finally:
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before


def build(march: str, folder: Path) -> tuple[Path, Path]:
    """Compile the encoder, as installation does, and the peak, for `march`; return the library and the program.

    Raises InputError where that cannot be done.
    """
    into = ["--build-lib", str(folder), "--build-temp", str(folder / "temp")]
    environment = os.environ | {"SIAMESE_MARCH": march}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", *into]
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    libraries = list((folder / "trainables").glob("_encoder*"))
    peak = folder / "peak"
    compiler = [os.environ.get("CC", "cc"), "-O3", f"-march={march}", "-ffp-contract=fast"]
    try:
        subprocess.run(
            [*compiler, str(ROOT / "benchmarks" / "peak.c"), "-o", str(peak)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"{compiler[0]} does not compile for {march} ({error})") from error
    if not libraries:
        raise InputError(f"nothing was compiled for {march}: {(made.stderr.strip().splitlines() or [''])[-1]}")
    return libraries[0], peak


def step_ms(config: TrialConfig, data: Tensors) -> float:
    """Return the milliseconds of CPU that a step of an epoch takes, from fresh weights."""
    member, loss = Member.fresh(config), make_loss(config.loss)
    began = time.process_time()
    train_epoch(member, data, loss, 0)
    return 1e3 * (time.process_time() - began) / -(-len(data.target) // config.batch_size)


@torch.no_grad()
def gflop_of_step(config: TrialConfig, data: Tensors) -> float:
    """Return the arithmetic of a step in 10^9 operations, a multiplication and an addition counting as two."""
    encoder, chips = Member.fresh(config).model.encoder, 2 * config.batch_size
    assert isinstance(encoder, Report)
    x = data.chips.batch(torch.arange(min(chips, len(data.chips.pixels)))).normalised()
    scale, operations = chips / len(x), 0.0
    for number in (0, 3, 6):
        layer = encoder.conv[number]
        assert isinstance(layer, torch.nn.Conv2d)
        taps = layer.weight[0].numel()
        y = layer(x)
        if number < 6:
            y = y[..., : y.shape[2] // 2 * 2, : y.shape[3] // 2 * 2]
        operations += 2 * taps * y.numel()
        x = F.relu(F.max_pool2d(y, 2) if number < 6 else y)
        operations += 2 * taps * int((x > 0).sum()) * (1 if number == 0 else 2)  # dW, and dx of all but the first
    operations += 3 * 2 * next(encoder.fc1.parameters()).numel() * len(x)
    return 1e-9 * scale * operations


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parser().parse_args(argv)
    share_threads(1, encoder_path())
    try:
        data = DeviceData.of(
            prepare(read_chips(args.data) if args.data else simulate(args.chips), "grouped").for_trials()
        )
        with tempfile.TemporaryDirectory() as folder:
            result = measure(args, data.train, *build(args.march, Path(folder)))
    except InputError as error:
        print(f"benchmarks.step: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


def measure(args: argparse.Namespace, data: Tensors, library: Path, peak: Path) -> dict[str, Any]:
    """Return what the last line says; raise InputError where this machine cannot run the library."""
    config = TrialConfig().override({"batch_size": args.pairs, "augmentation.theta": args.theta})
    with switched(str(library)):
        path = encoder_path()
    if not path.compiled:
        raise InputError(f"the compiled path cannot be taken: {path.why}")
    sides: dict[str, list[float]] = {"torch": [], "kernel": []}
    peaks = []
    for round_ in range(args.rounds + 1):  # the first one warms up
        for side, switch in (("torch", "torch"), ("kernel", str(library))):
            with switched(switch):
                sides[side].append(step_ms(config, data))
        peaks.append(float(subprocess.run([peak], capture_output=True, text=True, check=True).stdout))
        torch_ms, kernel_ms = sides["torch"][-1], sides["kernel"][-1]
        print(
            f"{'warm-up' if round_ == 0 else f'round {round_}'}: torch {torch_ms:.2f} ms, compiled {kernel_ms:.2f} ms, "
            f"ratio {torch_ms / kernel_ms:.2f}; peak {peaks[-1]:.1f} GFLOP/s",
            flush=True,
        )
    ratios = [torch_ms / kernel_ms for torch_ms, kernel_ms in zip(*(side[1:] for side in sides.values()), strict=True)]
    kernel_ms, peak_gflops = statistics.median(sides["kernel"][1:]), statistics.median(peaks[1:])
    gflop = gflop_of_step(config, data)
    return {
        "torch_ms": statistics.median(sides["torch"][1:]),
        "kernel_ms": kernel_ms,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "gflop": gflop,
        "peak_gflops": peak_gflops,
        "share_of_peak": 1e3 * gflop / kernel_ms / peak_gflops,
        "instructions": path.why,
        "pairs": args.pairs,
        "theta": args.theta,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
