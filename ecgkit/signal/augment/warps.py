"""Changes of time: crops, shifts, stretches, warps and permutations, the same in all leads.

Values between samples are interpolated linearly. Sources: ecg-selfsupervised 956c6c1 (`resized_crop`, `time_warp`,
`dtw`), torch_ecg b10c415b (`stretch`), TS-TCC 15bdfd6 (`permutation`, whose released code copies the first lead into
all); `crop_resize` and `time_shift` are ours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal, portion


def interpolate(x: Signal, known: NDArray[Any], at: NDArray[Any]) -> Signal:
    """Return each lead at the times `at`, given its values ``[L, n]`` at the ascending times ``known [n]``."""
    return np.stack([np.interp(at, known, lead) for lead in x])


def crop_resize(x: Signal, layout: Layout, *, start: int, length: int) -> Signal:
    """Return the stretch of `length` samples from `start` on, resampled to T with both ends kept."""
    T = layout.samples
    return interpolate(x, np.arange(T), start + np.linspace(0, length - 1, T))


def resized_crop(x: Signal, layout: Layout, *, start: int, length: int, positions: NDArray[np.int64]) -> Signal:
    """Return the samples of a stretch at ascending `positions`, with the gaps interpolated: a local time warp."""
    return interpolate(x[:, start : start + length], positions, np.arange(layout.samples))


def time_shift(x: Signal, layout: Layout, *, shift: int) -> Signal:
    """Return `x` later by `shift` samples, earlier if negative; zeros enter."""
    y = np.zeros_like(x)
    if shift >= 0:
        y[:, shift:] = x[:, : layout.samples - shift]
    else:
        y[:, :shift] = x[:, -shift:]
    return y


def time_warp(x: Signal, layout: Layout, *, steps: Signal, epsilon: float) -> Signal:
    """Return `x` at times that run with a random speed: the sum of ``walk - min(walk) + epsilon``, from 0 to T - 1."""
    walk = np.cumsum(steps)
    tau = np.cumsum(walk - walk.min() + epsilon)
    known = (tau - tau[0]) / max(tau[-1] - tau[0], np.finfo(float).tiny) * (layout.samples - 1)
    return interpolate(x, known, np.arange(layout.samples))


def dtw(x: Signal, layout: Layout, *, centers: NDArray[np.int64], radius: int, step: int = 2) -> Signal:
    """Return `x` squeezed around each centre in turn, with the time around it spread to fill the gaps.

    The samples from ``c - 2r`` to ``c + 2r``, every second of them, move to ``c - r`` to ``c + r``. The r samples on
    either side move to every second sample of the room that is left, and what stays empty is interpolated.
    """
    y = np.array(x)
    for center in centers:
        y = _squeeze(y, int(center), radius, step)
    return y


def _squeeze(x: Signal, c: int, r: int, step: int) -> Signal:
    y, known = x.copy(), np.ones(x.shape[1], bool)
    known[c - 3 * r : c + 3 * r + 1] = False
    moves = (
        (slice(c - 2 * r, c + 2 * r + 1, step), slice(c - r, c + r + 1)),
        (slice(c - 3 * r, c - 2 * r), slice(c - 3 * r, c - r, step)),
        (slice(c + 2 * r + 1, c + 3 * r + 1), slice(c + r + step, c + 3 * r + step, step)),
    )
    for source, target in moves:
        y[:, target] = x[:, source]
        known[target] = True
    at = np.arange(x.shape[1])
    return interpolate(y[:, known], at[known], at)


def stretch(x: Signal, layout: Layout, *, ratio: float) -> Signal:
    """Return `x` resampled to ``round((1 + ratio) T)`` samples and brought back to T around its middle.

    A longer signal loses both ends, half of the difference, rounded down, at the left; a shorter one gets zeros there.
    """
    T = layout.samples
    count = round((1 + ratio) * T)
    z = interpolate(x, np.arange(T), np.linspace(0, T - 1, count))
    left, right = abs(count - T) // 2, abs(count - T) - abs(count - T) // 2
    return z[:, left : count - right] if count >= T else np.pad(z, [(0, 0), (left, right)])


def permutation(x: Signal, layout: Layout, *, cuts: NDArray[np.int64], order: NDArray[np.int64]) -> Signal:
    """Return the pieces between `cuts`, sorted, in another order."""
    pieces = np.split(x, np.sort(cuts), axis=1)
    return np.concatenate([pieces[k] for k in order], axis=1)


@dataclass(frozen=True)
class CropResize(Augmentation):
    """A part of the signal, stretched to all of it.

    Args:
        share: Range of its length, as a share of the signal; 0.2 to 1 for strong views.
    """

    apply = staticmethod(crop_resize)

    share: tuple[float, float] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw where the part begins and how long it is."""
        start, length = portion(rng, layout.samples, self.share, least=2)
        return {"start": start, "length": length}


@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """A part of the signal whose samples are spread over all of it at random: a local time warp.

    Args:
        share: Range of its length, as a share of the signal.
    """

    apply = staticmethod(resized_crop)

    share: tuple[float, float] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the part, and the positions that its samples come to; the first and the last are always the ends."""
        start, length = portion(rng, layout.samples, self.share, least=2)
        inner = rng.choice(np.arange(1, max(layout.samples - 1, 1)), max(length - 2, 0), replace=False)
        ends = [0, layout.samples - 1][:length]
        return {"start": start, "length": length, "positions": np.sort(np.concatenate([ends, inner]).astype(np.int64))}


@dataclass(frozen=True)
class TimeShift(Augmentation):
    """The signal earlier or later.

    Args:
        seconds: The largest shift in s.
    """

    apply = staticmethod(time_shift)

    seconds: float = 0.5

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the shift."""
        most = min(round(self.seconds * layout.fs), layout.samples - 1)
        return {"shift": int(rng.integers(-most, most, endpoint=True))}


@dataclass(frozen=True)
class TimeWarp(Augmentation):
    """Time runs at a speed that wanders.

    Args:
        epsilon: The slowest step; the larger, the smoother time runs.
    """

    apply = staticmethod(time_warp)

    epsilon: float = 10.0

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the steps of the speed's random walk."""
        return {"steps": rng.standard_normal(layout.samples), "epsilon": self.epsilon}


@dataclass(frozen=True)
class Dtw(Augmentation):
    """Time is squeezed around some samples and spread around them.

    Args:
        warps: Number of centres; a signal that is too short for one is left as it is.
        radius: Half the width in samples that a centre's surroundings are squeezed to.
    """

    apply = staticmethod(dtw)

    warps: int = 3
    radius: int = 10

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the centres."""
        first, last = 3 * self.radius, layout.samples - 3 * self.radius - 3
        centers = rng.integers(first, last, self.warps if first <= last else 0, endpoint=True)
        return {"centers": centers, "radius": self.radius}


@dataclass(frozen=True)
class Stretch(Augmentation):
    """A slower or a faster signal, with equal chance.

    Args:
        ratio: Mean and deviation of the change.
        largest: The change is cut to at most this, and to at least 0.
    """

    apply = staticmethod(stretch)

    ratio: tuple[float, float] = (0.06, 0.023)
    largest: float = 0.12

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the change, negative for a faster signal."""
        return {"ratio": float(rng.choice((-1, 1)) * np.clip(rng.normal(*self.ratio), 0, self.largest))}


@dataclass(frozen=True)
class Permutation(Augmentation):
    """Pieces in a random order. It changes rhythm, so it may change what the ECG shows.

    Args:
        pieces: The number of pieces is uniform from 1 to this.
    """

    apply = staticmethod(permutation)

    pieces: int = 7

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw the cuts and the order of the pieces."""
        places = max(layout.samples - 2, 0)
        cuts = min(int(rng.integers(1, self.pieces, endpoint=True)) - 1, places)
        drawn = rng.choice(places, cuts, replace=False) if cuts else np.empty(0, int)
        return {"cuts": drawn, "order": rng.permutation(cuts + 1)}
