"""Configuration of ECGFounder. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from importlib.resources import files

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.published_filters import NotchBandMedian
from ecgkit.signal.spec import SignalSpec

FILTER = NotchBandMedian(
    notch=50.0, quality=30.0, band=Butterworth(low=0.67, high=40.0, order=4, form="ba"), median=201 / 500
)
# Gaps are 0 before the filter; one mean and deviation over all leads and samples.
SIGNAL = SignalSpec(
    fs=500.0, seconds=10.0, filter=FILTER, normalize="record-zscore", crop="start", repair="zero", resample="linear"
)
# The recipe of the released fine-tuning.
RECIPE = Recipe(
    epochs=5, batch_size=256, lr=1e-4, warmup_epochs=0, weight_decay=1e-5, schedule="constant", optimizer="adam"
)
CLASSES = tuple(files("ecgkit_ecgfounder").joinpath("classes.txt").read_text(encoding="utf-8").splitlines())


@dataclass(frozen=True)
class EcgFounderConfig:
    """ECGFounder.

    Args:
        stem: Channels of the first convolution.
        widths: Channels of each stage, multiples of `group`.
        layers: Blocks of each stage.
        kernel: Width of the convolutions over time.
        group: Channels per group of the grouped convolutions.
        classes: Names of the classes of its classifier; empty for no classifier.
        stretch: Whether a record that is shorter than the input is stretched to its whole length, as in the released
            script for PTB-XL, instead of being padded with zeros.
        signal: The input.
        recipe: The training.
    """

    stem: int = 64
    widths: tuple[int, ...] = (64, 160, 160, 400, 400, 1024, 1024)
    layers: tuple[int, ...] = (2, 2, 2, 3, 3, 4, 4)
    kernel: int = 16
    group: int = 16
    classes: tuple[str, ...] = CLASSES
    stretch: bool = False
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if min(self.stem, self.kernel, self.group, *self.widths, *self.layers) < 1:
            raise ValueError("stem, kernel, group, widths and layers must be at least 1")
        if len(self.widths) != len(self.layers):
            raise ValueError(f"widths {self.widths} and layers {self.layers} must have one number per stage")
        if any(width % self.group or width % 2 for width in self.widths):
            raise ValueError(f"widths {self.widths} must be even multiples of group {self.group}")
        if any(a > b for a, b in zip((self.stem, *self.widths), self.widths, strict=False)):
            raise ValueError(f"widths {self.widths} must not fall, and not begin below stem {self.stem}")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")


FULL = EcgFounderConfig()
PRESETS = {
    "12-lead": FULL,
    "1-lead": replace(FULL, signal=replace(SIGNAL, leads=("I",))),
    # The input of the released script for PTB-XL: no filter, and any record becomes 5000 samples.
    "unfiltered": replace(FULL, stretch=True, signal=replace(SIGNAL, filter=None)),
    # Ours, for checks and for two CPU cores.
    "tiny": replace(FULL, stem=16, widths=(16, 32, 64, 64), layers=(1, 1, 1, 1), classes=()),
}
