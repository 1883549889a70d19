"""Blocks whose inner values are computed again in the backward pass instead of being kept: less memory, more time.

Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174, section 4. A block is a member of a
`ModuleList` that holds an attention layer, such as a block of a transformer. Losses and gradients stay the same to the
last bit: the random numbers of the first pass, such as those of dropout, are drawn again.
"""

from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ecgkit.errors import RunError
from ecgkit.nn.attention import WatchedAttention


def recompute_blocks(model: nn.Module) -> None:
    """Let every block of a model keep nothing but its input for the backward pass.

    Raises:
        RunError: The model has no such blocks.
    """
    blocks = transformer_blocks(model)
    if not blocks:
        raise RunError("this model has no transformer blocks to compute again", remedy="Train without --recompute.")
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def transformer_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the innermost members of any `ModuleList` that hold an attention layer and no batch norm.

    A second pass would count a batch into the means of a batch norm twice.
    """
    members = [member for part in model.modules() if isinstance(part, nn.ModuleList) for member in part]
    attending = [m for m in members if _holds(m, WatchedAttention) and not _holds(m, _BatchNorm)]
    known = set(map(id, attending))
    return [m for m in attending if not any(id(part) in known for part in m.modules() if part is not m)]


def _holds(module: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(part, kind) for part in module.modules())
