"""ECGFounder: Net1D and a linear classifier. ``[B, L, T] -> [B, 1024]`` and 150 logits.

The released classes of the model also hold BatchNorm layers, which the released configuration never applies: they are
no part of this network.
"""

from typing import ClassVar

from torch import Tensor, nn

from ecgkit.methods import Encoder, EncoderOnly, Features
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.net1d import Net1d
from ecgkit_ecgfounder.config import EcgFounderConfig


class EcgFounderEncoder(Encoder):
    """Features are the mean of the last map over time."""

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"  # a shorter record is padded and counted, as published

    def __init__(self, config: EcgFounderConfig) -> None:
        super().__init__()
        self.rows = LeadRows(config.signal)
        self.trunk = Net1d(
            leads=len(config.signal.leads),
            stem=config.stem,
            widths=config.widths,
            layers=config.layers,
            kernel=config.kernel,
            group=config.group,
        )
        self.width = self.trunk.channels
        self.classes = config.classes
        self.head = nn.Linear(self.width, len(config.classes)) if config.classes else None

    def stages(self) -> list[list[nn.Module]]:
        """Return the residual blocks; see `Encoder.stages`."""
        return [*([block] for stage in self.trunk.stages for block in stage.children()), []]

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        found = self.trunk(self.rows(signal, lead_ids))  # (B, C, N)
        pooled = found.mean(dim=-1)
        return Features(pooled, tokens=found.mT, logits=None if self.head is None else self.head(pooled))


class EcgFounder(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: EcgFounderConfig) -> None:
        super().__init__(config, EcgFounderEncoder(config))
