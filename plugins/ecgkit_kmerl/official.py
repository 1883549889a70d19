"""Published MERL weights under their own names, and how those map to ours.

A file holds the whole model (``ecg_encoder.*`` and the heads; the text model is taken from its own source instead) or
the encoder alone. Sizes are read off the shapes; heads of a ViT are 64 wide unless the caller knows better. The rows
of the released model are those of MIMIC-IV-ECG's files, aVF before aVL.
"""

import re
from dataclasses import replace
from typing import Any

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.nn.resnet import DEPTHS
from ecgkit.text.config import TextConfig
from ecgkit.training.official import sizes_of_file
from ecgkit_kmerl.config import MERL, MerlConfig

MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
MEDCPT = TextConfig(encoder="medcpt", width=768, pooling="pooler")  # as the published code
HEAD_WIDTH = 64
EXPECTED = "a complete published MERL checkpoint"
# Of the trained model but of no use here: the text model, and a classifier that the encoder's class brings along.
_IGNORED = re.compile(r"lm_model\.|ecg_encoder\.linear\.")
_HEADS = {
    "proj_e": "ecg_projection",
    "proj_t": "text_projection",
    "linear1": "view1",
    "linear2": "view2",
    "downconv": "reduce",
    "att_pool_head": "attention_pool",
}
_BLOCK_PARTS = {
    "attn.norm": "norm1",
    "attn.fn.to_qkv": "attn.qkv",
    "attn.fn.to_out.0": "attn.proj",
    "ff.norm": "norm2",
    "ff.fn.net.0": "mlp.fc1",
    "ff.fn.net.3": "mlp.fc2",
}
_VIT = {"pos_embedding": "time_embedding", "to_patch_embedding.weight": "to_token.weight"}


def import_official(state: dict[str, Tensor], *, head_width: int = HEAD_WIDTH) -> tuple[MerlConfig, dict[str, Tensor]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the reference's names, of the whole model or of the encoder alone.
        head_width: Width of one attention head of a ViT, which cannot be read off the shapes.

    Returns:
        The config whose shapes these are, and parameters by our names; only ``encoder.*`` if there were no heads.

    Raises:
        RunError: A name is not one of MERL's, or one is missing or of an impossible shape.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith("ecg_encoder.") for name in state):
        state = {f"ecg_encoder.{name}": value for name, value in state.items()}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if not _IGNORED.match(name):
            ours = _rename(name)
            renamed[ours] = _fit(ours, value)
    return _config_of(renamed, head_width), renamed


def _rename(name: str) -> str:
    head, _, rest = name.partition(".")
    if head in _HEADS:
        return f"{_HEADS[head]}.{rest}"
    if head == "ecg_encoder":
        return f"encoder.{_encoder_name(rest)}"
    raise _unknown(name)


def _encoder_name(name: str) -> str:
    if name in _VIT:
        return _VIT[name]
    if re.fullmatch(r"norm\.(weight|bias)", name):
        return name
    block = re.fullmatch(r"block(\d+)\.(.+)\.(weight|bias)", name)
    if block and block[2] in _BLOCK_PARTS:
        return f"blocks.{block[1]}.{_BLOCK_PARTS[block[2]]}.{block[3]}"
    stem = re.fullmatch(r"(conv|bn)1\.(\w+)", name)
    if stem:
        return f"trunk.{'conv' if stem[1] == 'conv' else 'norm'}.{stem[2]}"
    layer = re.fullmatch(r"layer([1-4])\.(\d+)\.(conv|bn)(\d)\.(\w+)", name)
    if layer:
        part = "convs" if layer[3] == "conv" else "norms"
        return f"trunk.stages.{int(layer[1]) - 1}.{layer[2]}.{part}.{int(layer[4]) - 1}.{layer[5]}"
    shortcut = re.fullmatch(r"layer([1-4])\.(\d+)\.(shortcut\.[01]\.\w+)", name)
    if shortcut:
        return f"trunk.stages.{int(shortcut[1]) - 1}.{shortcut[2]}.{shortcut[3]}"
    raise _unknown(name)


def _unknown(name: str) -> RunError:
    return RunError(f"the file holds a parameter {name!r}", "the names of a published MERL checkpoint")


def _fit(name: str, value: Tensor) -> Tensor:
    """Flatten the patch convolution to a matrix, and drop the first axis of the positions."""
    if name == "encoder.to_token.weight":
        return value.flatten(1)
    return value[0] if name == "encoder.time_embedding" and value.ndim == 3 else value


def _config_of(state: dict[str, Tensor], head_width: int) -> MerlConfig:
    sizes = _resnet_sizes(state) if "encoder.trunk.conv.weight" in state else _vit_sizes(state, head_width)
    if "text_projection.0.weight" in state:
        sizes |= {
            "hidden": _size(state, "text_projection.0.weight"),
            "projection": _size(state, "text_projection.2.weight"),
        }
        sizes["text"] = replace(MEDCPT, width=_size(state, "text_projection.0.weight", 1))
    samples = sizes.pop("samples", MERL.signal.samples)
    seconds = samples / MERL.signal.fs
    with sizes_of_file(EXPECTED):
        signal = replace(MERL.signal, leads=MIMIC_LEADS, seconds=seconds, window=max(seconds, MERL.signal.window))
        return replace(MERL, **{"text": MEDCPT, "signal": signal, **sizes})


def _vit_sizes(state: dict[str, Tensor], head_width: int) -> dict[str, Any]:
    D, inputs = (_size(state, "encoder.to_token.weight", axis) for axis in (0, 1))
    patch = inputs // len(MIMIC_LEADS)
    return {
        "encoder": "vit",
        "patch": patch,
        "width": D,
        "depth": len({name.split(".")[2] for name in state if name.startswith("encoder.blocks.")}),
        "heads": _size(state, "encoder.blocks.0.attn.qkv.weight") // 3 // head_width,
        "head_width": head_width,
        "mlp_ratio": _size(state, "encoder.blocks.0.mlp.fc1.weight") / D,
        "samples": _size(state, "encoder.time_embedding") * patch,
    }


def _resnet_sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    depths = [0, 0, 0, 0]
    for name in state:
        stage = re.match(r"encoder\.trunk\.stages\.(\d)\.(\d+)\.", name)
        if stage:
            depths[int(stage[1])] = max(depths[int(stage[1])], int(stage[2]) + 1)
    bottleneck = "encoder.trunk.stages.0.0.convs.2.weight" in state
    known = {(found, deep): name for name, (found, deep) in DEPTHS.items()}
    if (tuple(depths), bottleneck) not in known:
        raise RunError(f"the file holds a ResNet with stages of {depths} blocks", f"one of {', '.join(DEPTHS)}")
    return {
        "encoder": known[tuple(depths), bottleneck],
        "channels": _size(state, "encoder.trunk.conv.weight"),
    }


def _size(state: dict[str, Tensor], name: str, axis: int = 0) -> int:
    if name not in state:
        raise RunError(f"the file holds nothing that becomes {name}", EXPECTED)
    shape = state[name].shape
    if axis >= len(shape) or not shape[axis]:
        raise RunError(f"what becomes {name} has shape {tuple(shape)}", EXPECTED)
    return shape[axis]
