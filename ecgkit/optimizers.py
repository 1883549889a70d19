"""From a recipe to an optimiser: which parameters decay, and which share of the learning rate each group gets.

A parameter group may hold, besides torch's own settings:

- ``share``: factor of the learning rate of the group. Default 1.
- ``constant``: True keeps the learning rate with which the group was made; the schedule does not touch it.
- ``decayed``: whether the schedule of the weight decay applies to the group. Default: whether its decay is above 0.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ecgkit.nn.lars import LARS
from ecgkit.recipe import Recipe

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "lars": "LARS"}  # as results name them


def parameter_groups(
    recipe: Recipe, parameters: Mapping[str, nn.Parameter], shares: Mapping[str, float] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return parameter groups: matrices decay; biases, norms and single tokens do not, unless the recipe says so.

    Args:
        recipe: How they are trained.
        parameters: The parameters by name; those without ``requires_grad`` are left out.
        shares: By the name of a parameter, its share of the learning rate; 1 for those not named.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for matrix in (True, False):
        for name, p in parameters.items():
            if p.requires_grad and (p.ndim >= 2) == matrix:
                groups.setdefault((shares.get(name, 1.0), matrix or recipe.decayed == "all"), []).append(p)
    return [
        {
            "params": params,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
            "share": share,
            "decayed": decayed,
        }
        for (share, decayed), params in groups.items()
        if params
    ]


def build_optimizer(
    recipe: Recipe,
    parameters: Mapping[str, nn.Parameter],
    shares: Mapping[str, float] = MappingProxyType({}),
    *,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """Return the optimiser that a recipe names: AdamW (Loshchilov and Hutter, arXiv 1711.05101), Adam, SGD or LARS.

    Args:
        recipe: How the parameters are trained.
        parameters: See `parameter_groups`.
        shares: See `parameter_groups`.
        fused: Use torch's fused kernel, which rounds otherwise than the plain one in the last bit.
    """
    groups = parameter_groups(recipe, parameters, shares)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.peak_lr, momentum=recipe.momentum)
    if recipe.optimizer == "lars":
        return LARS(groups, lr=recipe.peak_lr, momentum=recipe.momentum)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    return kind(groups, lr=recipe.peak_lr, betas=recipe.betas, eps=recipe.eps, fused=fused or None)
