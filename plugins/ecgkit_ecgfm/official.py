"""Published ECG-FM weights under their own names, and how those map to ours.

A file holds the pretrained model, whose further parts only its training needs, or a fine-tuned one with a classifier.
Sizes are read off the shapes; heads are 64 wide unless the caller knows better.
"""

from dataclasses import replace

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.nn.wave import positional_rules
from ecgkit.training.official import count, renamed, size, sizes_of_file
from ecgkit_ecgfm.config import BASE, EcgFmConfig

OF = "ECG-FM"
HEAD_WIDTH = 64
_BLOCK = r"encoder\.layers\.(\d+)\."
_OURS = r"encoder.blocks.\1."
RULES = {
    r"feature_extractor\.conv_layers\.(\d+)\.0\.weight": r"encoder.convolutions.convs.\1.weight",
    r"feature_extractor\.conv_layers\.0\.2\.(\w+)": r"encoder.convolutions.norm.\1",
    r"layer_norm\.(\w+)": r"encoder.input_norm.\1",
    r"post_extract_proj\.(\w+)": r"encoder.project.\1",
    **positional_rules(r"conv_pos\.pos_conv\.0", "encoder.positions"),
    r"encoder\.layer_norm\.(\w+)": r"encoder.block_norm.\1",
    _BLOCK + r"self_attn\.q_proj\.(\w+)": _OURS + r"attn.qkv.\2#0",
    _BLOCK + r"self_attn\.k_proj\.(\w+)": _OURS + r"attn.qkv.\2#1",
    _BLOCK + r"self_attn\.v_proj\.(\w+)": _OURS + r"attn.qkv.\2#2",
    _BLOCK + r"self_attn\.out_proj\.(\w+)": _OURS + r"attn.proj.\2",
    _BLOCK + r"self_attn_layer_norm\.(\w+)": _OURS + r"norm1.\2",
    _BLOCK + r"fc([12])\.(\w+)": _OURS + r"mlp.fc\2.\3",
    _BLOCK + r"final_layer_norm\.(\w+)": _OURS + r"norm2.\2",
    r"proj\.(\w+)": r"encoder.head.\1",
}
# Parts that only the pretraining needs.
PRETRAINING = (r"mask_emb", r"quantizer\.(vars|weight_proj\.(weight|bias))", r"(project_q|final_proj)\.(weight|bias)")


def import_official(
    state: dict[str, Tensor], *, head_width: int = HEAD_WIDTH
) -> tuple[EcgFmConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the official names.
        head_width: Width of one attention head, which cannot be read off the shapes.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of ECG-FM's, or one is missing or of an impossible shape.
    """
    if "proj.weight" in state:  # a fine-tuned file, in which everything but the classifier lies one level deeper
        astray = [name for name in state if not name.startswith(("encoder.", "proj."))]
        if astray:
            raise RunError(f"a fine-tuned file holds {astray[0]!r:.90}", f"an official checkpoint of {OF}")
        state = {name.removeprefix("encoder."): value for name, value in state.items()}
    ours, left_out = renamed(state, RULES, PRETRAINING, of=OF)
    convs = range(count(ours, "encoder.convolutions.convs"))
    kernels = tuple(size(ours, f"encoder.convolutions.convs.{i}.weight", 2, of=OF) for i in convs)
    width = size(ours, "encoder.project.weight", of=OF)
    classes = size(ours, "encoder.head.weight", of=OF) if "encoder.head.weight" in ours else 0
    with sizes_of_file(f"an official checkpoint of {OF}"):
        config = replace(
            BASE,
            channels=size(ours, "encoder.project.weight", 1, of=OF),
            kernels=kernels,
            strides=(BASE.strides[0],) * len(kernels),
            width=width,
            depth=count(ours, "encoder.blocks"),
            heads=width // head_width,
            hidden=size(ours, "encoder.blocks.0.mlp.fc1.weight", of=OF),
            taps=size(ours, "encoder.positions.direction", 2, of=OF),
            groups=width // size(ours, "encoder.positions.direction", 1, of=OF),
            classes=tuple(f"class {c}" for c in range(classes)),
        )
    return config, ours, left_out
