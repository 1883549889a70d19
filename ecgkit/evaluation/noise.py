"""Noise of electrodes, muscles and breathing, and leads that fall off, from documented models.

Baseline wander: McSharry et al., IEEE Trans. Biomed. Eng. 50(3), 2003, take a slow oscillation at the breathing rate;
here it and its slower drifts, 0.05 to 0.5 Hz. Muscle noise: Clancy et al., J. Electromyogr. Kinesiol. 12(1), 2002, a
random process with most of its power between 20 and 150 Hz. Electrode motion: Moody et al., Computers in Cardiology
11, 1984 (the MIT-BIH noise stress test), sudden shifts that decay, in the band of the QRS complex, 1 to 10 Hz. As in
that test, a level is the ratio of signal to noise power in dB, `SNR = 10 log10(S / N)`, S taken after removal of the
mean. Each lead has noise of its own, but S and N are taken over the record, so that all leads are disturbed alike.

Each function is ``f(window [L, T], fs in Hz, level, generator) -> [L, T]``, in the window's own unit.
"""

from collections.abc import Callable

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Window = NDArray[np.float32]

WANDER_BAND = (0.05, 0.5)  # Hz
MUSCLE_BAND = (20.0, 150.0)  # Hz
MOTION_BAND = (1.0, 10.0)  # Hz
MOTIONS_PER_SECOND = 0.8  # shifts of an electrode
MOTION_DECAY = 0.3  # s


def baseline_wander(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Add oscillations of random phase and rate between 0.05 and 0.5 Hz, at a signal-to-noise ratio of `level` dB."""
    L, T = window.shape
    time = np.arange(T) / fs
    rates = rng.uniform(*WANDER_BAND, (L, 4, 1))
    phases = rng.uniform(0, 2 * np.pi, (L, 4, 1))
    waves = rng.normal(size=(L, 4, 1)) * np.sin(2 * np.pi * rates * time + phases)
    return _add(window, waves.sum(axis=1), level)


def muscle(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Add noise of 20 to 150 Hz (to 95 % of half the rate, where that is lower) whose strength swells and ebbs."""
    L, T = window.shape
    noise = _band(rng.normal(size=(L, T)), fs, MUSCLE_BAND)
    swell = 1 + 0.5 * np.sin(
        2 * np.pi * rng.uniform(0.1, 0.5, (L, 1)) * np.arange(T) / fs + rng.uniform(0, 6.28, (L, 1))
    )
    return _add(window, noise * swell, level)


def electrode_motion(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Add shifts at random times that decay, between 1 and 10 Hz; a lead moves on its own."""
    L, T = window.shape
    kicks = rng.normal(size=(L, T)) * (rng.random((L, T)) < MOTIONS_PER_SECOND / fs)
    kicks[np.arange(L), rng.integers(0, T, L)] += rng.choice([-1.0, 1.0], L)  # at least one a lead
    decay = np.exp(-np.arange(min(T, round(5 * MOTION_DECAY * fs))) / (MOTION_DECAY * fs))
    shifts = scipy.signal.fftconvolve(kicks, decay[None], axes=1)[:, :T]
    return _add(window, _band(shifts, fs, MOTION_BAND), level)


def leads_off(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Flatten `level` random leads, as a recorder shows an electrode that has fallen off; at least one stays."""
    L = len(window)
    off = rng.permutation(L)[: min(int(level), L - 1)]
    out = window.copy()
    out[off] = 0.0
    return out


# By the name under which the MIT-BIH noise stress test keeps such recordings.
NOISES: dict[str, Callable[[Window, float, float, np.random.Generator], Window]] = {
    "em": electrode_motion,
    "bw": baseline_wander,
    "ma": muscle,
}


def noise_ratio(clean: Window, noisy: Window) -> float:
    """Return the signal-to-noise ratio in dB of a disturbed window."""
    return float(10 * np.log10(_power(clean) / np.mean((noisy.astype(np.float64) - clean) ** 2)))


def _add(window: Window, noise: NDArray[np.float64], level: float) -> Window:
    """Add noise, scaled to a ratio of `level` dB over the record."""
    power = float(np.mean(noise**2))
    if not power or not _power(window):
        return window
    scale = np.sqrt(_power(window) / power / 10 ** (level / 10))
    return (window + scale * noise).astype(np.float32)


def _power(window: Window) -> float:
    """Return the mean square of a window, each lead without its mean."""
    return float(np.mean((window - window.mean(axis=1, keepdims=True)).astype(np.float64) ** 2))


def _band(noise: NDArray[np.float64], fs: float, band: tuple[float, float]) -> NDArray[np.float64]:
    low, high = band[0], min(band[1], 0.475 * fs)
    low = min(low, high / 2)
    sections = scipy.signal.butter(2, (low, high), "bandpass", fs=fs, output="sos")
    filtered: NDArray[np.float64] = scipy.signal.sosfilt(sections, noise, axis=1)
    return filtered
