"""Rotation and scaling of the vectorcardiogram: the physical augmentation of 3KG.

Gopal et al., 3KG: Contrastive Learning of 12-Lead Electrocardiograms using Physiologically-Inspired Augmentations,
arXiv 2106.04452. The eight independent leads I, II, V1-V6 give a dipole, ``[3, T]`` with rows X, Y and Z; it is rotated
and scaled, and gives the leads back:

    y = Q S R P x,    R = Rx(a3) Ry(a2) Rz(a1),    S = diag(s1, s2, s3)

P is the inverse Dower matrix (Edenbrandt and Pahlm 1988) and Q either its pseudo-inverse, as released, or Dower's
matrix (1980). Both lose what a dipole does not explain, about a third of the signal. ``residual`` keeps it:
``y = x + Q (S R - 1) P x``, which changes nothing at angles 0 and scales 1 (ours).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecgkit.errors import LeadError
from ecgkit.leads import LEAD_SETS
from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal
from ecgkit.signal.augment.relations import add_related

Way = Literal["3kg", "dower", "residual"]
INDEPENDENT = LEAD_SETS["8"]
INVERSE_DOWER = np.array(
    [
        [0.156, -0.010, -0.172, -0.074, 0.122, 0.231, 0.239, 0.194],
        [-0.227, 0.887, 0.057, -0.019, -0.106, -0.022, 0.041, 0.048],
        [0.022, 0.102, -0.229, -0.310, -0.246, -0.063, 0.055, 0.108],
    ]
)
# As the released code of 3KG's re-implementation rounds it.
INVERSE_DOWER_3KG = np.array(
    [
        [0.156, -0.009, -0.172, -0.073, 0.122, 0.231, 0.239, 0.193],
        [-0.227, 0.886, 0.057, -0.019, -0.106, -0.022, 0.040, 0.048],
        [0.021, 0.102, -0.228, -0.310, -0.245, -0.063, 0.054, 0.108],
    ]
)
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)


def rotation(angles: Signal) -> Signal:
    """Return the matrix ``[3, 3]`` that turns by angles in degrees: around z, then around y, then around x."""
    (c1, c2, c3), (s1, s2, s3) = np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))
    around_z = np.array([[c1, -s1, 0], [s1, c1, 0], [0, 0, 1]])
    around_y = np.array([[c2, 0, s2], [0, 1, 0], [-s2, 0, c2]])
    around_x = np.array([[1, 0, 0], [0, c3, -s3], [0, s3, c3]])
    return around_x @ around_y @ around_z


def vcg(x: Signal, layout: Layout, *, angles: Signal, scales: Signal, way: Way = "3kg") -> Signal:
    """Return the leads of a dipole that was rotated and scaled; III, aVR, aVL and aVF from the new I and II.

    Args:
        x: ``[L, T]``.
        layout: The form of `x`.
        angles: ``[3]``, in degrees.
        scales: ``[3]``.
        way: How the dipole is found and turned back into leads.

    Raises:
        LeadError: One of I, II and V1-V6 is missing, and `way` needs all of them.
    """
    rows = layout.rows(INDEPENDENT)
    turned = np.diag(scales) @ rotation(angles)
    change = np.zeros(x.shape)
    change[rows] = change_matrix(turned, rows, layout, way) @ x[rows]
    return add_related(x, change, layout)


def change_matrix(turned: Signal, rows: list[int], layout: Layout, way: Way) -> Signal:
    """Return the matrix ``[n, n]`` that gives, of n independent leads, what is added to them.

    With fewer than eight leads, ``residual`` estimates the dipole by least squares from those that are there.
    """
    if way == "residual":
        back = DOWER[[INDEPENDENT.index(layout.leads[row]) for row in rows]]
        forward = INVERSE_DOWER if len(rows) == len(INDEPENDENT) else np.linalg.pinv(back)
        return back @ (turned - np.eye(3)) @ forward
    if len(rows) < len(INDEPENDENT):
        missing = [name for name in INDEPENDENT if name not in layout.leads]
        raise LeadError(
            f"augmentation vcg: the batch lacks {', '.join(missing)}, and way={way} needs {' '.join(INDEPENDENT)}",
            remedy="Choose way=residual, which takes any of them.",
        )
    forward = INVERSE_DOWER if way == "dower" else INVERSE_DOWER_3KG
    back = DOWER if way == "dower" else np.linalg.pinv(INVERSE_DOWER_3KG)
    return back @ turned @ forward - np.eye(len(rows))


@dataclass(frozen=True)
class Vcg(Augmentation):
    """The heart turned and grown.

    Args:
        angle: Each of the three angles is uniform from minus this to this, in degrees.
        scale: Each of the three scales is uniform from 1 to this.
        way: ``3kg``, as released; ``dower``, with Dower's matrix; ``residual``, which keeps what no dipole explains.
    """

    apply = staticmethod(vcg)

    angle: float = 45.0
    scale: float = 1.5
    way: Way = "3kg"

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw three angles and three scales."""
        angles = rng.uniform(-self.angle, self.angle, 3)
        return {"angles": angles, "scales": rng.uniform(1, self.scale, 3), "way": self.way}
