"""Movements of the baseline: slow waves, steps and shifts.

Sources: fairseq-signals 6b9e137 (`wander`, `shift_baseline`), ecg-selfsupervised 956c6c1 (`wander_mehari`,
`steps_mehari`), torch_ecg b10c415b (`wander_torch_ecg`). The released baseline shift adds ``sign - u``, about 1 mV;
what was meant, and is offered, is ``sign u``.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal
from ecgkit.signal.augment.noise import white
from ecgkit.signal.augment.relations import add_related


def wander(
    x: Signal, layout: Layout, *, lead_gain: Signal, amplitude: Signal, frequency: Signal, phase: Signal
) -> Signal:
    """Return ``x + gain sum_k amplitude_k cos(2 pi frequency_k t + phase_k)``, related; gains ``[L, 1]``."""
    waves = np.cos(2 * np.pi * frequency[:, None] * layout.times + phase[:, None])
    return add_related(x, lead_gain * (amplitude @ waves), layout)


def wander_mehari(
    x: Signal, layout: Layout, *, lead_gain: Signal, C: float, amplitude: Signal, df: float, phase: Signal
) -> Signal:
    """Return ``x + gain C sum_k amplitude_k cos(2 pi k df t + phase_k)``, k from 1 on; gains ``[L]``."""
    k = np.arange(1, len(amplitude) + 1)[:, None]
    waves = amplitude @ np.cos(2 * np.pi * k * df * layout.times + phase[:, None])
    return x + lead_gain[:, None] * C * waves


def wander_torch_ecg(
    x: Signal, layout: Layout, *, start_degrees: Signal, frequency: Signal, amplitude: Signal, noise: Signal
) -> Signal:
    """Return ``x + sum_k amplitude_k sin(theta_k) + noise``, theta_k over ``360 frequency_k T / fs`` degrees."""
    turns = 360 * frequency * layout.samples / layout.fs
    theta = np.linspace(start_degrees, start_degrees + turns, layout.samples, axis=-1)
    return x + amplitude @ np.sin(np.deg2rad(theta)) + noise


def steps_mehari(
    x: Signal,
    layout: Layout,
    *,
    C: float,
    middle: NDArray[np.int64],
    seconds: Signal,
    amplitude: Signal,
    lead_gain: Signal,
) -> Signal:
    """Return ``x + gain C s(t)``: s is a step's amplitude around its middle, 0 elsewhere; later steps win."""
    s = np.zeros(layout.samples)
    for mid, length, height in zip(middle, seconds, amplitude, strict=True):
        half = layout.fs * length / 2
        s[max(0, int(mid - half)) : min(layout.samples - 1, int(mid + half)) + 1] = height
    return x + lead_gain[:, None] * C * s


def shift_baseline(x: Signal, layout: Layout, *, offset: Signal, start: int, stop: int) -> Signal:
    """Return `x` with an offset per lead ``[L, 1]`` on the samples from `start` to before `stop`."""
    y = x.astype(np.result_type(x, offset))
    y[:, start:stop] += offset
    return y


@dataclass(frozen=True)
class Wander(Augmentation):
    """Slow waves with a gain per lead; III, aVR, aVL and aVF follow from I and II.

    Args:
        largest: Amplitudes are uniform from 0 to this.
        waves: Number of waves.
        frequency: Range of their frequencies in Hz.
    """

    apply = staticmethod(wander)

    largest: float = 0.5
    waves: int = 3
    frequency: tuple[float, float] = (0.01, 0.2)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw a gain per lead, and amplitude, frequency and phase per wave."""
        return {
            "lead_gain": rng.normal(1, 0.5, (len(layout.leads), 1)),
            "amplitude": rng.uniform(0, self.largest, self.waves),
            "frequency": rng.uniform(*self.frequency, self.waves),
            "phase": rng.uniform(0, 2 * np.pi, self.waves),
        }


def signed_gain(rng: np.random.Generator, layout: Layout) -> Signal:
    """Draw a gain per lead, ``[L]``: normal around 1 with deviation 1, of random sign."""
    return rng.choice((-1.0, 1.0), len(layout.leads)) * rng.normal(1, 1, len(layout.leads))


@dataclass(frozen=True)
class WanderMehari(Augmentation):
    """Slow waves at all multiples of a frequency, with a gain of random sign per lead.

    Args:
        C: Common amplitude; the released code fixes it.
        highest: Highest frequency in Hz.
        df: Frequency of the first wave in Hz.
    """

    apply = staticmethod(wander_mehari)

    C: float = 0.05
    highest: float = 0.5
    df: float = 0.01

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw a gain per lead, and amplitude and phase per wave."""
        waves = round(self.highest / self.df)
        return {
            "lead_gain": signed_gain(rng, layout),
            "amplitude": rng.uniform(0, 1, waves),
            "phase": rng.uniform(0, 2 * np.pi, waves),
            "C": self.C,
            "df": self.df,
        }


@dataclass(frozen=True)
class WanderTorchEcg(Augmentation):
    """Four slow waves of given frequencies, the same in all leads, with a little white noise.

    Args:
        frequency: In Hz.
        largest: The amplitude of each wave is uniform from 0 to this.
        sigma: Standard deviation of the noise.
    """

    apply = staticmethod(wander_torch_ecg)

    frequency: tuple[float, ...] = (0.33, 0.1, 0.05, 0.01)
    largest: tuple[float, ...] = (0.05, 0.1, 0.15, 0.25)
    sigma: float = 0.01

    def __post_init__(self) -> None:
        if len(self.largest) != len(self.frequency):
            raise ValueError(f"{len(self.largest)} amplitudes for {len(self.frequency)} frequencies; give one each")

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw start angle and amplitude per wave, and the noise."""
        return {
            "start_degrees": rng.uniform(0, 360, len(self.frequency)),
            "frequency": np.array(self.frequency),
            "amplitude": rng.uniform(0, self.largest),
            "noise": self.sigma * white(rng, layout),
        }


@dataclass(frozen=True)
class StepsMehari(Augmentation):
    """Sudden steps of some seconds, with a gain of random sign per lead.

    Args:
        largest: C is uniform from 0 to this.
        rate: At most this many steps per second of signal.
        seconds: Mean and deviation of a step's length in s.
    """

    apply = staticmethod(steps_mehari)

    largest: float = 1.0
    rate: float = 0.3
    seconds: tuple[float, float] = (3.0, 0.6)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw C, the steps and a gain per lead."""
        most = math.ceil(self.rate * layout.samples / layout.fs)
        count = int(rng.integers(0, most, endpoint=True))
        return {
            "C": rng.uniform(0, self.largest),
            "middle": rng.integers(0, layout.samples, count),
            "seconds": rng.normal(*self.seconds, count),
            "amplitude": rng.uniform(-1, 1, count),
            "lead_gain": signed_gain(rng, layout),
        }


@dataclass(frozen=True)
class ShiftBaseline(Augmentation):
    """One shift of the baseline for about a fifth of the signal, up or down lead by lead.

    Args:
        largest: The size of the shift is uniform from 0 to this.
        share: Mean and deviation of its length, as shares of the signal.
    """

    apply = staticmethod(shift_baseline)

    largest: float = 0.25
    share: tuple[float, float] = (0.2, 0.04)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw a sign per lead, the size, and where the shift begins and ends."""
        sign = rng.choice((-1.0, 1.0), (len(layout.leads), 1))
        length = int(np.clip(rng.normal(*self.share), 0, 1) * layout.samples)
        start = int(rng.integers(0, layout.samples - length, endpoint=True))
        return {"offset": sign * rng.uniform(0, self.largest), "start": start, "stop": start + length}
