"""Mixup: records and their labels mixed in pairs, for training on labels.

Zhang et al., mixup: Beyond Empirical Risk Minimization, arXiv 1710.09412; as torch_ecg b10c415b does it, with one
proportion per batch, drawn from a beta distribution with both parameters at 0.5.
"""

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.augment.base import Signal


def mixup(x: Signal, labels: Signal, *, proportion: float, order: NDArray[np.int64]) -> tuple[Signal, Signal]:
    """Return ``proportion x + (1 - proportion) x[order]``, and the same of the labels.

    Args:
        x: ``[B, L, T]``.
        labels: ``[B, C]``.
        proportion: Share of each record itself.
        order: ``[B]``, which record each is mixed with.
    """
    return tuple(proportion * values + (1 - proportion) * values[order] for values in (x, labels))  # type: ignore[return-value]
