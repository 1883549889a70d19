"""One optimiser step, the same for pretraining and for training on labels.

AdamW (Loshchilov and Hutter, arXiv 1711.05101), the recipe's schedule by fractional epoch, gradient clipping, and
mixed precision where the recipe and the device allow it.
"""

import torch
from torch import Tensor

from ecgkit.recipe import Recipe


def optimizer_for(method: torch.nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW with decay on matrices and none on vectors: biases, norms, single tokens."""
    trained = [p for p in method.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=recipe.betas, fused=True)


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
        group["lr"] = recipe.lr_at(epoch)
    if recipe.clip is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
