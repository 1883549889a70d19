"""Comparison of tensors in checks, by their relative difference."""

import math

from torch import Tensor

from ecgkit.methods import Features
from ecgkit.testing.result import CheckFailed

FIELDS = ("pooled", "per_lead", "tokens", "layers", "layer_input", "logits")


def distance(a: Tensor, b: Tensor) -> float:
    """Return the largest difference relative to the largest value; infinity for unequal shapes, NaN or infinity."""
    if a.shape != b.shape:
        return math.inf
    a, b = a.detach().double(), b.detach().double()
    gap, scale = float((a - b).abs().max()), float(a.abs().max())
    return gap / max(scale, 1e-12) if math.isfinite(gap) else math.inf


def check_finite(x: Tensor, what: str) -> None:
    """Refuse values that are NaN or infinite.

    Raises:
        CheckFailed: Some values are NaN or infinite.
    """
    if not bool(x.isfinite().all()):
        count = int((~x.isfinite()).sum())
        raise CheckFailed(f"{what} has {count} of {x.numel()} values that are NaN or infinite", "finite values")


def filled(features: Features) -> dict[str, Tensor]:
    """Return the fields of features that hold values per record."""
    found = {name: getattr(features, name) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}
