"""Configuration of ECG-JEPA. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace

from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
# In mV: no filter and no scaling.
SIGNAL = SignalSpec(fs=250.0, seconds=10.0, leads=LEADS, normalize="none", crop="start")
# Ours; the released evaluation is a linear probe.
RECIPE = Recipe(epochs=30, batch_size=64, lr=4e-4, warmup_epochs=3, weight_decay=0.05)


@dataclass(frozen=True)
class EcgJepaConfig:
    """ECG-JEPA.

    Args:
        patch: Samples per patch.
        width: D, a multiple of 4.
        depth: Blocks.
        heads: Attention heads.
        hidden: Width inside a block's feed-forward layer.
        signal: The input.
        recipe: The training.
    """

    patch: int = 50
    width: int = 768
    depth: int = 12
    heads: int = 16
    hidden: int = 3072
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        for name in ("patch", "width", "depth", "heads", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of heads {self.heads}")
        if self.signal.samples % self.patch:
            raise ValueError(f"patch {self.patch} must divide the input's {self.signal.samples} samples")
        if not set(self.signal.leads) <= set(LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of {', '.join(LEADS)}")

    @property
    def patches(self) -> int:
        """Number of patches per lead."""
        return self.signal.samples // self.patch


BASE = EcgJepaConfig()
# `tiny` is ours, for checks and for two CPU cores.
PRESETS = {"base": BASE, "tiny": replace(BASE, width=32, depth=2, heads=2, hidden=64)}
