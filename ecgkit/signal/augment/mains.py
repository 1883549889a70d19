"""Hum of the mains: one tone in all leads, or three harmonics with a gain per lead.

Sources: fairseq-signals 6b9e137 (`powerline`), ecg-selfsupervised 956c6c1 (`powerline_mehari`, whose released code
squares C; here C enters once, as meant).
"""

from dataclasses import dataclass

import numpy as np

from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal
from ecgkit.signal.augment.relations import add_related


def powerline(x: Signal, layout: Layout, *, amplitude: float, frequency: float, phase: float) -> Signal:
    """Return ``x + amplitude cos(2 pi frequency t + phase)``, related."""
    return add_related(x, amplitude * np.cos(2 * np.pi * frequency * layout.times + phase), layout)


def powerline_mehari(
    x: Signal,
    layout: Layout,
    *,
    C: float,
    amplitude: Signal,
    phase: float,
    lead_gain: Signal,
    base: float,
) -> Signal:
    """Return ``x + gain C sum_k amplitude_k cos(2 pi k base t + phase)``, k from 1 on."""
    k = np.arange(1, len(amplitude) + 1)[:, None]
    hum = amplitude @ np.cos(2 * np.pi * k * base * layout.times + phase)
    return x + lead_gain[:, None] * C * hum


@dataclass(frozen=True)
class Powerline(Augmentation):
    """Hum of one amplitude in all leads; III, aVR, aVL and aVF follow from I and II.

    Args:
        largest: The amplitude is uniform from 0 to this.
        frequencies: In Hz; one is drawn.
    """

    apply = staticmethod(powerline)

    largest: float = 0.5
    frequencies: tuple[float, ...] = (50.0, 60.0)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw amplitude, frequency and phase."""
        return {
            "amplitude": rng.uniform(0, self.largest),
            "frequency": float(rng.choice(self.frequencies)),
            "phase": rng.uniform(0, 2 * np.pi),
        }


@dataclass(frozen=True)
class PowerlineMehari(Augmentation):
    """Hum with harmonics and a gain of random sign per lead.

    Args:
        largest: C is uniform from 0 to this.
        base: Frequency in Hz; at an fs of twice this its tone is a constant with alternating sign.
        harmonics: Number of tones.
    """

    apply = staticmethod(powerline_mehari)

    largest: float = 2.0
    base: float = 50.0
    harmonics: int = 3

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw C, an amplitude per tone, one phase and a gain per lead."""
        return {
            "C": rng.uniform(0, self.largest),
            "amplitude": rng.uniform(0, 1, self.harmonics),
            "phase": rng.uniform(0, 2 * np.pi),
            "lead_gain": rng.uniform(-1, 1, len(layout.leads)),
            "base": self.base,
        }
