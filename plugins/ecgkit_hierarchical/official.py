"""Released weights of the hierarchical transformer under their own names, and how those map to ours."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.training.official import sizes_of_file
from ecgkit_hierarchical.config import BASE, KERNELS, HierarchicalConfig

EXPECTED = "a checkpoint of the released code, with six convolutions and differential attention"
HEADS = 8  # not in any shape
# The labels of task cinc2020-unmerged: its codes sorted as texts, as the released classifiers have them.
LABELS = (
    "PR",
    "LQT",
    "AF",
    "AFL",
    "LBBB",
    "QAb",
    "TAb",
    "LPR",
    "VPB",
    "LQRSV",
    "IAVB",
    "PAC",
    "LAD",
    "SB",
    "Brady",
    "NSR",
    "STach",
    "PVC",
    "SA",
    "LAnFB",
    "RAD",
    "RBBB",
    "TInv",
    "SVPB",
    "NSIVCB",
    "IRBBB",
    "CRBBB",
)
_PARTS = {"linear1": "mlp.fc1", "linear2": "mlp.fc2", "norm1": "norm1", "norm2": "norm2"}
_HEADS = {
    "fc1": "fc1",
    "fc2": "fc2",
    "wide_project.0": "wide_project.0",
    "wide_project.2": "wide_project.2",
    "global_attn_pool.attention_a.0": "attention_a",
    "global_attn_pool.attention_b.0": "attention_b",
    "global_attn_pool.attention_c": "attention_c",
    "global_rho.0": "rho",
}


def import_official(state: dict[str, Tensor], *, heads: int = HEADS) -> tuple[HierarchicalConfig, dict[str, Tensor]]:
    """Turn a released state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the released names, with or without the prefix ``module.``.
        heads: Attention heads, which no shape tells.

    Returns:
        The config whose shapes these are, and parameters by our names.

    Raises:
        RunError: A name is unknown, one is missing, or a shape is impossible.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        ours = _rename(name)
        if ours:
            renamed[f"encoder.{ours}"] = value
    classifiers = [name for name in state if re.fullmatch(r"classifiers\.\d+\.weight", name)]
    if classifiers:
        renamed["encoder.head.weight"], renamed["encoder.head.bias"] = (
            torch.cat([_need(state, f"classifiers.{c}.{kind}") for c in range(len(classifiers))])
            for kind in ("weight", "bias")
        )
    config = _config_of(state, len(classifiers), heads)
    renamed |= {"encoder.wide_mean": torch.zeros(2), "encoder.wide_deviation": torch.ones(2)}
    return config, renamed


def _rename(name: str) -> str:
    """Return our name of a parameter; empty for what is computed or gathered elsewhere."""
    if name == "transformer.pe.pe" or name.startswith("classifiers."):
        return ""
    if name == "transformer.cls_token":
        return "cls_token"
    conv = re.fullmatch(r"encoder\.(\d+)\.(\w+)", name)
    if conv and int(conv[1]) % 3 < 2:
        kind = "convs" if int(conv[1]) % 3 == 0 else "norms"
        return f"convolutions.{kind}.{int(conv[1]) // 3}.{conv[2]}"
    block = re.fullmatch(r"transformer\.transformer_encoder\.(\d+)\.(.+)", name)
    if block:
        part, _, kind = block[2].partition(".")
        if part == "self_attn":
            return f"blocks.{block[1]}.attn.{kind}"
        if part in _PARTS:
            return f"blocks.{block[1]}.{_PARTS[part]}.{kind}"
    layer, _, kind = name.rpartition(".")
    if layer in _HEADS:
        return f"head.{_HEADS[layer]}.{kind}"
    raise RunError(f"the file holds a parameter {name!r}", "the names of a released hierarchical transformer")


def _config_of(state: dict[str, Tensor], classifiers: int, heads: int) -> HierarchicalConfig:
    """Read the sizes off the shapes."""
    width = _need(state, "encoder.6.weight").shape[0]
    hidden = _need(state, "transformer.transformer_encoder.0.linear1.weight").shape[0]
    blocks = {name.split(".")[2] for name in state if name.startswith("transformer.transformer_encoder.")}
    convs = sum(
        re.fullmatch(r"encoder\.\d+\.weight", name) is not None and value.ndim == 3 for name, value in state.items()
    )
    if convs != len(KERNELS) or len(blocks) % BASE.stages:
        raise RunError(f"the file has {convs} convolutions and {len(blocks)} blocks", EXPECTED)
    if classifiers:
        count, deep, wide = classifiers, BASE.deep, BASE.wide_features
    else:
        last, deep = _need(state, "fc2.weight"), _need(state, "fc1.weight").shape[0]
        count, wide = last.shape[0], last.shape[1] - deep
    names = LABELS if count == len(LABELS) else tuple(f"class {c}" for c in range(count))
    with sizes_of_file(EXPECTED):
        return replace(
            BASE,
            width=width,
            heads=heads,
            hidden=hidden,
            stage_layers=len(blocks) // BASE.stages,
            gate=bool(classifiers),
            deep=deep,
            wide_features=wide,
            wide="none",
            classes=names,
        )


def _need(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise RunError(f"the file holds no {name}", EXPECTED)
    return state[name]
