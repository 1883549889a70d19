"""Settings of CPC with an S4 encoder: sizes, distance, negatives, input and recipe.

Numbers are those of the ECG-CPC of Al-Masud et al., arXiv 2509.25095, and its released code, unless marked as ours.
"""

import math
from dataclasses import dataclass, replace

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit_ssl.config import check_positive

# In mV: no filter and no scaling.
SIGNAL = SignalSpec(fs=240.0, seconds=10.0, normalize="none")
# Ours, but for the batch.
RECIPE = Recipe(epochs=100, batch_size=64, lr=4e-3, warmup_epochs=5, weight_decay=1e-3, betas=(0.9, 0.999))


@dataclass(frozen=True, kw_only=True)
class CpcConfig:
    """Contrastive predictive coding.

    Args:
        width: D of latents and contexts.
        stride: Samples per step.
        convolutions: Convolutions that make the latents; all but the first see one step.
        kernel: Samples that the first convolution sees; odd.
        depth: Causal S4 layers that make the contexts.
        states: State size of an S4 layer, even.
        dropout: Dropout of channels in the S4 layers.
        ahead: k, the distance in steps of the one step that is predicted.
        negatives: Wrong latents per prediction, from the same record.
        signal: The input.
        recipe: The training.
    """

    width: int = 512
    stride: int = 2
    convolutions: int = 4
    kernel: int = 3
    depth: int = 4
    states: int = 8
    dropout: float = 0.2
    ahead: int = 14
    negatives: int = 128
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        check_positive(self, "width", "stride", "convolutions", "kernel", "depth", "states", "ahead", "negatives")
        if self.kernel % 2 == 0 or self.states % 2:
            raise ValueError(f"kernel {self.kernel} must be odd, and states {self.states} even")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")
        if self.steps <= self.ahead:
            raise ValueError(f"ahead {self.ahead} must be below the {self.steps} steps of the input")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")

    @property
    def steps(self) -> int:
        """S, steps of an input of full length."""
        return math.ceil(self.signal.samples / self.stride)


S4 = CpcConfig()
# Ours: small enough for two CPU cores.
TINY = replace(
    S4,
    width=48,
    stride=8,
    kernel=15,
    convolutions=2,
    depth=2,
    dropout=0.0,
    ahead=6,
    negatives=32,
    signal=SignalSpec(fs=100.0, seconds=10.0, normalize="record-zscore"),
    recipe=replace(RECIPE, epochs=20, batch_size=32, lr=1.6e-2, warmup_epochs=2),
)
PRESETS = {"s4": S4, "tiny": TINY}
