"""Published HuBERT-ECG weights under their own names, and how those map to ours.

A file holds the pretrained model, with the parts that only its training needs, or a fine-tuned one, with a classifier
and the prefix ``hubert_ecg.``. Sizes are read off the shapes.
"""

from dataclasses import replace

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.nn.wave import positional_rules
from ecgkit.training.official import count, renamed, size, sizes_of_file
from ecgkit_hubertecg.config import BASE, HEADS, HubertEcgConfig

OF = "HuBERT-ECG"
HEAD_WIDTH = 64  # of sizes that are not the published ones
_BLOCK = r"encoder\.layers\.(\d+)\."
_OURS = r"encoder.blocks.\1."
RULES = {
    r"feature_extractor\.conv_layers\.(\d+)\.conv\.weight": r"encoder.convolutions.convs.\1.weight",
    r"feature_extractor\.conv_layers\.0\.layer_norm\.(\w+)": r"encoder.convolutions.norm.\1",
    r"feature_projection\.layer_norm\.(\w+)": r"encoder.input_norm.\1",
    r"feature_projection\.projection\.(\w+)": r"encoder.project.\1",
    **positional_rules(r"encoder\.pos_conv_embed\.conv", "encoder.positions"),
    r"encoder\.layer_norm\.(\w+)": r"encoder.block_norm.\1",
    _BLOCK + r"attention\.q_proj\.(\w+)": _OURS + r"attn.qkv.\2#0",
    _BLOCK + r"attention\.k_proj\.(\w+)": _OURS + r"attn.qkv.\2#1",
    _BLOCK + r"attention\.v_proj\.(\w+)": _OURS + r"attn.qkv.\2#2",
    _BLOCK + r"attention\.out_proj\.(\w+)": _OURS + r"attn.proj.\2",
    _BLOCK + r"layer_norm\.(\w+)": _OURS + r"norm1.\2",
    _BLOCK + r"feed_forward\.intermediate_dense\.(\w+)": _OURS + r"mlp.fc1.\2",
    _BLOCK + r"feed_forward\.output_dense\.(\w+)": _OURS + r"mlp.fc2.\2",
    _BLOCK + r"final_layer_norm\.(\w+)": _OURS + r"norm2.\2",
    r"classifier\.(\w+)": r"encoder.head.\1",
}
# Parts that only the pretraining needs.
PRETRAINING = (r"masked_spec_embed", r"final_proj\.\d+\.(weight|bias)", r"label_embedding\.\d+\.weight")


def import_official(
    state: dict[str, Tensor], *, heads: int = 0
) -> tuple[HubertEcgConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the official names.
        heads: Attention heads, which no shape tells; 0 for those of the published size.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of HuBERT-ECG's, or one is missing or of an impossible shape.
    """
    state = {name.removeprefix("hubert_ecg."): value for name, value in state.items()}
    ours, left_out = renamed(state, RULES, PRETRAINING, of=OF)
    convs = range(count(ours, "encoder.convolutions.convs"))
    kernels = tuple(size(ours, f"encoder.convolutions.convs.{i}.weight", 2, of=OF) for i in convs)
    if kernels != BASE.kernels:
        raise RunError(f"the file's convolutions have widths {kernels}", f"{BASE.kernels}, as the published ones")
    width, depth = size(ours, "encoder.project.weight", of=OF), count(ours, "encoder.blocks")
    classes = size(ours, "encoder.head.weight", of=OF) if "encoder.head.weight" in ours else 0
    with sizes_of_file(f"an official checkpoint of {OF}"):
        config = replace(
            BASE,
            channels=size(ours, "encoder.project.weight", 1, of=OF),
            width=width,
            depth=depth,
            heads=heads or HEADS.get((width, depth), width // HEAD_WIDTH),
            hidden=size(ours, "encoder.blocks.0.mlp.fc1.weight", of=OF),
            taps=size(ours, "encoder.positions.direction", 2, of=OF),
            groups=width // size(ours, "encoder.positions.direction", 1, of=OF),
            classes=tuple(f"class {c}" for c in range(classes)),
        )
    return config, ours, left_out
