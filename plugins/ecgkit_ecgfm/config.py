"""Configuration of ECG-FM. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace

from ecgkit.leads import STANDARD_LEADS
from ecgkit.nn.wave_sizes import WaveSizes
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

# Each lead standardised over the record, then segments of 5 s side by side; features are their mean (ours).
SIGNAL = SignalSpec(
    fs=500.0,
    seconds=5.0,
    normalize="lead-zscore",
    normalize_window=True,
    eval_starts=(0.0, 5.0),
    resample="linear",
)
# The recipe of the released fine-tuning.
RECIPE = Recipe(
    epochs=140,
    batch_size=256,
    lr=1e-6,
    warmup_epochs=0,
    weight_decay=0.01,
    betas=(0.9, 0.98),
    eps=1e-6,
    schedule="constant",
    optimizer="adam",
    clip=None,
)


@dataclass(frozen=True, kw_only=True)
class EcgFmConfig(WaveSizes):
    """ECG-FM.

    Args:
        norm_first: Whether norms stand in front of attention and feed-forward layer, which no released model does.
        classes: Names of the classes of its classifier; empty for no classifier.
        signal: The input.
        recipe: The training.
    """

    channels: int = 256
    kernels: tuple[int, ...] = (2, 2, 2, 2)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    norm_first: bool = False
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")


BASE = EcgFmConfig()
PRESETS = {
    "base": BASE,
    # Ours, for checks and for two CPU cores.
    "tiny": replace(BASE, channels=16, width=32, depth=2, heads=2, hidden=64, taps=16, groups=4),
}
