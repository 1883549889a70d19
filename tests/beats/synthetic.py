"""Small ECGs whose beats are known exactly: Gaussian waves at given times, seen by each lead in its way."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
# How each lead sees the QRS: size in mV; V1 and V2 look from the other side.
VIEW = np.array([0.7, 1.1, -0.8, -1.2, 0.6, 1.2, 1.3, 1.0])


def wave(time: NDArray[np.float64], at: float, width: float) -> NDArray[np.float64]:
    """Return a wave of height 1 at `at` s, `width` s wide (standard deviation)."""
    return np.exp(-0.5 * ((time - at) / width) ** 2)


def ecg(
    beats: Sequence[float],
    seconds: float = 10.0,
    fs: float = 500.0,
    *,
    wide: Sequence[float] = (),
    t_wave: float = 0.3,
    p_wave: float = 0.12,
    noise: float = 0.01,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return ``[8, T]`` in mV.

    Args:
        beats: Times of the R peaks in s.
        wide: Times of ventricular ectopic beats: three times as wide, larger, of other sign in half the leads.
        t_wave: Height of the T wave, of the QRS.
        p_wave: Height of the P wave, of the QRS; 0 for fibrillation.
        noise: White noise in mV.
    """
    time = np.arange(round(seconds * fs)) / fs
    rng = np.random.default_rng(seed)
    beat = np.zeros_like(time)
    for at in beats:
        rr = min([abs(at - other) for other in (*beats, *wide) if other != at], default=1.0)
        beat += wave(time, at, 0.011) - 0.25 * wave(time, at + 0.03, 0.012) - 0.1 * wave(time, at - 0.03, 0.01)
        beat += t_wave * wave(time, at + min(0.28, 0.5 * rr), min(0.045, 0.09 * rr))
        beat += p_wave * wave(time, at - min(0.16, 0.3 * rr), min(0.02, 0.05 * rr))
    signal = VIEW[:, None] * beat
    other = 1.4 * np.abs(VIEW) * np.array([1, -1] * 4)
    for at in wide:
        signal += other[:, None] * (wave(time, at, 0.035) - 0.5 * wave(time, at + 0.3, 0.06))
    drift = 0.1 * np.sin(2 * np.pi * 0.25 * time)
    return signal + drift + noise * rng.standard_normal(signal.shape)


def every(interval: float, seconds: float = 10.0, start: float = 0.4) -> list[float]:
    """Return regular beat times, none nearer than 0.2 s to the end."""
    return np.arange(start, seconds - 0.2, interval).tolist()
