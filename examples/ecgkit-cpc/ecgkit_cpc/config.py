"""Settings of CPC: sizes, input and recipe. The sizes are ours."""

from dataclasses import dataclass, replace

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

SIGNAL = SignalSpec(fs=100.0, seconds=10.0, normalize="lead-zscore")
RECIPE = Recipe(epochs=100, batch_size=64, lr=2e-3, warmup_epochs=5)


@dataclass(frozen=True)
class CpcConfig:
    """Contrastive predictive coding.

    Args:
        width: D, channels of every convolution and of the GRU.
        convolutions: Number of convolutions, each of kernel 4 and stride 2; 4 make a step of 16 samples.
        layers: Layers of the GRU.
        ahead: Distances, in steps, of the predicted steps. A step sees a few samples of its neighbours, so predicting
            the nearest steps would be too easy.
        signal: The input.
        recipe: The training.
    """

    width: int = 256
    convolutions: int = 4
    layers: int = 2
    ahead: tuple[int, ...] = (3, 6, 9, 12)
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if min(self.width, self.convolutions, self.layers) < 1:
            raise ValueError("width, convolutions and layers must be at least 1")
        if not self.ahead or min(self.ahead) < 1 or len(set(self.ahead)) < len(self.ahead):
            raise ValueError(f"ahead {self.ahead} must be different numbers from 1 on")
        if self.steps(self.signal.samples) <= max(self.ahead):
            raise ValueError(
                f"ahead {self.ahead} must lie within the {self.steps(self.signal.samples)} steps of the input"
            )
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")

    @property
    def hop(self) -> int:
        """Number of samples per step."""
        return int(2**self.convolutions)

    def steps(self, samples: int) -> int:
        """Return the steps n of so many samples."""
        return samples // self.hop


BASE = CpcConfig()
# Small enough for two CPU cores, with a schedule for hundreds of records.
TINY = replace(
    BASE, width=64, layers=1, recipe=replace(BASE.recipe, epochs=30, batch_size=16, lr=3.2e-2, warmup_epochs=2)
)
PRESETS = {"base": BASE, "tiny": TINY}
