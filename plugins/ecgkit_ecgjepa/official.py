"""Published ECG-JEPA weights under their own names, and how those map to ours. Sizes are read off the shapes."""

from dataclasses import replace

import torch
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.training.official import count, renamed, size, sizes_of_file
from ecgkit_ecgjepa.config import BASE, LEADS, EcgJepaConfig
from ecgkit_ecgjepa.model import positions

OF = "ECG-JEPA"
RULES = {
    r"W_P\.(\w+)": r"encoder.to_token.\1",
    r"encoder_blocks\.blocks\.(\d+)\.(norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12])\.(\w+)": r"encoder.blocks.\1.\2.\3",
    r"norm\.(\w+)": r"encoder.norm.\1",
}
TABLE = "pos_embed"  # fixed, and computed here
# Parts of an own training that a released file does not hold.
PRETRAINING = (r"target_encoder\..+", r"predictor\..+")


def import_official(
    state: dict[str, Tensor], *, heads: int = BASE.heads
) -> tuple[EcgJepaConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the official names: of the encoder, or of all parts of a training.
        heads: Attention heads, which no shape tells.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of ECG-JEPA's, or one is missing or of an impossible shape.
    """
    if any(name.startswith("encoder.") for name in state):
        state = {name.removeprefix("encoder."): value for name, value in state.items()}
    ours, left_out = renamed(state, RULES, (TABLE, *PRETRAINING), of=OF)
    width, patch = (size(ours, "encoder.to_token.weight", axis, of=OF) for axis in (0, 1))
    patches = size(state, TABLE, of=OF) // len(LEADS)
    with sizes_of_file(f"an official checkpoint of {OF}"):
        config = replace(
            BASE,
            patch=patch,
            width=width,
            depth=count(ours, "encoder.blocks"),
            heads=heads,
            hidden=size(ours, "encoder.blocks.0.mlp.fc1.weight", of=OF),
            signal=replace(BASE.signal, seconds=patches * patch / BASE.signal.fs),
        )
    expected = positions(patches, width).flatten(0, 1)
    if state[TABLE].shape != expected.shape or not torch.allclose(state[TABLE].float(), expected, atol=1e-5):
        raise RunError(f"{TABLE} is not the table of sines that ECG-JEPA has", f"an official checkpoint of {OF}")
    return config, ours, left_out
