"""Noise without memory: white noise by amplitude, by the signal's own size, and muscle noise.

Sources: ecg-selfsupervised 956c6c1 (Mehari and Strodthoff, arXiv 2103.12676), fairseq-signals 6b9e137 (Oh et al.,
arXiv 2203.06889), TS-TCC 15bdfd6 (Eldele et al., arXiv 2106.14112), ecg-augmentations 2946fb6.
"""

from dataclasses import dataclass

import numpy as np

from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal
from ecgkit.signal.augment.relations import add_related


def gauss(x: Signal, layout: Layout, *, noise: Signal, sigma: float) -> Signal:
    """Return ``x + sigma noise`` for noise ``[L, T]``."""
    return x + sigma * noise


def emg_mehari(x: Signal, layout: Layout, *, noise: Signal) -> Signal:
    """Return ``x + noise`` for noise ``[L, T]`` that has its amplitude already."""
    return x + noise


def emg(x: Signal, layout: Layout, *, noise: Signal, amplitude: Signal) -> Signal:
    """Return ``x + amplitude noise``, related: amplitudes ``[L, 1]``, noise ``[L, T]``."""
    return add_related(x, amplitude * noise, layout)


def emg_independent(x: Signal, layout: Layout, *, noise: Signal, amplitude: Signal) -> Signal:
    """Return ``x + amplitude noise``, each lead on its own: amplitudes ``[L, 1]``, noise ``[L, T]``."""
    return x + amplitude * noise


def noise_relative(x: Signal, layout: Layout, *, noise: Signal, ratio: float) -> Signal:
    """Return ``x + ratio std(x) noise``, with the unbiased deviation over all leads and samples."""
    return x + noise * ratio * x.std(ddof=1)


def noise_snr(x: Signal, layout: Layout, *, noise: Signal, snr_db: float) -> Signal:
    """Return each lead with noise at a signal-to-noise ratio in dB; a flat lead stays as it is."""
    power = x.var(axis=1, keepdims=True)
    size = np.square(noise).mean(axis=1, keepdims=True) * 10 ** (snr_db / 10)
    return x + noise * np.sqrt(np.divide(power, size, out=np.zeros_like(size), where=size > 0))


def white(rng: np.random.Generator, layout: Layout) -> Signal:
    """Draw normal noise ``[L, T]``."""
    return rng.standard_normal((len(layout.leads), layout.samples))


@dataclass(frozen=True)
class Gauss(Augmentation):
    """White noise.

    Args:
        sigma: Its standard deviation.
    """

    apply = staticmethod(gauss)

    sigma: float = 0.01

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the noise."""
        return {"noise": white(rng, layout), "sigma": self.sigma}


@dataclass(frozen=True)
class Jitter(Gauss):
    """White noise as TS-TCC adds it to a signal of unit variance.

    Args:
        sigma: Its standard deviation.
    """

    sigma: float = 0.8


@dataclass(frozen=True)
class EmgMehari(Augmentation):
    """White noise of a random amplitude that all leads share.

    Args:
        largest: The amplitude is uniform from 0 to this.
    """

    apply = staticmethod(emg_mehari)

    largest: float = 0.5

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the noise with its amplitude."""
        return {"noise": rng.uniform(0, self.largest) * white(rng, layout)}


@dataclass(frozen=True)
class Emg(Augmentation):
    """Muscle noise of a random amplitude per lead; III, aVR, aVL and aVF follow from I and II.

    Args:
        largest: Amplitudes are uniform from 0 to this.
    """

    apply = staticmethod(emg)

    largest: float = 0.5

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw an amplitude per lead, and the noise."""
        return {"amplitude": rng.uniform(0, self.largest, (len(layout.leads), 1)), "noise": white(rng, layout)}


@dataclass(frozen=True)
class EmgIndependent(Emg):
    """Muscle noise of a random amplitude per lead, each lead on its own.

    Args:
        largest: Amplitudes are uniform from 0 to this.
    """

    apply = staticmethod(emg_independent)


@dataclass(frozen=True)
class NoiseRelative(Augmentation):
    """White noise in proportion to the standard deviation of the record.

    Args:
        ratio: Range of the proportion.
    """

    apply = staticmethod(noise_relative)

    ratio: tuple[float, float] = (0.01, 0.5)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the proportion and the noise."""
        return {"ratio": rng.uniform(*self.ratio), "noise": white(rng, layout)}


@dataclass(frozen=True)
class NoiseSnr(Augmentation):
    """White noise at a signal-to-noise ratio, lead by lead.

    Args:
        snr_db: Range of the ratio in dB.
    """

    apply = staticmethod(noise_snr)

    snr_db: tuple[float, float] = (5.0, 20.0)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the ratio and the noise."""
        return {"snr_db": rng.uniform(*self.snr_db), "noise": white(rng, layout)}
