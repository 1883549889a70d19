"""Size and shape of the signal: scaling, blur, and a stretch of silence.

Sources: ecg-selfsupervised 956c6c1 (`scale`, `timeout`, `blur`), TS-TCC 15bdfd6 (`scaling_tstcc`, whose released code
draws a factor per sample that all leads share; what was meant, and is offered, is a factor per lead).
"""

import math
from dataclasses import dataclass

import numpy as np

from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal, portion

BLUR = (0.1, 0.2, 0.4, 0.2, 0.1)


def scale(x: Signal, layout: Layout, *, log_factor: Signal) -> Signal:
    """Return each lead times ``exp(log_factor)``, one per lead ``[L]``."""
    return x * np.exp(log_factor)[:, None]


def scaling_tstcc(x: Signal, layout: Layout, *, factor: Signal) -> Signal:
    """Return ``x factor``, for factors that broadcast to ``[L, T]``: ``[L, 1]`` as meant, ``[T]`` as released."""
    return x * factor


def timeout(x: Signal, layout: Layout, *, start: int, length: int) -> Signal:
    """Return `x` with zeros in all leads from `start` on, `length` samples long."""
    y = x.copy()
    y[:, start : start + length] = 0
    return y


def blur(x: Signal, layout: Layout) -> Signal:
    """Return each lead filtered by 0.1, 0.2, 0.4, 0.2, 0.1; zeros stand beyond its ends."""
    reach = len(BLUR) // 2
    padded = np.pad(x, [(0, 0), (reach, reach)])
    return np.sum([weight * padded[:, k : k + x.shape[1]] for k, weight in enumerate(BLUR)], axis=0)


@dataclass(frozen=True)
class Scale(Augmentation):
    """A factor per lead, or one for all leads.

    Args:
        factor: Range of the factor; its logarithm is uniform.
        shared: Draw one factor for all leads, which keeps the relations of the limb leads.
    """

    apply = staticmethod(scale)

    factor: tuple[float, float] = (0.5, 2.0)
    shared: bool = False

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the logarithm of each lead's factor."""
        drawn = rng.uniform(math.log(self.factor[0]), math.log(self.factor[1]), 1 if self.shared else len(layout.leads))
        return {"log_factor": np.broadcast_to(drawn, len(layout.leads))}


@dataclass(frozen=True)
class ScalingTsTcc(Augmentation):
    """A normal factor per lead.

    Args:
        mean: Mean of the factor.
        deviation: Its standard deviation.
    """

    apply = staticmethod(scaling_tstcc)

    mean: float = 2.0
    deviation: float = 1.1

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw a factor per lead."""
        return {"factor": rng.normal(self.mean, self.deviation, (len(layout.leads), 1))}


@dataclass(frozen=True)
class Timeout(Augmentation):
    """Silence in all leads for a part of the signal.

    Args:
        share: Range of its length, as a share of the signal.
    """

    apply = staticmethod(timeout)

    share: tuple[float, float] = (0.2, 0.4)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw where the silence begins and how long it is."""
        start, length = portion(rng, layout.samples, self.share)
        return {"start": start, "length": length}


@dataclass(frozen=True)
class Blur(Augmentation):
    """A fixed smoothing filter of five samples; nothing is drawn."""

    apply = staticmethod(blur)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw nothing."""
        return {}
