"""Configuration of LAMAE and of the methods that its paper compares it with.

The paper (arXiv 2603.26475) states no size, rate, mask ratio or recipe, and no code was published. A number is ours
unless a comment says that it is of MVMAE, the closest published code of the same group.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

SIGNAL = SignalSpec(
    fs=250.0,
    seconds=10.0,
    window=10.0,
    filter=Butterworth(low=0.67, high=40.0, order=5),
    filter_first=True,
    normalize="record-zscore",
)
RECIPE = Recipe(
    epochs=100,
    batch_size=1024,
    lr=1.5e-4,
    warmup_epochs=10,  # a tenth, as MVMAE
    weight_decay=0.05,
    betas=(0.9, 0.95),
    clip=1.0,  # MVMAE
    checkpoint="last",
)


@dataclass(frozen=True)
class Alignment:
    """MMVM's second loss: the leads' means of encoder tokens are pulled together (MVMAE).

    Args:
        kind: ``mse``, mean squared difference of unit vectors, or ``cosine``, minus their products.
        tokens: Tokens in the mean of a lead: its CLS, all its tokens, or all but the CLS.
        slope: Steepness s of the weight's rise over epochs; None for 9 / (epochs - warm-up), the curve of MVMAE's 0.02
            over 450 epochs.
    """

    kind: Literal["mse", "cosine"] = "mse"
    tokens: Literal["cls", "all", "all_but_cls"] = "all"
    slope: float | None = None


@dataclass(frozen=True)
class LamaeConfig:
    """LAMAE, or one of its baselines.

    Args:
        objective: ``reconstruct`` hides patches and rebuilds them; ``classify`` trains the encoder on a task's labels.
        patch: Length p of a patch in samples; 50 is 0.2 s at 250 Hz.
        width: D of encoder, latent attention and decoder (MVMAE tiny).
        depth: Blocks of the encoder (MVMAE tiny).
        heads: Attention heads (MVMAE tiny).
        mlp_ratio: Hidden width of a block over its width.
        latent_depth: Blocks of the latent attention; 0 leaves it out, so that no information passes between leads.
        decoder_depth: Blocks of the decoder.
        shared: One encoder and decoder for all leads, or one of each for every lead.
        mask_ratio: alpha_E, share of a lead's patches that the encoder does not see.
        latent_mask_ratio: alpha_LA, share of the encoder's tokens that the latent attention does not see.
        latent_mask: Hide single tokens, or all tokens of some leads.
        readout: Features of a record: CLS of the latent attention, mean of the encoder's tokens, or mean of the leads'
            CLS in the encoder.
        lead_embedding: Whether leads have embeddings; without them the leads are a set.
        encoder_cls: Whether each lead has a CLS of its own in the encoder.
        decoder_cls: Whether the decoder reads the CLS of the latent attention.
        qk_norm: Whether queries and keys are normed head by head (MVMAE has it).
        norm_patches: Whether target patches are standardised one by one; the paper rebuilds raw ones.
        reduction: ``mean`` over hidden samples; ``paper`` sums over a lead and divides by alpha_E, which is T times it.
        alignment: Loss that aligns the means of the leads; None for no such loss.
        classes: Labels of ``classify``; filled in from the task before training.
        signal: The input.
        recipe: The training.
    """

    objective: Literal["reconstruct", "classify"] = "reconstruct"
    patch: int = 50
    width: int = 192
    depth: int = 12
    heads: int = 3
    mlp_ratio: float = 4.0
    latent_depth: int = 4
    decoder_depth: int = 4
    shared: bool = True
    mask_ratio: float = 0.75
    latent_mask_ratio: float = 0.5
    latent_mask: Literal["token", "lead"] = "token"
    readout: Literal["la_cls", "enc_mean", "enc_cls"] = "la_cls"
    lead_embedding: bool = False
    encoder_cls: bool = False
    decoder_cls: bool = True
    qk_norm: bool = False
    norm_patches: bool = False
    reduction: Literal["mean", "paper"] = "mean"
    alignment: Alignment | None = None
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "decoder_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        rules = {
            f"width {self.width} must be a multiple of heads {self.heads}": self.width % self.heads == 0,
            f"latent_depth {self.latent_depth} must not be negative": self.latent_depth >= 0,
            f"mlp_ratio {self.mlp_ratio:g} must be above 0 and finite": 0 < self.mlp_ratio < math.inf,
            f"patch {self.patch} must divide the input's {self.signal.samples} samples": self.patch >= 1
            and self.signal.samples % self.patch == 0,
            f"mask_ratio {self.mask_ratio} must lie between 0 and 1": 0 < self.mask_ratio < 1,
            f"mask_ratio {self.mask_ratio} must leave a patch of {self.patches}": int(
                self.patches * (1 - self.mask_ratio)
            )
            >= 1,
            f"latent_mask_ratio {self.latent_mask_ratio} must be 0 or more and below 1": 0
            <= self.latent_mask_ratio
            < 1,
            f"readout {self.readout} needs latent_depth above 0": self.readout != "la_cls" or self.latent_depth > 0,
            f"readout {self.readout} needs encoder_cls": self.readout != "enc_cls" or self.encoder_cls,
            "alignment of cls needs encoder_cls": self.alignment is None
            or self.alignment.tokens != "cls"
            or self.encoder_cls,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(broken[0])

    @property
    def patches(self) -> int:
        """Number N of patches per lead."""
        return self.signal.samples // max(self.patch, 1)


BASE = LamaeConfig()
# Small enough for two CPU cores, with a schedule for hundreds of records.
TINY = replace(
    BASE,
    width=64,
    depth=3,
    heads=2,
    latent_depth=2,
    decoder_depth=1,
    recipe=replace(RECIPE, epochs=60, batch_size=16, lr=1.6e-2, warmup_epochs=3),
)
# What each column of the paper's tables is, as far as it can be told; the paper gives names alone.
METHODS: dict[str, dict[str, object]] = {
    "ind-shared": {"latent_depth": 0, "readout": "enc_mean"},
    "ind-separate": {"latent_depth": 0, "readout": "enc_mean", "shared": False},
    "mmvm": {
        "latent_depth": 0,
        "readout": "enc_cls",
        "encoder_cls": True,
        "lead_embedding": True,
        "qk_norm": True,
        "alignment": Alignment(),
    },
    "scratch": {"objective": "classify"},
}
PRESETS: dict[str, LamaeConfig] = {
    "base": BASE,
    "tiny": TINY,
    **{name: replace(BASE, **changes) for name, changes in METHODS.items()},  # type: ignore[arg-type]
    **{f"{name}-tiny": replace(TINY, **changes) for name, changes in METHODS.items()},  # type: ignore[arg-type]
}
