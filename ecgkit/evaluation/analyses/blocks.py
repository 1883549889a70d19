"""The tokens that leave each block of an encoder, record by record."""

import torch
from torch import Tensor

from ecgkit.methods import Batch, Encoder
from ecgkit.nn.transformer import Block


def run_layers(encoder: Encoder, batch: Batch) -> tuple[dict[int, Tensor], Tensor | None, Tensor]:
    """Encode a batch.

    Returns:
        The tokens that leave each block, ``[B, N, D]`` by the block's number, without blocks that get other tokens; the
        encoder's tokens; and which of them are not padding, bool ``[B, N]``.
    """
    outputs: list[Tensor] = []
    blocks = [module for module in encoder.modules() if isinstance(module, Block)]
    hooks = [block.register_forward_hook(lambda module, inputs, output: outputs.append(output)) for block in blocks]
    try:
        features = encoder.encode(batch)
    finally:
        for hook in hooks:
            hook.remove()
    tokens, real = features.tokens, features.token_real
    if tokens is None:
        return {}, None, torch.empty(0)
    if real is None:
        real = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    found = {layer: by_record(encoder, x, real) for layer, x in enumerate(outputs)}
    return {layer: x for layer, x in found.items() if x is not None}, tokens, real


def by_record(encoder: Encoder, x: Tensor, real: Tensor) -> Tensor | None:
    """Return values of a block's tokens as ``[B, N, ...]``, from ``[B, M, ...]`` or lead by lead ``[B L, M, ...]``.

    Args:
        encoder: Encoder of the block.
        x: The values.
        real: bool ``[B, N]``, which of the encoder's tokens are not padding.

    Returns:
        The values of the encoder's tokens; None if the block gets other tokens.
    """
    (B, N), leads = real.shape, x.shape[0] // real.shape[0]
    if x.shape[0] % B or N % max(leads, 1) or x.shape[1] < N // max(leads, 1):
        return None
    return torch.unflatten(encoder.block_tokens(x, N // leads), 0, (B, leads)).flatten(1, 2)
