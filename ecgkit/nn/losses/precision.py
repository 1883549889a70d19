"""The precision of losses: float32 or better, outside autocast.

Sums of exponentials and variances over records lose too much in bf16, and overflow in fp16 at low temperatures.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def precise(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if it is of that type."""
    return x if x.dtype == torch.float64 else x.float()


def in_full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Decorate a loss: floating-point arguments become float32 or better, and autocast is off inside."""

    @functools.wraps(loss)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(value.device.type for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*map(_precise, args), **{name: _precise(value) for name, value in kwargs.items()})

    return run


def _precise(value: Any) -> Any:
    return precise(value) if isinstance(value, Tensor) and value.is_floating_point() else value
