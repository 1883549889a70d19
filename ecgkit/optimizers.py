"""Build an optimiser from a recipe: which parameters decay, and the learning rate of each group.

Besides torch's own settings, a parameter group may hold:

- ``share``: factor on the learning rate of the group. Default 1.
- ``constant``: if True, the schedule leaves the group's initial learning rate unchanged.
- ``decayed``: whether the weight-decay schedule applies to the group. Default: whether its decay is above 0.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ecgkit.nn.lars import LARS
from ecgkit.recipe import Recipe

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "lars": "LARS"}  # names as results show them


def parameter_groups(
    recipe: Recipe,
    parameters: Mapping[str, nn.Parameter],
    shares: Mapping[str, float] = MappingProxyType({}),
    constant: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return parameter groups. Matrices decay; biases, norms and single tokens do not, unless the recipe says so.

    Args:
        recipe: The training recipe.
        parameters: The parameters by name; those without ``requires_grad`` are left out.
        shares: Factor on the learning rate by parameter name; 1 for parameters that are not named.
        constant: Names of parameters whose learning rate stays at its initial value.
    """
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {(1.0, True, False): [], (1.0, False, False): []}
    for matrix in (True, False):
        for name, p in parameters.items():
            if p.requires_grad and (p.ndim >= 2) == matrix:
                decays = matrix or recipe.decayed == "all"
                groups.setdefault((shares.get(name, 1.0), decays, name in constant), []).append(p)
    return [
        {
            "params": params,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
            "share": share,
            "decayed": decayed,
            **({"constant": True} if still else {}),
        }
        for (share, decayed, still), params in groups.items()
        if params
    ]


def build_optimizer(
    recipe: Recipe,
    parameters: Mapping[str, nn.Parameter],
    shares: Mapping[str, float] = MappingProxyType({}),
    *,
    constant: Collection[str] = (),
    fused: bool = True,
) -> torch.optim.Optimizer:
    """Return the optimiser that a recipe names: AdamW (Loshchilov and Hutter, arXiv 1711.05101), Adam, SGD or LARS.

    Args:
        recipe: The training recipe.
        parameters: See `parameter_groups`.
        shares: See `parameter_groups`.
        constant: See `parameter_groups`.
        fused: Use torch's fused kernel, whose last bit may differ from the plain one.
    """
    groups = parameter_groups(recipe, parameters, shares, constant)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.peak_lr, momentum=recipe.momentum)
    if recipe.optimizer == "lars":
        return LARS(groups, lr=recipe.peak_lr, momentum=recipe.momentum)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    return kind(groups, lr=recipe.peak_lr, betas=recipe.betas, eps=recipe.eps, fused=fused or None)
