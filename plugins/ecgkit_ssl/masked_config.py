"""Settings of JEPA, data2vec and DinoSR: sizes, masks, teacher, input and recipe.

Numbers are the released code's, JEPA's for ECGs (Weimann and Conrad) and data2vec's for speech, unless marked as ours.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit_ssl.config import check_momentum, check_positive

SIGNAL = SignalSpec(fs=500.0, seconds=10.0, normalize="record-zscore")
# 1e-3 at the published batch of 2048, over 100,000 steps.
RECIPE = Recipe(
    epochs=100,
    batch_size=256,
    lr=1e-3 * 256 / 2048,
    final_lr=1e-6,
    warmup_epochs=10,
    weight_decay=0.01,
    final_weight_decay=0.1,
    betas=(0.9, 0.99),
    clip=None,
    checkpoint="last",  # the target moves, so losses of different epochs cannot be compared
)


@dataclass(frozen=True, kw_only=True)
class TokenConfig:
    """A vision transformer over time with a teacher.

    Args:
        width: D of the encoder.
        depth: Blocks of the encoder.
        heads: Attention heads.
        hidden: Width inside the feed-forward layers of the encoder.
        patch: Samples per token; a token holds this stretch of all leads.
        momentum: The teacher's momentum at the start and at the end.
        signal: The input.
        recipe: The training.
    """

    width: int = 384
    depth: int = 8
    heads: int = 6
    hidden: int = 1536
    patch: int = 25
    momentum: tuple[float, float] = (0.998, 0.9995)
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        check_positive(self, "width", "depth", "heads", "hidden", "patch")
        check_momentum(self.momentum)
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.tokens < 2:
            raise ValueError(
                f"an input of {self.signal.samples} samples gives {self.tokens} tokens; at least 2 are needed"
            )
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")

    @property
    def tokens(self) -> int:
        """N, tokens of an input of full length."""
        return math.ceil(self.signal.samples / self.patch)


@dataclass(frozen=True, kw_only=True)
class JepaConfig(TokenConfig):
    """A joint-embedding predictive architecture.

    Args:
        predictor_width: Width of the predictor.
        predictor_depth: Blocks of the predictor.
        keep: Range of the share of tokens that the student sees.
        shortest: Fewest tokens in a block that is hidden.
        loss: ``l1``, or ``smooth_l1`` as in image work.
        normalize_targets: Layer norm without weights on the teacher's tokens, as in image work.
    """

    predictor_width: int = 192
    predictor_depth: int = 4
    keep: tuple[float, float] = (0.15, 0.25)
    shortest: int = 10
    loss: Literal["l1", "smooth_l1"] = "l1"
    normalize_targets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predictor_width % self.heads:
            raise ValueError(f"predictor_width {self.predictor_width} must be a multiple of heads {self.heads}")
        if not 0 < self.keep[0] <= self.keep[1] < 1:
            raise ValueError(f"keep {self.keep} must be two ascending shares between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class SpanConfig(TokenConfig):
    """A student that predicts the teacher's last blocks where spans of its tokens are masked.

    Args:
        layers: K, last blocks of the teacher that are predicted.
        span: Tokens per masked stretch.
        start: Probability that a stretch begins at a token.
        anneal_steps: Optimiser steps over which the momentum rises.
    """

    depth: int = 12
    layers: int = 8
    span: int = 10
    start: float = 0.065
    momentum: tuple[float, float] = (0.999, 0.9999)
    anneal_steps: int = 30_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "layers", "span", "start", "anneal_steps")
        if self.layers > self.depth:
            raise ValueError(f"layers {self.layers} must be at most depth {self.depth}")
        if self.start > 1:
            raise ValueError(f"start {self.start:g} must be at most 1")


@dataclass(frozen=True, kw_only=True)
class Data2VecConfig(SpanConfig):
    """data2vec.

    Args:
        norm: Normalisation of each layer of the teacher: ``instance`` over tokens, ``layer`` over channels, ``none``.
        norm_targets: Layer norm without weights on the mean of the layers.
        beta: Where the loss goes over from a square to a line; 0 for a square.
    """

    norm: Literal["instance", "layer", "none"] = "instance"
    norm_targets: bool = False
    beta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta < 0:
            raise ValueError(f"beta {self.beta:g} must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class DinoSrConfig(SpanConfig):
    """DinoSR; K, V and the temperature are those of a study on ECGs (arXiv 2605.12241).

    Args:
        codes: V, codes per layer.
        code_momentum: Share of a code's sums that stays in a step.
        temperature: Divisor of the logits.
    """

    layers: int = 2
    codes: int = 256
    code_momentum: float = 0.9
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "codes", "temperature")
        if not 0 <= self.code_momentum < 1:
            raise ValueError(f"code_momentum {self.code_momentum:g} must be at least 0 and below 1")


JEPA = JepaConfig()
DATA2VEC = Data2VecConfig(recipe=replace(RECIPE, final_weight_decay=None, betas=(0.9, 0.98)))
DINOSR = DinoSrConfig(recipe=DATA2VEC.recipe)
# Ours: small enough for two CPU cores.
TINY_SIGNAL = replace(SIGNAL, fs=100.0)
TINY_RECIPE = replace(RECIPE, epochs=20, batch_size=32, lr=8e-3, warmup_epochs=2)
JEPA_PRESETS = {
    "small": JEPA,
    "tiny": replace(
        JEPA,
        width=48,
        depth=2,
        heads=3,
        hidden=96,
        patch=20,
        predictor_width=24,
        predictor_depth=1,
        shortest=4,
        momentum=(0.99, 1.0),
        signal=TINY_SIGNAL,
        recipe=TINY_RECIPE,
    ),
}
TINY_SPANS: dict[str, Any] = {
    "width": 48,
    "depth": 2,
    "heads": 3,
    "hidden": 96,
    "patch": 20,
    "layers": 2,
    "span": 5,
    "start": 0.12,
    "momentum": (0.99, 0.999),
    "anneal_steps": 300,
    "signal": TINY_SIGNAL,
    "recipe": replace(TINY_RECIPE, final_weight_decay=None, betas=(0.9, 0.98)),
}
DATA2VEC_PRESETS = {"small": DATA2VEC, "tiny": replace(DATA2VEC, **TINY_SPANS)}
DINOSR_PRESETS = {"small": DINOSR, "tiny": replace(DINOSR, codes=32, **TINY_SPANS)}
