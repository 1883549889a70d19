"""Sizes of an encoder after wav2vec 2.0: convolutions, then transformer blocks. It imports no torch, as configs do."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WaveSizes:
    """Sizes of the parts in `ecgkit.nn.wave`, and of the blocks behind them.

    Args:
        channels: Channels of the convolutions.
        kernels: Widths of the convolutions.
        strides: Their strides.
        width: D.
        depth: Transformer blocks.
        heads: Attention heads.
        hidden: Width inside a block's feed-forward layer.
        taps: Width of the positional convolution.
        groups: Its groups.
    """

    channels: int
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    taps: int = 128
    groups: int = 16

    def __post_init__(self) -> None:
        for name in ("channels", "width", "depth", "heads", "hidden", "taps", "groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads or self.width % self.groups:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads} and groups {self.groups}")
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"kernels {self.kernels} and strides {self.strides} must have one number per convolution")
        if min(*self.kernels, *self.strides) < 1:
            raise ValueError(f"kernels {self.kernels} and strides {self.strides} must be at least 1")
