"""ECGFounder: Net1D and a linear classifier. ``[B, L, T] -> [B, 1024]`` and 150 logits.

The released classes of the model also hold BatchNorm layers, which the released configuration never applies: they are
no part of this network.
"""

from typing import ClassVar

import torch
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
        self.stretch = config.stretch
        if config.stretch:
            self.padding = "its last samples: it is stretched"  # type: ignore[misc]
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
        if self.stretch and lengths is not None:
            signal = stretched(signal, lengths)
        found = self.trunk(self.rows(signal, lead_ids))  # (B, C, N)
        pooled = found.mean(dim=-1)
        return Features(pooled, tokens=found.mT, logits=None if self.head is None else self.head(pooled))


def stretched(signal: Tensor, lengths: Tensor) -> Tensor:
    """Draw the first samples of each record out to the whole length, by straight lines between them.

    Args:
        signal: ``[B, L, T]``.
        lengths: ``[B]``, number of real samples of each record.
    """
    T = signal.shape[-1]
    last = (lengths.to(signal.device).clamp(min=1) - 1)[:, None]  # (B, 1)
    place = torch.arange(T, device=signal.device, dtype=torch.float64) * (last / max(T - 1, 1))
    left = place.long().clamp(max=T - 1)
    share = (place - left).to(signal.dtype)[:, None]
    ends = (index[:, None].expand_as(signal) for index in (left, torch.minimum(left + 1, last)))
    before, after = (signal.gather(2, index) for index in ends)
    return before * (1 - share) + after * share


class EcgFounder(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: EcgFounderConfig) -> None:
        super().__init__(config, EcgFounderEncoder(config))
