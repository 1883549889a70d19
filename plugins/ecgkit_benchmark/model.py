"""The benchmarks' encoders: a trunk over all leads, pooling over time, and the classifier if there is one.

``[B, L, T] -> [B, D]``. Leads that are not given are rows of zeros; samples after the end count as zeros.
"""

from typing import ClassVar

from torch import Tensor, nn

from ecgkit.methods import Encoder, EncoderOnly, Features
from ecgkit.nn.inception import EVERY, Inception1d
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.s4 import S4Stack
from ecgkit.nn.xresnet import PoolingHead, XResNet1d, concat_pool
from ecgkit_benchmark.config import InceptionConfig, S4Config, XResNetConfig


class ConvolutionalEncoder(Encoder):
    """A convolutional trunk and a pooling head.

    Args:
        config: Sizes of the head, classes and input.
        trunk: ``[B, rows, T] -> [B, channels, N]``.
        channels: Channels of the trunk.
        both: Whether a record is the maximum and the mean over time, or the mean alone.
    """

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"

    def __init__(self, config: XResNetConfig | InceptionConfig, trunk: nn.Module, channels: int, *, both: bool) -> None:
        super().__init__()
        self.rows = LeadRows(config.signal)
        self.trunk = trunk
        self.both = both
        self.width = 2 * channels if both else channels
        self.classes = config.classes
        C = len(config.classes)
        self.head = PoolingHead(self.width, config.hidden, C, config.dropout) if C else None

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        found = self.trunk(self.rows(signal, lead_ids))  # (B, C, N)
        pooled = concat_pool(found) if self.both else found.mean(dim=-1)
        return Features(pooled, tokens=found.mT, logits=None if self.head is None else self.head(pooled))


class XResNetEncoder(ConvolutionalEncoder):
    """XResNet1d as an encoder."""

    trunk: XResNet1d

    def __init__(self, config: XResNetConfig) -> None:
        trunk = XResNet1d(
            leads=len(config.signal.leads),
            layers=config.layers,
            widths=config.widths,
            stem=config.stem,
            kernel=config.kernel,
            stem_kernel=config.stem_kernel,
        )
        super().__init__(config, trunk, trunk.channels, both=config.pooling == "max-mean")

    def stages(self) -> list[list[nn.Module]]:
        """Return the residual blocks; see `Encoder.stages`."""
        return [*([block] for stage in self.trunk.stages for block in stage.children()), []]


class InceptionEncoder(ConvolutionalEncoder):
    """Inception1d as an encoder."""

    def __init__(self, config: InceptionConfig) -> None:
        trunk = Inception1d(
            leads=len(config.signal.leads),
            depth=config.depth,
            filters=config.filters,
            bottleneck=config.bottleneck,
            kernels=config.kernels,
        )
        super().__init__(config, trunk, trunk.channels, both=True)

    def stages(self) -> list[list[nn.Module]]:
        """Return the blocks, each with the residual connection that ends there; see `Encoder.stages`."""
        trunk = self.trunk
        assert isinstance(trunk, Inception1d)
        ends = {EVERY * (i + 1) - 1: shortcut for i, shortcut in enumerate(trunk.shortcuts)}
        return [*([block, *([ends[i]] if i in ends else [])] for i, block in enumerate(trunk.blocks)), []]


class S4Encoder(Encoder):
    """S4 as an encoder; features are the mean over time."""

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"

    def __init__(self, config: S4Config) -> None:
        super().__init__()
        self.rows = LeadRows(config.signal)
        self.limit = config.limit
        self.width = config.width
        self.classes = config.classes
        self.embed = nn.Conv1d(len(config.signal.leads), config.width, 1)
        self.trunk = S4Stack(
            width=config.width,
            depth=config.depth,
            states=config.states,
            reach=config.reach,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
            norm=config.norm,
        )
        self.head = nn.Linear(config.width, len(config.classes)) if config.classes else None

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers; see `Encoder.stages`."""
        return [*([layer] for layer in self.trunk.layers), []]

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        x = self.rows(signal.clamp(-self.limit, self.limit), lead_ids)
        found = self.trunk(self.embed(x))  # (B, H, T)
        pooled = found.mean(dim=-1)
        return Features(pooled, tokens=found.mT, logits=None if self.head is None else self.head(pooled))


class XResNet(EncoderOnly):
    """XResNet1d as a method."""

    def __init__(self, config: XResNetConfig) -> None:
        super().__init__(config, XResNetEncoder(config))


class Ked(XResNet):
    """KED's encoder as a method."""


class Inception(EncoderOnly):
    """Inception1d as a method."""

    def __init__(self, config: InceptionConfig) -> None:
        super().__init__(config, InceptionEncoder(config))


class S4(EncoderOnly):
    """S4 as a method."""

    def __init__(self, config: S4Config) -> None:
        super().__init__(config, S4Encoder(config))
