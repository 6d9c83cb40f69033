"""The embedded default: simulated radar chips of ships and icebergs, from a seed, without a download.

A chip is built as a radar sees it. The sea is a complex Gaussian field blurred by the system's point response, its
intensity averaged over looks (speckle). A target is a set of point scatterers under the same response; strong ones show
side lobes as a tilted cross. HH and HV intensities, in dB, are rendered as the paper's RGB: R = HH, G = HV,
B = HH + HV, each channel of each chip (x - mean) / (max - min).

The constants were set by eye and by the figures in docs/experiments.md against 35 real Sentinel-1 chips.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft  # NumPy's values in half of its time

from trainables.config import SIDE
from trainables.data import ChipSet
from trainables.images.render import render_bands

CLASSES = ("iceberg", "ship")
COUNT = 800
TEST_ONLY = 400  # more, for the test split alone: a gain of two points needs them, and they cost no training
SIZE = COUNT * SIDE * SIDE * 3 * 4  # bytes of the chips that are split, of which trials see a part

LOOKS = 4.4  # speckle of about 2.2 dB, as in the real chips
RESPONSE = 1.0  # pixels, standard deviation of the point response: neighbouring sea pixels correlate by about 0.57
TILT = 0.2  # radians between the image axes and the side-lobe cross


@dataclass(frozen=True)
class Target:
    """Point scatterers of one target: position (K,) in pixels, power (K,) in HH and HV relative to the sea."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    hh: NDArray[np.float64]
    hv: NDArray[np.float64]
    side_lobes: float


def simulate(count: int = COUNT, seed: int = 0) -> ChipSet:
    """Return `count` chips (count, 75, 75, 3) float32, icebergs and ships in turn; equal for equal seeds."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    images = np.stack([_chip(CLASSES[label], rng) for label in labels])
    return ChipSet(images, labels, CLASSES, f"synthetic ({count} simulated radar chips, seed {seed})")


def embedded() -> ChipSet:
    """Return the set that is searched without `--data`: `COUNT` chips to split, and `TEST_ONLY` that come after them.

    What trains and validates is what `simulate()` alone would give.
    """
    chips = simulate(COUNT + TEST_ONLY)
    source = f"{chips.source}, {TEST_ONLY} of them for the test split alone"
    return replace(chips, source=source, test_only=np.arange(len(chips)) >= COUNT)


def _chip(kind: str, rng: np.random.Generator) -> NDArray[np.float32]:
    target = _ship(rng) if kind == "ship" else _iceberg(rng)
    bands = []
    for power in (target.hh, target.hv):
        intensity = _sea(rng) + _echo(target, power, rng)
        bands.append(10 * np.log10(intensity))
    return render_bands(bands[0], bands[1])


@functools.cache
def _spectra() -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """The system in the frequency domain: its point response, and the tilted cross of its side lobes, (75, 75) each."""
    frequency = fft.fftfreq(SIDE)
    blur = np.exp(-2 * (np.pi * RESPONSE * frequency) ** 2)
    grid = fft.fftfreq(SIDE, 1 / SIDE)
    x, y = grid[None, :], grid[:, None]
    along, across = x * np.cos(TILT) - y * np.sin(TILT), x * np.sin(TILT) + y * np.cos(TILT)
    cross = np.zeros((SIDE, SIDE))
    for u, v in ((along, across), (across, along)):
        cross += np.exp(-((u / 1.2) ** 2)) / (1 + (np.abs(v) / 2.5) ** 1.2)
    return np.outer(blur, blur) * 4 * np.pi * RESPONSE**2, fft.fft2(cross)


def _sea(rng: np.random.Generator) -> NDArray[np.float64]:
    """Multi-look speckle (75, 75) of mean 1: whole looks of a blurred complex field, weighted to LOOKS in all."""
    weights = np.array([1.0] * int(LOOKS) + [LOOKS % 1])
    shape = (len(weights), SIDE, SIDE)
    white = np.empty(shape, dtype=np.complex128)  # white noise is white in the frequency domain too
    white.real, white.imag = rng.standard_normal(shape), rng.standard_normal(shape)
    power = np.abs(fft.ifft2(white * _spectra()[0])) ** 2
    looks = np.tensordot(weights / weights.sum(), power, 1)
    return np.asarray(looks / looks.mean())


def _echo(target: Target, power: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Intensity (75, 75) of scatterers with random phases, averaged over three looks.

    A scatterer anywhere between pixels is a phase ramp in the frequency domain; the system's response multiplies it.
    """
    frequency = -2j * np.pi * fft.fftfreq(SIDE)
    columns = np.exp(np.outer(target.x + (SIDE - 1) / 2, frequency))
    rows = np.exp(np.outer(target.y + (SIDE - 1) / 2, frequency))
    amplitudes = np.sqrt(power) * np.exp(2j * np.pi * rng.random((3, len(power))))
    points = (amplitudes[:, None, :] * rows.T) @ columns
    response, cross = _spectra()
    return np.asarray((np.abs(fft.ifft2(points * (response + target.side_lobes * cross))) ** 2).mean(0))


def _ship(rng: np.random.Generator) -> Target:
    """A straight hull with a few strong corner reflectors on it; many ships are only a few pixels long."""
    length = float(np.clip(rng.lognormal(np.log(7.0), 0.8), 1.5, 34))
    width = max(0.6, length / rng.uniform(4.5, 8))
    along = np.concatenate([rng.uniform(-0.5, 0.5, 4 + int(length * 1.5)), rng.uniform(-0.5, 0.5, 2 + int(length / 5))])
    across = rng.uniform(-0.5, 0.5, len(along))
    strong = np.arange(len(along)) >= 4 + int(length * 1.5)
    level = 10 ** (rng.normal(5.5 + 3.0 * np.log2(1 + length / 6), 5.5) / 10)
    power = level * np.where(strong, rng.exponential(4.0, len(along)), rng.exponential(0.5, len(along)))
    ratio = 10 ** (rng.normal(0.5, 1.2) / 10)
    return _place(along * length, across * width, power, ratio, 0.6 * rng.random() ** 2, rng)


def _iceberg(rng: np.random.Generator) -> Target:
    """An irregular patch of many like scatterers, weaker in HV, without strong points."""
    length = float(np.clip(rng.lognormal(np.log(11.0), 0.45), 2, 28))
    width = length / rng.uniform(1.3, 3.2)
    count = 20 + int(3 * length)
    centres = rng.normal(size=(4, 2)) * 0.22
    centre = centres[rng.integers(0, len(centres), count)]
    offset = rng.normal(size=(count, 2)) * rng.uniform(0.12, 0.26)
    along, across = (centre + offset).T
    level = 10 ** (rng.normal(3.5 + 0.8 * np.log2(1 + length / 6), 3.5) / 10)
    power = level * rng.exponential(1.0, count) * 24 / count
    ratio = 10 ** (rng.normal(-7.0, 1.2) / 10)
    return _place(along * length, across * width, power, ratio, 0.1 * rng.random(), rng)


def _place(
    along: NDArray[np.float64],
    across: NDArray[np.float64],
    power: NDArray[np.float64],
    ratio: float,
    side_lobes: float,
    rng: np.random.Generator,
) -> Target:
    """Turn a target by any angle and put it near the middle; HV scatterers follow HH ones, each by its own draw."""
    angle = rng.uniform(0, 2 * np.pi)
    x = along * np.cos(angle) - across * np.sin(angle) + rng.normal(0, 1.5)
    y = along * np.sin(angle) + across * np.cos(angle) + rng.normal(0, 1.5)
    hv = power * ratio * rng.lognormal(0, 0.5, len(power))
    return Target(x, y, power, hv, side_lobes)
