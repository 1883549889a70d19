"""LARS: SGD with momentum whose step is scaled to the size of each weight matrix, for large batches.

You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, arXiv 1708.03888. With a gradient g, a
weight w, a decay d and a trust coefficient eta:

    g' = eta |w| / (|g| + d |w| + eps) (g + d w)      norms added, as lightly does
    g' = eta |w| / |g + d w| (g + d w)                norm of the sum, as MoCo-v3, Barlow Twins and DINO do
    b <- momentum b + g';    w <- w - lr b            with Nesterov's form: w <- w - lr (g' + momentum b)

Parameters with at most one dimension (biases, norms, tokens) are neither scaled nor decayed: g' = g. A matrix whose
weight or gradient is zero is not scaled: g' = g + d w. The first b is g'.
"""

from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling.

    Args:
        params: Parameters, or groups of them with their own settings.
        lr: Learning rate.
        momentum: Share of the previous step that is kept.
        weight_decay: Weight decay, applied to matrices only.
        trust: The trust coefficient eta.
        eps: Term added to the divisor if norms are added.
        nesterov: Whether to use Nesterov's form.
        norm: ``added``, ``|g| + d |w| + eps``, or ``sum``, ``|g + d w|``.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        eps: float = 1e-8,
        nesterov: bool = False,
        norm: Literal["added", "sum"] = "added",
    ) -> None:
        if norm not in ("added", "sum"):
            raise ValueError(f"norm {norm!r} is unknown; choose added or sum")
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "eps": eps}
        super().__init__(params, {**defaults, "nesterov": nesterov, "norm": norm})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient by one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, scaled(p, p.grad, group), group)
        return loss

    def _move(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if "momentum_buffer" in state:
            buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        else:
            buffer = state["momentum_buffer"] = gradient.clone()
        step = gradient.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer
        p.sub_(step, alpha=group["lr"])


def scaled(p: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """Return g' of a parameter, in the shape of the parameter."""
    if p.ndim < 2:
        return gradient
    decay, decayed = group["weight_decay"], gradient.add(p, alpha=group["weight_decay"])
    weight, size = p.norm(), gradient.norm()
    if group["norm"] == "sum":
        divisor = decayed.norm()
        usable = (weight > 0) & (divisor > 0)
    else:
        divisor = size + decay * weight + group["eps"]
        usable = (weight > 0) & (size > 0)
    return torch.where(usable, group["trust"] * weight / divisor, torch.ones_like(weight)) * decayed
