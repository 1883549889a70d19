"""Configuration of CLEAR: sizes, masks, input and recipe. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.beats.windows import PUBLISHED, BeatWindow
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

# 10 s at 100 Hz, band-pass at 100 Hz over the whole record, no scaling: every beat is standardised in the model.
SIGNAL = SignalSpec(fs=100.0, seconds=10.0, filter=Butterworth(low=0.67, high=40.0, order=5), normalize="none")
# 5e-4 at the published batch of 1792, and a cosine that ends at 1e-5.
RECIPE = Recipe(
    epochs=100,
    batch_size=256,
    lr=5e-4 * 256 / 1792,
    warmup_epochs=5,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    clip=3.0,
    checkpoint="last",
    final_lr=1e-5,
)

EncoderMask = Literal["paper", "intended", "full", "released"]


@dataclass(frozen=True)
class ClearConfig:
    """CLEAR.

    Args:
        width: D of the encoder.
        depth: Blocks of the encoder.
        heads: Attention heads of the encoder.
        hidden: Width inside the feed-forward layers of both encoder and decoder.
        decoder_width: Width of the decoder.
        decoder_depth: Blocks of the decoder.
        decoder_heads: Attention heads of the decoder.
        dropout: Dropout on attention weights, residual branches and hidden layers.
        mask_ratio: Share of the L x S beat slots that is hidden.
        mask_per: One draw for each ``record`` (ours: the loss then does not depend on the batch) or for the whole
            ``batch`` (released code).
        encoder_mask: Which tokens the encoder's tokens attend to. ``paper``: a summary attends to itself and its lead's
            beats, a beat to all beats and its lead's summary. ``intended``: as a comment in the released code says,
            summaries as in ``paper``, beats attend to everything. ``full``: all attend to all. ``released``: as the
            released code computes, 1 is added to logits at fixed places, which forbids nothing.
        embed: ``conv`` also reads the token before and after, so that hidden beats leak into visible ones; the
            published weights need it. ``linear`` reads one beat only.
        pad_aware: Whether attention and loss leave out empty slots (ours); the released code treats them as beats.
        conduction: Whether the decoder rebuilds a hidden beat from the same beat of the other leads only.
        summary: One summary token per ``lead`` (the paper), or ``one`` for all leads (an ablation), which attends to
            all beats and which all beats attend to, in encoder and decoder.
        view: Whether a summary attends only within its own lead, in encoder and decoder.
        window: How beats are cut, and the number of slots per lead.
        signal: The input.
        recipe: The training.
    """

    width: int = 768
    depth: int = 12
    heads: int = 8
    hidden: int = 1024
    decoder_width: int = 512
    decoder_depth: int = 4
    decoder_heads: int = 16
    dropout: float = 0.1
    mask_ratio: float = 0.8
    mask_per: Literal["record", "batch"] = "record"
    encoder_mask: EncoderMask = "paper"
    embed: Literal["conv", "linear"] = "conv"
    pad_aware: bool = True
    conduction: bool = True
    summary: Literal["lead", "one"] = "lead"
    view: bool = True
    window: BeatWindow = PUBLISHED
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "hidden", "decoder_width", "decoder_depth", "decoder_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        for width, heads in (("width", "heads"), ("decoder_width", "decoder_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ValueError(f"{width} {getattr(self, width)} must be a multiple of {heads} {getattr(self, heads)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must be at least 0 and below 1")
        if self.summary == "one" and self.encoder_mask == "released":
            raise ValueError("summary one has no encoder_mask released, which is a mask of the leads' summaries")
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio {self.mask_ratio} must lie between 0 and 1")
        if self.window.max_beats is None:
            raise ValueError("window.max_beats must be a number, because every slot has a position of its own")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")

    @property
    def keeps_views(self) -> bool:
        """Whether a summary attends only within its own lead."""
        return self.view and self.summary == "lead"

    @property
    def slots(self) -> int:
        """Number S of beat slots per lead."""
        assert self.window.max_beats is not None
        return self.window.max_beats


BASE = ClearConfig()
PRESETS = {
    "base": BASE,
    # As published: the batch of seven GPUs with its rate of 5e-4, one mask per batch, empty slots counted as beats.
    "paper": replace(
        BASE, mask_per="batch", pad_aware=False, recipe=replace(RECIPE, batch_size=1792, lr=5e-4 * 256 / 1792)
    ),
    "large": replace(BASE, width=1024, depth=24, heads=16, decoder_width=1024, decoder_depth=24, decoder_heads=16),
    # Ours: small enough for two CPU cores, with a schedule for hundreds of records.
    "tiny": replace(
        BASE,
        width=128,
        depth=4,
        heads=4,
        hidden=256,
        decoder_width=64,
        decoder_depth=2,
        decoder_heads=2,
        recipe=replace(RECIPE, epochs=100, batch_size=16, lr=1.6e-2, warmup_epochs=5, final_lr=0.0, checkpoint="best"),
    ),
}
