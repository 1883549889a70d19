"""Settings of CRT. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit_ssl.config import check_positive

SIGNAL = SignalSpec(fs=500.0, seconds=10.0, normalize="record-zscore")
# The released code halves the rate when the loss stands still; here it falls with half a cosine (ours).
RECIPE = Recipe(epochs=100, batch_size=128, lr=1e-3, warmup_epochs=0, weight_decay=0.0, optimizer="adam", clip=None)
QUARTERS = 4  # a patch count is a multiple of it: half time, a quarter magnitude, a quarter phase


@dataclass(frozen=True, kw_only=True)
class CrtConfig:
    """A cross-reconstruction transformer.

    Args:
        patch: Samples per patch of time, and bins per patch of the spectrum; it divides half the input.
        width: D, a multiple of 8.
        depth: Blocks of the encoder.
        decoder_depth: Blocks of the decoder.
        heads: Attention heads.
        head_width: Width of a head.
        hidden: Width inside the feed-forward layers.
        dropout: Dropout in the blocks.
        hide: Range of the share of patches that is hidden: it grows with the training.
        discrimination: Weight of the loss that keeps patches apart.
        signal: The input.
        recipe: The training.
    """

    patch: int = 20
    width: int = 128
    depth: int = 6
    decoder_depth: int = 2
    heads: int = 8
    head_width: int = 64
    hidden: int = 128
    dropout: float = 0.2
    hide: tuple[float, float] = (0.3, 0.8)
    discrimination: float = 1e-4
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        check_positive(self, "patch", "width", "depth", "decoder_depth", "heads", "head_width", "hidden")
        if self.width % 8:
            raise ValueError(f"width {self.width} must be a multiple of 8")
        if self.signal.samples % (2 * self.patch):
            raise ValueError(f"patch {self.patch} must divide half of the input's {self.signal.samples} samples")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout:g} must be at least 0 and below 1")
        if not 0 < self.hide[0] <= self.hide[1] < 1:
            raise ValueError(f"hide {self.hide} must be two ascending shares between 0 and 1")
        if self.discrimination < 0:
            raise ValueError(f"discrimination {self.discrimination:g} must be 0 or more")
        if not set(self.signal.leads) <= set(STANDARD_LEADS):
            raise ValueError(f"leads {self.signal.leads} must be some of the standard twelve")

    @property
    def patches(self) -> tuple[int, int, int]:
        """Number of patches of time, of magnitude and of phase."""
        time = self.signal.samples // self.patch
        return time, time // 2, time // 2


CRT = CrtConfig()
PRESETS = {
    "base": CRT,
    # Ours: small enough for two CPU cores.
    "tiny": replace(
        CRT,
        width=32,
        depth=2,
        decoder_depth=1,
        heads=2,
        head_width=16,
        hidden=64,
        signal=replace(SIGNAL, fs=100.0),
        recipe=replace(RECIPE, epochs=20, batch_size=32, lr=2e-3),
    ),
}
