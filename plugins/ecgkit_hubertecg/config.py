"""Configuration of HuBERT-ECG. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.published_filters import FirBand
from ecgkit.signal.spec import SignalSpec

# Filtered at the record's own rate, each lead scaled to [-1, 1] over the record, then 5 s. The authors crop; here both
# halves of 10 s are used, and features are their mean (ours).
SIGNAL = SignalSpec(
    fs=500.0,
    seconds=5.0,
    filter=FirBand(low=0.05, high=47.0, duration=0.3),
    filter_at="record",
    normalize="lead-symmetric-low",
    normalize_window=True,
    eval_starts=(0.0, 5.0),
)
# The rate of the released fine-tuning; epochs and batch are ours.
RECIPE = Recipe(epochs=20, batch_size=64, lr=4e-5, warmup_epochs=1, weight_decay=0.01, betas=(0.9, 0.98), eps=1e-9)


@dataclass(frozen=True)
class HubertEcgConfig:
    """HuBERT-ECG.

    Args:
        factor: Factor by which the series of all leads is decimated.
        decimate: Whether the leads are decimated as one ``flattened`` series, as released, or each ``lead`` alone.
        channels: Channels of the convolutions.
        kernels: Widths of the convolutions.
        strides: Their strides.
        width: D.
        depth: Transformer blocks.
        heads: Attention heads.
        hidden: Width inside a block's feed-forward layer.
        taps: Width of the positional convolution.
        groups: Its groups.
        padding: What becomes of a record that ends early: ``tile`` repeats it; ``released`` leaves the last tokens of
            the series out, which belong to the last leads and not to the padding.
        classes: Names of the classes of its classifier; empty for no classifier.
        signal: The input.
        recipe: The training.
    """

    factor: int = 5
    decimate: Literal["flattened", "lead"] = "flattened"
    channels: int = 512
    kernels: tuple[int, ...] = (10, 3, 3, 2, 2)
    strides: tuple[int, ...] = (4, 2, 2, 2, 2)
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    taps: int = 128
    groups: int = 16
    padding: Literal["tile", "released"] = "tile"
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        for name in ("factor", "channels", "width", "depth", "heads", "hidden", "taps", "groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads or self.width % self.groups:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads} and groups {self.groups}")
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"kernels {self.kernels} and strides {self.strides} must have one number per convolution")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")


BASE = HubertEcgConfig()
PRESETS = {
    "small": replace(BASE, width=512, depth=8, heads=8, hidden=2048),
    "base": BASE,
    "large": replace(BASE, width=960, depth=16, heads=12, hidden=3840),
    # Ours, for checks and for two CPU cores.
    "tiny": replace(BASE, channels=16, width=32, depth=2, heads=2, hidden=64, taps=16, groups=4),
}
HEADS = {(config.width, config.depth): config.heads for config in PRESETS.values()}
