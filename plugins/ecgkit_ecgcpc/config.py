"""Configuration of ECG-CPC. Numbers are the released configuration's unless marked as ours."""

from dataclasses import dataclass, replace

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

# In mV: no filter and no scaling.
SIGNAL = SignalSpec(fs=240.0, seconds=10.0, normalize="none", crop="start")
# Ours.
RECIPE = Recipe(epochs=30, batch_size=64, lr=4e-3, warmup_epochs=3, weight_decay=1e-3)


@dataclass(frozen=True)
class EcgCpcConfig:
    """ECG-CPC's encoder.

    Args:
        channels: Channels of the convolutions; the last is the width H of the S4 layers.
        kernels: Odd widths of the convolutions.
        strides: Their strides.
        depth: Number of S4 layers.
        states: State size N, even.
        reach: Longest series of tokens for which kernels are stored, even.
        dropout: Dropout of channels in the S4 layers.
        signal: The input.
        recipe: The training.
    """

    channels: tuple[int, ...] = (512, 512, 512, 512)
    kernels: tuple[int, ...] = (3, 1, 1, 1)
    strides: tuple[int, ...] = (2, 1, 1, 1)
    depth: int = 4
    states: int = 8
    reach: int = 1200
    dropout: float = 0.2
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if not len(self.channels) == len(self.kernels) == len(self.strides) > 0:
            raise ValueError("channels, kernels and strides must have one number per convolution")
        if min(*self.channels, *self.kernels, *self.strides, self.depth) < 1:
            raise ValueError("channels, kernels, strides and depth must be at least 1")
        if self.states < 2 or self.reach < 2 or self.states % 2 or self.reach % 2:
            raise ValueError(f"states {self.states} and reach {self.reach} must be even and at least 2")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")


BASE = EcgCpcConfig()
# `tiny` is ours, for checks and for two CPU cores.
PRESETS = {"base": BASE, "tiny": replace(BASE, channels=(16, 16, 16, 16), depth=2, states=4)}
