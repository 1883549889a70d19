"""Configurations of the benchmarks' encoders. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

# Windows of 2.5 s, every 1.25 s. The published scaling is one mean and deviation of all training records, which is no
# part of a weights file: each window is scaled here (ours).
SIGNAL = SignalSpec(fs=100.0, seconds=2.5, eval_starts=tuple(1.25 * i for i in range(7)), normalize="record-zscore")
# Rows as MIMIC-IV-ECG's files have them, aVF before aVL: KED was trained on these. A gap is 0.
KED_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
KED_SIGNAL = SignalSpec(fs=100.0, seconds=10.0, leads=KED_LEADS, normalize="none", repair="zero", crop="start")
# Windows of 2.5 s side by side, in mV.
S4_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")
S4_SIGNAL = SignalSpec(
    fs=100.0, seconds=2.5, leads=S4_LEADS, eval_starts=(0.0, 2.5, 5.0, 7.5), normalize="none", resample="poly"
)
# One cycle to 0.01 at a batch of 128.
RECIPE = Recipe(epochs=50, batch_size=128, lr=2e-2, warmup_epochs=15, weight_decay=0.01, betas=(0.95, 0.99), clip=None)
S4_RECIPE = Recipe(
    epochs=20, batch_size=32, lr=8e-3, warmup_epochs=0, weight_decay=1e-3, schedule="constant", clip=None
)


def _check_leads(signal: SignalSpec) -> None:
    if not set(signal.leads) <= set(STANDARD_LEADS):
        raise ValueError(f"leads {signal.leads} must be some of the standard twelve")


@dataclass(frozen=True)
class XResNetConfig:
    """XResNet1d.

    Args:
        layers: Blocks per stage.
        widths: Channels inside the blocks of each stage; four times as many come out.
        stem: Channels of the three convolutions of the stem.
        kernel: Width of the middle convolution of a block.
        stem_kernel: Width of the convolutions of the stem.
        pooling: Representation of a record: ``max-mean``, the maximum and the mean over time, or ``mean`` alone.
        hidden: Widths of the hidden layers of the classifier.
        dropout: Dropout before the classifier's last layer.
        classes: Names of the classes of its classifier; empty for no classifier.
        signal: The input.
        recipe: The training.
    """

    layers: tuple[int, ...] = (3, 4, 23, 3)
    widths: tuple[int, ...] = (64, 64, 64, 64)
    stem: tuple[int, ...] = (32, 32, 64)
    kernel: int = 5
    stem_kernel: int = 5
    pooling: Literal["max-mean", "mean"] = "max-mean"
    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.5
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        _check_leads(self.signal)
        if min(*self.layers, *self.widths, *self.stem, self.kernel, self.stem_kernel, *self.hidden, 1) < 1:
            raise ValueError("layers, widths, stem, kernels and hidden must be at least 1")
        if len(self.layers) != len(self.widths):
            raise ValueError(f"layers {self.layers} and widths {self.widths} must have one number per stage")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")


@dataclass(frozen=True)
class InceptionConfig:
    """Inception1d.

    Args:
        depth: Number of blocks; after every third there is a residual connection.
        filters: Channels of each of a block's branches.
        bottleneck: Channels that the wide convolutions read.
        kernels: Odd widths of the convolutions.
        hidden: Widths of the hidden layers of the classifier.
        dropout: Dropout before the classifier's last layer.
        classes: Names of the classes of its classifier; empty for no classifier.
        signal: The input.
        recipe: The training.
    """

    depth: int = 6
    filters: int = 32
    bottleneck: int = 32
    kernels: tuple[int, ...] = (39, 19, 9)
    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.5
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        _check_leads(self.signal)
        if min(self.depth, self.filters, self.bottleneck, *self.kernels, *self.hidden) < 1:
            raise ValueError("depth, filters, bottleneck, kernels and hidden must be at least 1")
        if not all(kernel % 2 for kernel in self.kernels):
            raise ValueError(f"kernels {self.kernels} must be odd")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")


@dataclass(frozen=True)
class S4Config:
    """S4.

    Args:
        width: Channels H.
        depth: Number of layers.
        states: State size N, even.
        reach: Longest input in samples for which kernels are stored, even. Longer ones cost more.
        bidirectional: Whether layers also look ahead.
        dropout: Dropout of channels.
        norm: ``layer``; ``batch``; or ``batch-alone``, the released code's BatchNorm, which has no residual.
        limit: Amplitude in mV at which the input is clipped.
        classes: Names of the classes of its classifier; empty for no classifier.
        signal: The input.
        recipe: The training.
    """

    width: int = 512
    depth: int = 4
    states: int = 8
    reach: int = 250
    bidirectional: bool = True
    dropout: float = 0.2
    norm: Literal["layer", "batch", "batch-alone"] = "layer"
    limit: float = 3.0
    classes: tuple[str, ...] = ()
    signal: SignalSpec = S4_SIGNAL
    recipe: Recipe = S4_RECIPE

    def __post_init__(self) -> None:
        _check_leads(self.signal)
        if min(self.width, self.depth, self.states, self.reach) < 1 or self.states % 2 or self.reach % 2:
            raise ValueError("width and depth must be at least 1, states and reach even and at least 2")
        if not 0 <= self.dropout < 1 or not self.limit > 0:
            raise ValueError("dropout must be at least 0 and below 1, and limit above 0")


XRESNET = XResNetConfig()
KED = XResNetConfig(widths=(64, 128, 128, 192), pooling="mean", hidden=(), signal=KED_SIGNAL)
INCEPTION = InceptionConfig()
S4 = S4Config()
# `tiny` is ours, for checks and for two CPU cores. `mimic` has the windows and the head of ECG-MIMIC.
SMALL = {"layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "stem": (8, 8, 16), "hidden": (8,)}
XRESNET_PRESETS = {
    "ptb-xl": XRESNET,
    "mimic": replace(XRESNET, hidden=(), signal=replace(SIGNAL, eval_starts=(0.0, 2.5, 5.0, 7.5))),
    "tiny": replace(XRESNET, **SMALL),  # type: ignore[arg-type]
}
KED_PRESETS = {"base": KED, "tiny": replace(KED, **{**SMALL, "hidden": ()})}  # type: ignore[arg-type]
INCEPTION_PRESETS = {
    "ptb-xl": INCEPTION,
    "tiny": replace(INCEPTION, depth=3, filters=4, bottleneck=4, kernels=(9, 5, 3), hidden=(8,)),
}
S4_PRESETS = {"mimic": S4, "tiny": replace(S4, width=16, depth=2, states=4)}
