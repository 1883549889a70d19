"""Settings of CLOCS: sizes, views, input and recipe. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

SIGNAL = SignalSpec(fs=500.0, seconds=10.0, normalize="lead-zscore")
# 1e-4 at the published batch of 256, without a schedule.
RECIPE = Recipe(
    epochs=100,
    batch_size=256,
    lr=1e-4,
    schedule="constant",
    warmup_epochs=0,
    weight_decay=0.0,
    optimizer="adam",
    betas=(0.9, 0.999),
    clip=None,
)


@dataclass(frozen=True)
class ClocsConfig:
    """Contrast over segments, leads and recordings of a patient.

    Args:
        width: D of an embedding.
        channels: Channels of the convolutions, which see one lead at a time.
        kernel: Samples that a convolution sees; odd.
        stride: Step of each convolution.
        compare: What is compared. ``segments`` (CMSC): the two halves of a recording. ``leads`` (CMLC): its leads.
            ``both`` (CMSMLC): the leads of both halves. With recordings of the same patient, in the same way.
        patient_pairs: Fill batches with pairs of recordings of one patient; recordings without a partner are then left
            out. False takes every recording.
        temperature: Divisor of the similarities.
        signal: The input.
        recipe: The training.
    """

    width: int = 128
    channels: tuple[int, ...] = (4, 16, 32)
    kernel: int = 7
    stride: int = 3
    compare: Literal["segments", "leads", "both"] = "segments"
    patient_pairs: bool = True
    temperature: float = 0.1
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if min(self.width, self.stride, self.kernel, *self.channels) < 1 or self.kernel % 2 == 0:
            raise ValueError("width, stride and channels must be at least 1, and kernel an odd number")
        if not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature:g} must be above 0")


CMSC = ClocsConfig()
# Ours: small enough for two CPU cores.
TINY = replace(
    CMSC,
    width=32,
    signal=replace(SIGNAL, fs=100.0),
    recipe=replace(RECIPE, epochs=20, batch_size=32, lr=1.6e-2),
)
PRESETS = {"cmsc": CMSC, "cmlc": replace(CMSC, compare="leads"), "cmsmlc": replace(CMSC, compare="both"), "tiny": TINY}
