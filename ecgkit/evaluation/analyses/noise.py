"""Simulates noise of electrodes, muscles and breathing, and leads that fall off, by published models.

Baseline wander: McSharry et al., IEEE Trans. Biomed. Eng. 50(3), 2003, use a slow oscillation at the breathing rate.
Here it includes slower drifts, 0.05 to 0.5 Hz. Muscle noise: Clancy et al., J. Electromyogr. Kinesiol. 12(1), 2002, a
random process with most of its power between 20 and 150 Hz. Electrode motion: Moody et al., Computers in Cardiology
11, 1984 (the MIT-BIH noise stress test), sudden shifts that decay, in the band of the QRS complex, 1 to 10 Hz.

A level is a ratio in dB, ``10 log10(S / N)``, of each lead: S is the lead's own power between 0.5 and 40 Hz, where an
ECG's power lies, so that a drift or a hum that is there already allows for no more noise; N is the noise's power at all
rates, without its mean. (The noise stress test takes S from the height of the QRS complex, so its dB are others.) Each
lead has noise of its own. A lead without any signal stays as it is: no ratio is defined for it.

A noise function is ``f(leads L, samples T, fs in Hz, generator) -> [L, T]`` of any strength; `add_noise` scales it. A
perturbation is ``f(window [L, T], fs in Hz, level, generator) -> [L, T]``, in the window's own unit.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Window = NDArray[np.float32]
Noise = NDArray[np.float64]

SIGNAL_BAND = (0.5, 40.0)  # Hz
WANDER_BAND = (0.05, 0.5)  # Hz
MUSCLE_BAND = (20.0, 150.0)  # Hz
MOTION_BAND = (1.0, 10.0)  # Hz
MOTIONS_PER_SECOND = 0.8  # shifts of an electrode
MOTION_DECAY = 0.3  # s


def baseline_wander(L: int, T: int, fs: float, rng: np.random.Generator) -> Noise:
    """Return oscillations of random phase and rate between 0.05 and 0.5 Hz."""
    time = np.arange(T) / fs
    rates = rng.uniform(*WANDER_BAND, (L, 4, 1))
    phases = rng.uniform(0, 2 * np.pi, (L, 4, 1))
    waves: Noise = rng.normal(size=(L, 4, 1)) * np.sin(2 * np.pi * rates * time + phases)
    return waves.sum(axis=1)


def muscle(L: int, T: int, fs: float, rng: np.random.Generator) -> Noise:
    """Return noise of 20 to 150 Hz (to 95 % of half the rate, where that is lower) whose strength swells and ebbs."""
    noise = _band(rng.normal(size=(L, T)), fs, MUSCLE_BAND)
    rates, phases = rng.uniform(0.1, 0.5, (L, 1)), rng.uniform(0, 2 * np.pi, (L, 1))
    swell = 1 + 0.5 * np.sin(2 * np.pi * rates * np.arange(T) / fs + phases)
    return noise * swell


def electrode_motion(L: int, T: int, fs: float, rng: np.random.Generator) -> Noise:
    """Return decaying shifts at random times, between 1 and 10 Hz; each lead moves independently."""
    kicks = rng.normal(size=(L, T)) * (rng.random((L, T)) < MOTIONS_PER_SECOND / fs)
    kicks[np.arange(L), rng.integers(0, T, L)] += rng.choice([-1.0, 1.0], L)  # at least one per lead
    decay = np.exp(-np.arange(min(T, round(5 * MOTION_DECAY * fs))) / (MOTION_DECAY * fs))
    return _band(scipy.signal.fftconvolve(kicks, decay[None], axes=1)[:, :T], fs, MOTION_BAND)


# The keys are the names of such recordings in the MIT-BIH noise stress test.
NOISES: dict[str, Callable[[int, int, float, np.random.Generator], Noise]] = {
    "em": electrode_motion,
    "bw": baseline_wander,
    "ma": muscle,
}


def add_noise(kinds: Sequence[str], window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Add noise at a ratio of `level` dB in each lead; several kinds at once have equal shares of its power.

    Args:
        kinds: Names of `NOISES`.
        window: ``[L, T]``.
        fs: Sampling rate in Hz.
        level: Signal-to-noise ratio in dB; infinite for no noise.
        rng: Random generator; the same state gives the same noise at each level, only stronger or weaker.
    """
    L, T = window.shape
    noise = np.sum([_of_power_one(NOISES[kind](L, T, fs, rng)) for kind in kinds], axis=0)
    strength = np.sqrt(signal_power(window, fs) / 10 ** (level / 10))
    return (window + strength[:, None] * _of_power_one(noise)).astype(np.float32)


def leads_off(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Flatten `level` random leads, as if their electrodes had fallen off; at least one lead stays.

    The leads that are off at a lower level are also off at a higher one.
    """
    L = len(window)
    off = rng.permutation(L)[: min(int(level), L - 1)]
    out = window.copy()
    out[off] = 0.0
    return out


def noise_ratio(clean: Window, noisy: Window, fs: float) -> NDArray[np.float64]:
    """Return the signal-to-noise ratio of a disturbed window, in dB per lead ``[L]``."""
    noise = noisy.astype(np.float64) - clean
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: NDArray[np.float64] = 10 * np.log10(signal_power(clean, fs) / noise.var(axis=1))
    return ratio


def signal_power(window: Window, fs: float) -> NDArray[np.float64]:
    """Return each lead's mean square between 0.5 and 40 Hz, ``[L]``, by Parseval's theorem."""
    T = window.shape[1]
    spectrum = np.abs(np.fft.rfft(window.astype(np.float64), axis=1)) ** 2
    rates = np.fft.rfftfreq(T, 1 / fs)
    twice = np.where((rates == 0) | (rates == fs / 2), 1.0, 2.0)  # the other half of the spectrum mirrors the rest
    inside = (rates >= SIGNAL_BAND[0]) & (rates <= SIGNAL_BAND[1])
    power: NDArray[np.float64] = (spectrum * twice)[:, inside].sum(axis=1) / T**2
    return power


def _of_power_one(noise: Noise) -> Noise:
    """Subtract the mean of each lead and scale the lead to a mean square of 1."""
    centred = noise - noise.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    return centred / np.where(deviation > 0, deviation, 1.0)


def _band(noise: Noise, fs: float, band: tuple[float, float]) -> Noise:
    low, high = band[0], min(band[1], 0.475 * fs)
    low = min(low, high / 2)
    sections = scipy.signal.butter(2, (low, high), "bandpass", fs=fs, output="sos")
    filtered: Noise = scipy.signal.sosfilt(sections, noise, axis=1)
    return filtered
