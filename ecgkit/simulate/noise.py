"""Noise of a recording: baseline wander, muscle, mains, white noise; a loose electrode; missing samples.

Noise arises at the ten electrodes, as it does on a skin, and reaches the leads by their definition, so that
Einthoven's and Goldberger's relations hold in it as they do in the heart's own signal. Levels are ours.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.simulate.dipole import INDEPENDENT_LEADS, Array

# Rows: I, II, V1-V6. Columns: RA, LA, LL, V1-V6. The chest leads are against Wilson's central terminal.
ELECTRODES_TO_LEADS: Array = np.zeros((8, 9))
ELECTRODES_TO_LEADS[0, :2] = -1, 1
ELECTRODES_TO_LEADS[1, [0, 2]] = -1, 1
ELECTRODES_TO_LEADS[2:, :3] = -1 / 3
ELECTRODES_TO_LEADS[2:, 3:] = np.eye(6)

WANDER_BELOW = 0.6  # Hz, where the slow drift of a skin potential ends
MUSCLE_BAND = (20.0, 120.0)  # Hz

LOOSE = 0.015  # part of the records with a chest electrode off
MISSING = 0.010  # part of the records with missing samples
HUMMING = 0.12  # part of the records with mains hum
GAP_SECONDS = (0.02, 0.25)
# Mean shares of the power of wander, muscle, white noise, motion and hum in a mix, times a constant: the smaller the
# constant, the more does one kind prevail. Ours.
MIX = (1.0, 0.7, 0.3, 0.7, 0.3)
PUSHES = 2.0  # mean number of further pushes of an electrode that moves
RISE_SECONDS, FADE_SECONDS = (0.01, 0.06), (0.1, 1.0)


@dataclass(frozen=True)
class NoiseLevels:
    """Root mean square of each kind of noise at an electrode, in mV.

    Args:
        wander: Slow drift.
        breathing: Share of the wander that follows breathing.
        muscle: Band-limited muscle noise.
        white: The amplifier's noise.
        mains: Amplitude of the hum, 0 for none.
        mains_hz: 50 or 60 Hz.
    """

    wander: float
    breathing: float
    muscle: float
    white: float
    mains: float
    mains_hz: float


_NONE = NoiseLevels(wander=0.0, breathing=0.0, muscle=0.0, white=0.0, mains=0.0, mains_hz=50.0)


def draw_levels(rng: np.random.Generator) -> NoiseLevels:
    """Draw the noise levels of a record: most records are quiet, a few are bad."""
    humming = rng.random() < HUMMING
    return NoiseLevels(
        wander=float(0.035 * np.exp(0.6 * rng.standard_normal())),
        breathing=float(rng.uniform(0.0, 0.03)),
        muscle=float(min(0.005 * np.exp(0.7 * rng.standard_normal()), 0.04)),
        white=float(0.002 * np.exp(0.3 * rng.standard_normal())),
        mains=float(rng.uniform(0.004, 0.02)) if humming else 0.0,
        mains_hz=float(rng.choice([50.0, 60.0])),
    )


def draw_noise(levels: NoiseLevels, samples: int, fs: float, rng: np.random.Generator) -> Array:
    """Draw the noise of the eight independent leads, ``[8, T]`` in mV."""
    time = np.arange(samples) / fs
    electrodes = _coloured(levels, samples, fs, rng)
    breath = np.sin(2 * np.pi * (rng.uniform(0.18, 0.35) * time + rng.random()))
    electrodes += levels.breathing * rng.normal(0.0, 1.2, (9, 1)) * breath
    if levels.mains and levels.mains_hz < fs / 2:
        electrodes += levels.mains * _hum(samples, fs, levels.mains_hz, rng)
    return ELECTRODES_TO_LEADS @ electrodes


def _coloured(levels: NoiseLevels, samples: int, fs: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Draw wander, muscle and white noise ``[9, T]`` at once, by shaping one white spectrum."""
    amplitude = _amplitudes(levels, samples, fs)
    # Pairs of deviates, read as complex numbers where they lie: large copies cost more than the draws. Single
    # precision is finer than any converter.
    spectrum = rng.standard_normal((9, 2 * len(amplitude)), dtype=np.float32).view(np.complex64)
    spectrum *= (amplitude * (samples / np.sqrt(8))).astype(np.float32)
    return np.fft.irfft(spectrum, samples)


def _amplitudes(levels: NoiseLevels, samples: int, fs: float) -> Array:
    """Return the root mean square amplitude ``[F]`` in mV of the sine at each frequency."""
    frequency = np.fft.rfftfreq(samples, 1 / fs)
    slow = (frequency > 0) & (frequency < WANDER_BELOW)
    wander = levels.wander * _unit_power(np.where(slow, 1 / np.maximum(frequency, 1e-9), 0.0))
    muscle = (frequency > MUSCLE_BAND[0]) & (frequency < MUSCLE_BAND[1])
    return np.sqrt(wander**2 + (levels.muscle * _unit_power(muscle)) ** 2 + 4 * levels.white**2 / samples)


def _unit_power(shape: NDArray) -> Array:
    """Scale the amplitudes of sines so that their sum has a root mean square of 1."""
    total = np.sqrt(np.sum(np.square(shape)) / 2)
    return shape / total if total > 0 else np.zeros(len(shape))


def draw_mixed_noise(clean: Array, fs: float, snr: float, mains: bool, rng: np.random.Generator) -> Array:
    """Draw a mix of all kinds of noise with a given signal-to-noise ratio.

    The kinds are those of the noise stress test (Moody, Muldrow and Mark, "A noise stress test for arrhythmia
    detectors", Comput. Cardiol. 11:381-384, 1984): baseline wander, muscle noise and motion of the electrodes; with
    mains hum and white noise. Their shares of the power are drawn anew for each record.

    Args:
        clean: ``[8, T]``, the eight independent leads without noise, in mV.
        fs: Sampling rate in Hz.
        snr: Power of `clean` around its mean over that of the noise, over all leads, in dB.
        mains: Whether there is mains hum.
        rng: Random generator.

    Returns:
        ``[8, T]`` in mV.
    """
    samples = clean.shape[1]
    kinds = [
        _coloured(replace(_NONE, wander=1.0), samples, fs, rng),
        _coloured(replace(_NONE, muscle=1.0), samples, fs, rng),
        _coloured(replace(_NONE, white=1.0), samples, fs, rng),
        _motion(samples, fs, rng),
    ]
    if mains:
        kinds.append(_hum(samples, fs, float(rng.choice([50.0, 60.0])), rng))
    shares = rng.dirichlet(MIX[: len(kinds)])
    noise = sum(
        (np.sqrt(share) * _normed(ELECTRODES_TO_LEADS @ kind) for share, kind in zip(shares, kinds, strict=True)),
        start=np.zeros_like(clean),
    )
    power = np.var(clean, axis=1).mean() / 10 ** (snr / 10)
    return np.sqrt(power) * _normed(noise)


def _normed(leads: Array) -> Array:
    """Return leads ``[8, T]`` around a mean of 0 with a power of 1, over all leads; zeros stay."""
    centred = leads - leads.mean(axis=1, keepdims=True)
    power = float(np.mean(np.square(centred)))
    return centred / np.sqrt(power) if power > 0 else centred


def _motion(samples: int, fs: float, rng: np.random.Generator) -> Array:
    """Draw the potentials ``[9, T]`` of electrodes that are pushed: sudden steps that fade away."""
    electrodes = np.zeros((9, samples))
    time = np.arange(samples) / fs
    for electrode in rng.choice(9, size=int(rng.integers(1, 4)), replace=False):
        for _ in range(1 + int(rng.poisson(PUSHES))):
            since = np.maximum(time - rng.uniform(-0.5, samples / fs), 0.0)
            rise, fade = rng.uniform(*RISE_SECONDS), rng.uniform(*FADE_SECONDS)
            pushed = (1 - np.exp(-since / rise)) * np.exp(-since / fade)
            electrodes[electrode] += rng.standard_normal() * pushed
    return electrodes


def _hum(samples: int, fs: float, hz: float, rng: np.random.Generator) -> Array:
    """Draw mains hum ``[9, T]``, which each electrode takes up differently; none from half the sampling rate on."""
    phase = 2 * np.pi * (hz * np.arange(samples) / fs + rng.random())
    return rng.uniform(0.2, 1.0, (9, 1)) * np.sin(phase) * (hz < fs / 2)


def draw_loose_lead(rng: np.random.Generator) -> str | None:
    """Draw the chest lead that is flat because its electrode came off; usually none."""
    return str(rng.choice(INDEPENDENT_LEADS[2:])) if rng.random() < LOOSE else None


def draw_gaps(leads: int, samples: int, fs: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the missing samples, ``[L, T]`` bool: usually none, else one or two short gaps in some or all leads."""
    missing = np.zeros((leads, samples), dtype=bool)
    if rng.random() >= MISSING:
        return missing
    for _ in range(int(rng.integers(1, 3))):
        rows = np.arange(leads) if rng.random() < 0.5 else rng.choice(leads, size=2, replace=False)
        length = max(1, int(rng.uniform(*GAP_SECONDS) * fs))
        start = int(rng.integers(1, max(2, samples - length)))
        missing[rows, start : start + length] = True
    return missing
