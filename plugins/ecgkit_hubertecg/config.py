"""Configuration of HuBERT-ECG. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.leads import STANDARD_LEADS
from ecgkit.nn.wave_sizes import WaveSizes
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


@dataclass(frozen=True, kw_only=True)
class HubertEcgConfig(WaveSizes):
    """HuBERT-ECG.

    Args:
        factor: Factor by which the series of all leads is decimated.
        decimate: Whether the leads are decimated as one ``flattened`` series, as released, or each ``lead`` alone.
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
    padding: Literal["tile", "released"] = "tile"
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor < 1:
            raise ValueError(f"factor {self.factor} must be at least 1")
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
