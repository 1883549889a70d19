"""One optimiser step, the same for pretraining and for training on labels.

AdamW (Loshchilov and Hutter, arXiv 1711.05101), the recipe's schedule by fractional epoch, gradient clipping, and
mixed precision where the recipe and the device allow it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from ecgkit.methods import Encoder
from ecgkit.recipe import Recipe


def optimizer_for(
    method: torch.nn.Module,
    recipe: Recipe,
    device: torch.device,
    shares: Mapping[str, float] = MappingProxyType({}),
) -> torch.optim.AdamW:
    """Return AdamW with decay on matrices and none on vectors: biases, norms, single tokens.

    Args:
        method: What is trained.
        recipe: How.
        device: Where it lies.
        shares: By the name of a parameter, the share of the learning rate that it gets; 1 for those not named.
    """
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for matrix in (True, False):
        for name, p in method.named_parameters():
            if p.requires_grad and (p.ndim >= 2) == matrix:
                groups.setdefault((shares.get(name, 1.0), matrix), []).append(p)
    settings = [
        {
            "params": params,
            "weight_decay": recipe.weight_decay if matrix else 0.0,
            **({"share": share} if shares else {}),
        }
        for (share, matrix), params in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=recipe.peak_lr, betas=recipe.betas, fused=True)


def decayed_shares(encoder: Encoder, decay: float) -> dict[str, float]:
    """Return the share of the learning rate of each parameter: `decay` once for every stage that stands behind it.

    Clark et al., ELECTRA, arXiv 2003.10555, appendix A; for image encoders Bao et al., BEiT, arXiv 2106.08254. The
    last stage, like a classifier behind it, gets all of the rate.

    Args:
        encoder: It says what its `ecgkit.methods.Encoder.stages` are.
        decay: Above 0 and at most 1.
    """
    stages = encoder.stages()
    place = {id(p): i for i, stage in enumerate(stages) for part in stage for p in part.parameters()}
    behind = {name: len(stages) - 1 - place.get(id(p), -1) for name, p in encoder.named_parameters()}
    return {name: decay ** max(n, 0) if stages else 1.0 for name, n in behind.items()}


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the context of mixed precision that the recipe asks for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(recipe, device) == "bf16")


def precision(recipe: Recipe, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``: what ``auto`` stands for on a device, or what the recipe says."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a device has units for products of bf16 matrices: an Ampere GPU, AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def take_step(loss: Tensor, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Move the parameters down the gradient of a loss, at the learning rate of a fractional epoch."""
    loss.backward()  # type: ignore[no-untyped-call]
    descend(optimizer, recipe, epoch)


def descend(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Move the parameters down their gradients, at the learning rate of a fractional epoch, and clear them."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_at(epoch) * group.get("share", 1.0)
    if recipe.clip is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
