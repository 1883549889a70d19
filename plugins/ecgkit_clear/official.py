"""Published CLEAR weights under their own names, and how those map to ours and back.

A pretraining file holds the whole model; a fine-tune file holds it under ``backbone.`` together with the HUG head of
one task, which is no part of a run. Attention heads cannot be read off the shapes: they are those of the published
sizes, or the most of them that divide another width.
"""

import math
import re
from dataclasses import replace

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.training.official import sizes_of_file
from ecgkit_clear.config import BASE, PRESETS, ClearConfig

LEADS = 12
EXPECTED = "a complete published CLEAR checkpoint"
PREFIX = "backbone."
# Official name -> ours. ``{i}`` is the number of a block.
NAMES = {
    "cls_token": "encoder.summary",
    "pos_embed": "encoder.positions",
    "token_embed.tokenConv.weight": "encoder.embed.weight",
    "spa_embed.embed.weight": "encoder.lead_embedding.weight",
    "tem_embed.embed.weight": "encoder.second_embedding.weight",
    "norm_layer.weight": "encoder.norm.weight",
    "norm_layer.bias": "encoder.norm.bias",
    "mask_token": "decoder.mask_token",
    "decoder_pos_embed": "decoder.positions",
    "decoder_embed.weight": "decoder.embed.weight",
    "decoder_embed.bias": "decoder.embed.bias",
    "decoder_norm.weight": "decoder.norm.weight",
    "decoder_norm.bias": "decoder.norm.bias",
    "decoder_pred.weight": "decoder.head.weight",
    "decoder_pred.bias": "decoder.head.bias",
}
BLOCK_NAMES = {
    "self_attn.in_proj_weight": "attn.qkv.weight",
    "self_attn.in_proj_bias": "attn.qkv.bias",
    "self_attn.out_proj.weight": "attn.proj.weight",
    "self_attn.out_proj.bias": "attn.proj.bias",
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "ff.0.weight": "mlp.fc1.weight",
    "ff.0.bias": "mlp.fc1.bias",
    "ff.3.weight": "mlp.fc2.weight",
    "ff.3.bias": "mlp.fc2.bias",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
}
# Leading axes of size 1 that the reference keeps.
EXTRA_AXES = {"pos_embed": 1, "decoder_pos_embed": 1, "mask_token": 2}
HEAD = re.compile(r"(backbone\.)?moe\.level[123]_experts?\.(\d\.)?net\.0\.(weight|bias)|mlp_head\.(weight|bias)")
_BLOCK = re.compile(r"(encoder|decoder)_transformer\.layers\.(\d+)\.(.+)")
_OWN_BLOCK = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(.+)")


def import_official(state: dict[str, Tensor]) -> tuple[ClearConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the reference's names.

    Returns:
        The config whose shapes these are, with the attention that the released weights were trained with
        (``full``, empty slots not left out, ``conv``); parameters by our names; and the names of a task's head, which
        are left out.

    Raises:
        RunError: A name is not one of CLEAR's, or one is missing or of an impossible shape.
    """
    left_out = tuple(name for name in state if HEAD.fullmatch(name))
    body = {name.removeprefix(PREFIX): value for name, value in state.items() if name not in left_out}
    renamed = {_ours(name): _squeeze(name, value) for name, value in body.items()}
    return _config_of(renamed), renamed, left_out


def export_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of ours under the published names and shapes: the inverse of `import_official`."""
    official = {ours: name for name, ours in NAMES.items()}
    parts = {ours: name for name, ours in BLOCK_NAMES.items()}
    out = {}
    for name, value in state.items():
        block = _OWN_BLOCK.fullmatch(name)
        theirs = f"{block[1]}_transformer.layers.{block[2]}.{parts[block[3]]}" if block else official[name]
        out[theirs] = value[(None,) * EXTRA_AXES.get(theirs, 0)]
    return out


def _ours(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if block and block[3] in BLOCK_NAMES:
        return f"{block[1]}.blocks.{block[2]}.{BLOCK_NAMES[block[3]]}"
    if name not in NAMES:
        raise RunError(f"the file holds a parameter {name!r}", "the names of a published CLEAR checkpoint")
    return NAMES[name]


def _squeeze(name: str, value: Tensor) -> Tensor:
    axes = EXTRA_AXES.get(name, 0)
    if any(size != 1 for size in value.shape[:axes]):
        raise RunError(f"{name} has shape {tuple(value.shape)}", EXPECTED)
    return value.reshape(value.shape[axes:])


def _config_of(state: dict[str, Tensor]) -> ClearConfig:
    """Read the sizes off the shapes."""
    D, window = (_size(state, "encoder.embed.weight", axis) for axis in (0, 1))
    positions = _size(state, "encoder.positions", 0)
    slots = positions // LEADS - 1
    if positions % LEADS or slots < 1 or window % 2:
        raise RunError(f"the file holds {positions} positions and beats of {window} samples", EXPECTED)
    published = next((preset for preset in PRESETS.values() if preset.width == D), BASE)
    width = _size(state, "decoder.embed.bias", 0)
    half = window // 2
    with sizes_of_file(EXPECTED):
        return replace(
            BASE,
            width=D,
            depth=_depth(state, "encoder"),
            heads=math.gcd(published.heads, D),
            hidden=_size(state, "encoder.blocks.0.mlp.fc1.bias", 0),
            decoder_width=width,
            decoder_depth=_depth(state, "decoder"),
            decoder_heads=math.gcd(published.decoder_heads, width),
            embed="conv" if _size(state, "encoder.embed.weight", 2) == 3 else "linear",
            encoder_mask="full",
            pad_aware=False,
            window=replace(BASE.window, before=half, after=half, max_beats=slots),
        )


def _size(state: dict[str, Tensor], name: str, axis: int) -> int:
    if name not in state:
        raise RunError(f"the file holds nothing that becomes {name}", EXPECTED)
    if axis >= state[name].ndim or not state[name].shape[axis]:
        raise RunError(f"what becomes {name} has shape {tuple(state[name].shape)}", EXPECTED)
    return state[name].shape[axis]


def _depth(state: dict[str, Tensor], part: str) -> int:
    return len({name.split(".")[2] for name in state if name.startswith(f"{part}.blocks.")})


def hug_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the maps of a published HUG head to those of `ecgkit.evaluation.heads.hug.Hug`; others are left out."""
    places = {"level1_experts": "groups", "level2_experts": "pairs", "level3_expert": "whole"}
    found = {}
    for name, value in state.items():
        part = re.search(r"(level[123]_experts?)(?:\.(\d))?\.net\.0\.(weight|bias)$", name)
        if part:
            number = "" if part[2] is None else f".{part[2]}"
            found[f"{places[part[1]]}{number}.{part[3]}"] = value
    return found
