"""Published HeartLang weights under their own names, and how those map to ours. Sizes are read off the shapes.

The released code reads the empty places of a sentence too, so the imported configs say ``pad_aware: false``. Of the
tokenizer, the encoder and the codebook are taken: they give the codes. Its decoder has another form than ours.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor

from ecgkit.training.official import count, renamed, size, sizes_of_file
from ecgkit_heartlang.config import HeartLangConfig, SentenceConfig, TokenizerConfig

OF = "HeartLang"
HEAD_WIDTH = 64
_BLOCK = r"transformer\.layers\.(\d+)\."
_OURS = r"encoder.blocks.\1."
SENTENCE_RULES = {
    r"cls_token": r"encoder.summary",
    r"pos_embed": r"encoder.positions",
    r"token_embed\.tokenConv\.weight": r"encoder.embed.weight",
    r"spa_embed\.embed\.weight": r"encoder.lead_embedding.weight",
    r"tem_embed\.embed\.weight": r"encoder.second_embedding.weight",
    _BLOCK + r"0\.norm\.(\w+)": _OURS + r"norm1.\2",
    _BLOCK + r"0\.to_qkv\.weight": _OURS + r"attn.qkv.weight",
    _BLOCK + r"0\.to_out\.0\.(\w+)": _OURS + r"attn.proj.\2",
    _BLOCK + r"1\.net\.0\.(\w+)": _OURS + r"norm2.\2",
    _BLOCK + r"1\.net\.1\.(\w+)": _OURS + r"mlp.fc1.\2",
    _BLOCK + r"1\.net\.4\.(\w+)": _OURS + r"mlp.fc2.\2",
    r"norm_layer\.(\w+)": r"encoder.norm.\1",
}
RULES = {r"mask_token": r"hidden", r"lm_head\.(\w+)": r"to_codes.\1", **SENTENCE_RULES}
TOKENIZER_RULES = {
    **{rf"encoder\.{name}": ours for name, ours in SENTENCE_RULES.items()},
    r"encode_task_layer\.0\.(\w+)": r"to_code.hidden.\1",
    r"encode_task_layer\.2\.(\w+)": r"to_code.out.\1",
    r"quantize\.embedding\.weight": r"codebook.weight",
    r"quantize\.cluster_size": r"codebook.uses",
}
# The decoder, a token that only the second stage uses, and sums from which the codebook was moved.
TOKENIZER_LEFT = (
    r"decoder\..+",
    r"decode_task_layer\.[02]\.(weight|bias)",
    r"encoder\.mask_token",
    r"quantize\.embedding\.(cluster_size|embed_avg|initted)",
)


def import_official(state: dict[str, Tensor], *, head_width: int = HEAD_WIDTH) -> tuple[Any, dict[str, Tensor]]:
    """Turn a published encoder into a config and a state dict of ours.

    Args:
        state: Parameters by the official names.
        head_width: Width of one attention head, which cannot be read off the shapes.

    Returns:
        The config whose shapes these are, and parameters by our names.

    Raises:
        RunError: A name is not one of HeartLang's, or one is missing or of an impossible shape.
    """
    ours, _ = renamed(state, RULES, of=OF)
    _need(ours, "hidden", "to_codes.weight", "to_codes.bias")
    ours["hidden"] = ours["hidden"].flatten()
    codes = size(ours, "to_codes.weight", of=OF)
    config = _sized(HeartLangConfig(), ours, head_width)
    return replace(config, codebook=replace(config.codebook, codes=codes)), ours


def import_tokenizer(
    state: dict[str, Tensor], *, head_width: int = HEAD_WIDTH
) -> tuple[Any, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published tokenizer into a config, a state dict of ours and the names left out; see `import_official`."""
    ours, left_out = renamed(state, TOKENIZER_RULES, TOKENIZER_LEFT, of=OF)
    codes, code_width = (size(ours, "codebook.weight", axis, of=OF) for axis in (0, 1))
    parts = [f"to_code.{layer}.{kind}" for layer in ("hidden", "out") for kind in ("weight", "bias")]
    _need(ours, "codebook.uses", *parts)
    depth = count(state, "decoder.transformer.layers")
    config = _sized(TokenizerConfig(), ours, head_width)
    return replace(config, codes=codes, code_width=code_width, decoder_depth=depth), ours, left_out


def _sized(base: SentenceConfig, ours: dict[str, Tensor], head_width: int) -> Any:
    if "encoder.positions" in ours and ours["encoder.positions"].ndim == 3:
        ours["encoder.positions"] = ours["encoder.positions"][0]
    inner = size(ours, "encoder.blocks.0.attn.qkv.weight", of=OF) // 3
    half = size(ours, "encoder.embed.weight", 1, of=OF) // 2
    with sizes_of_file(f"an official checkpoint of {OF}"):
        return replace(
            base,
            width=size(ours, "encoder.embed.weight", of=OF),
            depth=count(ours, "encoder.blocks"),
            heads=inner // head_width,
            head_width=head_width,
            hidden=size(ours, "encoder.blocks.0.mlp.fc1.weight", of=OF),
            length=size(ours, "encoder.positions", of=OF) - 1,
            window=replace(base.window, before=half, after=half),
            pad_aware=False,
        )


def _need(ours: dict[str, Tensor], *names: str) -> None:
    for name in names:
        size(ours, name, of=OF)
