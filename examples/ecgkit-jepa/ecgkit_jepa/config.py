"""Settings of JEPA: sizes, masks, teacher, input and recipe. Numbers are the released code's unless marked as ours."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

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


@dataclass(frozen=True)
class JepaConfig:
    """A joint-embedding predictive architecture.

    Args:
        width: D of the encoder.
        depth: Blocks of the encoder.
        heads: Attention heads of encoder and predictor.
        hidden: Width inside the feed-forward layers of the encoder.
        patch: Samples per token; a token holds this stretch of all leads.
        predictor_width: Width of the predictor.
        predictor_depth: Blocks of the predictor.
        keep: Range of the share of tokens that the student sees.
        shortest: Fewest tokens in a block that is hidden.
        momentum: The teacher's momentum at the start and at the end of training.
        loss: ``l1``, or ``smooth_l1`` as in image work.
        normalize_targets: Layer norm without weights on the teacher's tokens, as in image work.
        signal: The input.
        recipe: The training.
    """

    width: int = 384
    depth: int = 8
    heads: int = 6
    hidden: int = 1536
    patch: int = 25
    predictor_width: int = 192
    predictor_depth: int = 4
    keep: tuple[float, float] = (0.15, 0.25)
    shortest: int = 10
    momentum: tuple[float, float] = (0.998, 0.9995)
    loss: Literal["l1", "smooth_l1"] = "l1"
    normalize_targets: bool = False
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if self.width % self.heads or self.predictor_width % self.heads:
            raise ValueError(
                f"width {self.width} and predictor_width {self.predictor_width} must be multiples of heads"
            )
        if not 0 < self.keep[0] <= self.keep[1] < 1:
            raise ValueError(f"keep {self.keep} must be two ascending shares between 0 and 1")
        if not all(0 <= m <= 1 for m in self.momentum):
            raise ValueError(f"momentum {self.momentum} must lie between 0 and 1")
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


SMALL = JepaConfig()
# Ours: small enough for two CPU cores.
TINY = replace(
    SMALL,
    width=48,
    depth=2,
    heads=3,
    hidden=96,
    patch=20,
    predictor_width=24,
    predictor_depth=1,
    shortest=4,
    momentum=(0.99, 1.0),
    signal=replace(SIGNAL, fs=100.0),
    recipe=replace(RECIPE, epochs=20, batch_size=32, lr=8e-3, warmup_epochs=2),
)
PRESETS = {"small": SMALL, "tiny": TINY}
