"""ECG-CPC's encoder: convolutions over all leads, then causal S4 layers. ``[B, L, T] -> tokens [B, T / 2, H]``.

Leads that are not given are rows of zeros; samples after the end count as zeros.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.methods import Encoder, EncoderOnly, Features
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.s4 import S4Stack
from ecgkit.nn.xresnet import conv_norm
from ecgkit_ecgcpc.config import EcgCpcConfig


class EcgCpcEncoder(Encoder):
    """Features are the mean of the tokens."""

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"

    def __init__(self, config: EcgCpcConfig) -> None:
        super().__init__()
        self.rows = LeadRows(config.signal)
        sizes = (len(config.signal.leads), *config.channels)
        self.convs = nn.ModuleList(
            conv_norm(inputs, outputs, kernel, stride)
            for inputs, outputs, kernel, stride in zip(
                sizes, config.channels, config.kernels, config.strides, strict=False
            )
        )
        self.width = config.channels[-1]
        self.trunk = S4Stack(
            width=self.width,
            depth=config.depth,
            states=config.states,
            reach=config.reach,
            bidirectional=False,
            dropout=config.dropout,
        )

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers; see `Encoder.stages`."""
        return [*([layer] for layer in self.trunk.layers), []]

    def convolved(self, x: Tensor) -> Tensor:
        """Return the input of the S4 layers, ``[B, rows, T] -> [B, H, N]``."""
        for conv in self.convs:
            x = F.relu(conv(x))
        return x

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        tokens = self.trunk(self.convolved(self.rows(signal, lead_ids))).mT
        return Features(tokens.mean(dim=1), tokens=tokens)


class EcgCpc(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: EcgCpcConfig) -> None:
        super().__init__(config, EcgCpcEncoder(config))
