"""Published ST-MEM weights under their own names, and how those map to ours.

The reference's files hold either the whole model (``encoder.*``, the decoder, and a second copy of the patch
embedding) or the encoder alone. Sizes are read off the shapes; heads are 64 wide unless the caller knows better.
"""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.signal.spec import SignalSpec
from ecgkit.training.official import sizes_of_file
from ecgkit_stmem.config import BASE, PRESETS, StMemConfig

HEAD_WIDTH = 64
LEADS = 12
# Patch length and patches per lead of ECG-Soup's weights, which bear ST-MEM's names but expect another signal, with its
# leads in another order. Nothing else in such a file tells them apart.
ECG_SOUP = (50, 20)
EXPECTED = "a complete published ST-MEM checkpoint"
_EMBEDDING = r"to_patch_embedding\.([123])\.(weight|bias)"
_BLOCK_PARTS = {
    "attn.norm": "norm1",
    "attn.fn.to_qkv": "attn.qkv",
    "attn.fn.to_out.0": "attn.proj",
    "ff.norm": "norm2",
    "ff.fn.net.0": "mlp.fc1",
    "ff.fn.net.3": "mlp.fc2",
}
_DECODER_NAMES = {
    "mask_embedding": "decoder.mask_token",
    "decoder_pos_embed": "decoder.positions",
    "to_decoder_embedding.weight": "decoder.embed.weight",
    "to_decoder_embedding.bias": "decoder.embed.bias",
    "decoder_norm.weight": "decoder.norm.weight",
    "decoder_norm.bias": "decoder.norm.bias",
    "decoder_head.weight": "decoder.head.weight",
    "decoder_head.bias": "decoder.head.bias",
}
_ENCODER_NAMES = {
    "pos_embedding": "positions",
    "sep_embedding": "separator",
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
}
# What ECG-Soup's downstream files hold beside the encoder: the gate of PMA and the classifier of one task.
_LEFT_OUT = re.compile(r"(gating\.net|head)\.\d+\.\w+")


def import_official(
    state: dict[str, Tensor], *, head_width: int = HEAD_WIDTH
) -> tuple[StMemConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict, of ST-MEM or of ECG-Soup, into a config and a state dict of ours.

    Args:
        state: Parameters by the reference's names, of the whole model or of the encoder alone.
        head_width: Width of one attention head, which cannot be read off the shapes.

    Returns:
        The config whose shapes these are; parameters by our names, only ``encoder.*`` if there was no decoder; and
        the names that belong to the head of a task and are left out.

    Raises:
        RunError: A name is not one of ST-MEM's, or one is missing or of an impossible shape.
    """
    left_out = tuple(name for name in state if _LEFT_OUT.fullmatch(name))
    state = {name: value for name, value in state.items() if name not in left_out}
    whole = any(name.startswith("encoder.") for name in state)
    renamed: dict[str, Tensor] = {}
    leads: dict[int, Tensor] = {}
    for name, value in state.items():
        encoder_name = name.removeprefix("encoder.") if name.startswith("encoder.") or not whole else None
        lead = re.fullmatch(r"lead_embeddings\.(\d+)", encoder_name or "")
        if lead:
            leads[int(lead[1])] = value
        elif whole and re.fullmatch(_EMBEDDING, name):
            continue  # the duplicate of the encoder's
        else:
            ours = f"encoder.{_encoder_name(encoder_name)}" if encoder_name else _decoder_name(name)
            renamed[ours] = _fit(ours, value)
    renamed["encoder.lead_embedding"] = _lead_table(leads)
    config = _config_of(renamed, head_width)
    # Row i of the file belongs to the i-th lead of the published input; ours belongs to lead i of the standard order.
    order = torch.tensor([config.signal.leads.index(lead) for lead in STANDARD_LEADS])
    renamed["encoder.lead_embedding"] = renamed["encoder.lead_embedding"][order]
    return config, renamed, left_out


def _lead_table(leads: dict[int, Tensor]) -> Tensor:
    """Stack the lead embeddings to ``[12, D]``."""
    if set(leads) != set(range(LEADS)):
        found = ", ".join(map(str, sorted(leads))) or "none"
        raise RunError(f"the file holds the lead embeddings {found}", f"0 to {LEADS - 1}")
    if len({row.shape for row in leads.values()}) > 1:
        raise RunError("the file holds lead embeddings of different shapes", EXPECTED)
    return torch.stack([leads[i] for i in range(LEADS)])


def _encoder_name(name: str) -> str:
    embedding = re.fullmatch(_EMBEDDING, name)
    if embedding:
        return f"to_tokens.{int(embedding[1]) - 1}.{embedding[2]}"
    block = re.fullmatch(r"block(\d+)\.(.+)\.(weight|bias)", name)
    if block and block[2] in _BLOCK_PARTS:
        return f"blocks.{block[1]}.{_BLOCK_PARTS[block[2]]}.{block[3]}"
    return _known(_ENCODER_NAMES, name)


def _decoder_name(name: str) -> str:
    block = re.fullmatch(r"decoder_blocks\.(\d+)\.(.+)\.(weight|bias)", name)
    if block and block[2] in _BLOCK_PARTS:
        return f"decoder.blocks.{block[1]}.{_BLOCK_PARTS[block[2]]}.{block[3]}"
    return _known(_DECODER_NAMES, name)


def _known(names: dict[str, str], name: str) -> str:
    if name not in names:
        raise RunError(f"the file holds a parameter {name!r}", "the names of a published ST-MEM checkpoint")
    return names[name]


def _fit(name: str, value: Tensor) -> Tensor:
    """Drop the leading axes of size 1 that the reference keeps on its tables."""
    axes = {"positions": 2, "mask_token": 1}.get(name.rpartition(".")[2], value.ndim)
    while value.ndim > axes and len(value) == 1:
        value = value[0]
    return value


def _config_of(state: dict[str, Tensor], head_width: int) -> StMemConfig:
    """Read the sizes off the shapes."""
    D, patch = (_size(state, "encoder.to_tokens.1.weight", axis) for axis in (0, 1))
    n = _size(state, "encoder.positions") - 2
    preset = PRESETS["soup"] if (patch, n) == ECG_SOUP else BASE
    sizes: dict[str, Any] = {
        "patch": patch,
        "width": D,
        "depth": _count_blocks(state, "encoder"),
        "heads": _heads(state, "encoder", head_width),
        "head_width": head_width,
        "mlp_ratio": _size(state, "encoder.blocks.0.mlp.fc1.bias") / D,
    }
    if "decoder.embed.weight" in state:
        sizes |= {
            "decoder_width": _size(state, "decoder.embed.bias"),
            "decoder_depth": _count_blocks(state, "decoder"),
            "decoder_heads": _heads(state, "decoder", head_width),
        }
    with sizes_of_file(EXPECTED):
        return replace(preset, signal=_signal(n * patch, preset.signal), **sizes)


def _signal(samples: int, published: SignalSpec) -> SignalSpec:
    """Return the published input; at another length than the published one, at the same rate."""
    if samples == published.samples:
        return published
    seconds = samples / published.fs
    return replace(published, seconds=seconds, window=max(seconds, published.window), eval_starts=(0.0,))


def _size(state: dict[str, Tensor], name: str, axis: int = 0) -> int:
    if name not in state:
        raise RunError(f"the file holds nothing that becomes {name}", EXPECTED)
    shape = state[name].shape
    if axis >= len(shape) or not shape[axis]:
        raise RunError(f"what becomes {name} has shape {tuple(shape)}", EXPECTED)
    return shape[axis]


def _heads(state: dict[str, Tensor], part: str, head_width: int) -> int:
    return _size(state, f"{part}.blocks.0.attn.qkv.bias") // 3 // head_width


def _count_blocks(state: dict[str, Tensor], part: str) -> int:
    return len({name.split(".")[2] for name in state if name.startswith(f"{part}.blocks.")})
