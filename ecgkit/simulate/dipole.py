"""The heart as one moving dipole: Gaussian loops in time, and the leads that see them.

A part of the beat (P, QRS, ST, T) is a sum of Gaussians along time, each with a direction in space, after
McSharry et al., "A dynamical model for generating synthetic electrocardiogram signals", IEEE TBME
50(3):289-294 (2003), and its extension to the three axes of the vectorcardiogram by Sameni et al.,
"Multichannel ECG and noise modeling", EURASIP J. Adv. Signal Process. 2007:043407. Our Gaussians have a width
on either side, as a T wave rises more slowly than it falls.

Axes are Frank's: x to the patient's left, y to the feet, z to the back, in mV. Times are in s. A dipole is
``[3, T]``; the eight independent leads are ``[8, T]``, ordered as `INDEPENDENT_LEADS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import DERIVED, LEAD_SETS, STANDARD_LEADS

Array = NDArray[np.float64]

INDEPENDENT_LEADS = LEAD_SETS["8"]

# Dower, Machado and Osborne, "On deriving the electrocardiogram from vectorcardiographic leads",
# Clin. Cardiol. 3:87-95 (1980): weight of x, y and z in each lead.
DOWER: Array = np.array(
    [
        (0.632, -0.235, 0.059),  # I
        (0.235, 1.066, -0.132),  # II
        (-0.515, 0.157, -0.917),  # V1
        (0.044, 0.164, -1.387),  # V2
        (0.882, 0.098, -1.277),  # V3
        (1.213, 0.127, -0.601),  # V4
        (1.125, 0.127, -0.086),  # V5
        (0.831, 0.076, 0.230),  # V6
    ]
)

# Each of the twelve leads as weights on the eight: itself, or the limb lead's on I and II.
_TWELVE: Array = np.array(
    [
        (*DERIVED[name], *[0.0] * 6) if name in DERIVED else np.eye(8)[INDEPENDENT_LEADS.index(name)]
        for name in STANDARD_LEADS
    ]
)

# Ours: a loop begins and ends where its magnitude passes this part of its peak.
EDGE = 0.05
# Ours: grid on which the extent of a loop is measured, fine against any wave and any usual fs.
GRID_STEP = 0.0005
# Ours: Gaussians are cut off this many widths away, where they are below 1 uV whatever their peak.
REACH = 4.5


@dataclass(frozen=True)
class Loop:
    """A sum of Gaussians in space, one part of a beat or the whole of it.

    Args:
        centre: ``[W]``, time of each Gaussian's peak in s.
        rise: ``[W]``, width before the peak in s.
        fall: ``[W]``, width after the peak in s.
        vector: ``[W, 3]``, dipole at the peak in mV.
    """

    centre: Array
    rise: Array
    fall: Array
    vector: Array

    @classmethod
    def from_table(cls, rows: Sequence[tuple[float, ...]], unit: float = 1e-3) -> "Loop":
        """Build a loop from rows of (centre, rise, fall, x, y, z), times in `unit` of s."""
        table = np.array(rows, dtype=np.float64)
        return cls(table[:, 0] * unit, table[:, 1] * unit, table[:, 2] * unit, table[:, 3:])

    @classmethod
    def join(cls, loops: Sequence["Loop"]) -> "Loop":
        """Return the sum of several loops."""
        names = ("centre", "rise", "fall", "vector")
        return cls(*(np.concatenate([getattr(loop, name) for loop in loops]) for name in names))

    def at(self, times: Array) -> Array:
        """Return the dipole ``[3, T]`` in mV at `times` in s."""
        offset = times - self.centre[:, None]  # [W, T]
        width = np.where(offset < 0, self.rise[:, None], self.fall[:, None])
        return self.vector.T @ np.exp(-0.5 * np.square(offset / width))

    def shifted(self, seconds: float) -> "Loop":
        """Return the loop moved in time."""
        return Loop(self.centre + seconds, self.rise, self.fall, self.vector)

    def stretched(self, factor: float) -> "Loop":
        """Return the loop with all its times multiplied by `factor`."""
        return Loop(self.centre * factor, self.rise * factor, self.fall * factor, self.vector)

    def louder(self, gain: float) -> "Loop":
        """Return the loop with its dipole multiplied by `gain`."""
        return Loop(self.centre, self.rise, self.fall, self.vector * gain)

    def turned(self, matrix: Array) -> "Loop":
        """Return the loop with its dipole multiplied by a matrix ``[3, 3]``."""
        return Loop(self.centre, self.rise, self.fall, self.vector @ matrix.T)

    @property
    def reach(self) -> tuple[float, float]:
        """First and last time in s at which the loop is not negligible."""
        return (
            float((self.centre - REACH * self.rise).min()),
            float((self.centre + REACH * self.fall).max()),
        )

    def sampled(self) -> tuple[Array, Array]:
        """Return times ``[T]`` on a fine grid over the loop's reach, and the dipole ``[3, T]`` there."""
        times = np.arange(*self.reach, GRID_STEP)
        return times, self.at(times)

    def landmarks(self) -> tuple[float, float, float]:
        """Return onset, peak and end of the dipole's magnitude in s.

        A pure stretch in time stretches all three exactly, and a gain or a rotation leaves them.
        """
        times, dipole = self.sampled()
        magnitude = np.linalg.norm(dipole, axis=0)
        above = np.flatnonzero(magnitude >= EDGE * magnitude.max())
        return float(times[above[0]]), float(times[magnitude.argmax()]), float(times[above[-1]])


def project(dipole: Array) -> Array:
    """Return the eight independent leads ``[8, T]`` of a dipole ``[3, T]``, both in mV."""
    return DOWER @ dipole


def twelve_leads(leads: Array) -> Array:
    """Return the twelve leads ``[12, T]`` in standard order from the eight independent ones ``[8, T]``."""
    return _TWELVE @ leads


def rotation(frontal: float, horizontal: float) -> Array:
    """Return the matrix ``[3, 3]`` that turns the heart.

    Args:
        frontal: Degrees in the frontal plane; positive turns the axis from left to the feet.
        horizontal: Degrees in the horizontal plane; positive turns the axis from left to the back.
    """
    a, b = np.deg2rad([frontal, horizontal])
    about_z = np.array([(np.cos(a), -np.sin(a), 0.0), (np.sin(a), np.cos(a), 0.0), (0.0, 0.0, 1.0)])
    about_y = np.array([(np.cos(b), 0.0, -np.sin(b)), (0.0, 1.0, 0.0), (np.sin(b), 0.0, np.cos(b))])
    return about_z @ about_y
