"""ECG-FM: convolutions over all leads, positions by convolution, transformer blocks with a norm behind each layer.

``[B, L, T] -> tokens [B, N, D]``, N about T / 16. Leads that are not given are rows of zeros, as a constant lead is.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Encoder, EncoderOnly, Features, TokenLayout, stretch_layout
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.transformer import Block
from ecgkit.nn.wave import ConvolutionStack, PositionalConvolution
from ecgkit_ecgfm.config import EcgFmConfig


class EcgFmEncoder(Encoder):
    """Features are the mean of the last block's tokens."""

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros, left out after the convolutions"  # as released

    def __init__(self, config: EcgFmConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.width = D = config.width
        self.classes = config.classes
        self.rows = LeadRows(config.signal)
        self.convolutions = ConvolutionStack(
            inputs=len(config.signal.leads), width=config.channels, kernels=config.kernels, strides=config.strides
        )
        self.input_norm = nn.LayerNorm(config.channels)
        self.project = nn.Linear(config.channels, D)
        self.positions = PositionalConvolution(width=D, taps=config.taps, groups=config.groups)
        self.block_norm = nn.LayerNorm(D)
        self.blocks = nn.ModuleList(
            Block(width=D, heads=config.heads, hidden=config.hidden, post_norm=not config.norm_first)
            for _ in range(config.depth)
        )
        self.head = nn.Linear(D, len(config.classes)) if config.classes else None

    def embed(self, x: Tensor) -> Tensor:
        """Return tokens before positions, ``[B, rows, T] -> [B, N, D]``."""
        found: Tensor = self.project(self.input_norm(self.convolutions(x).mT))
        return found

    def with_positions(self, x: Tensor) -> Tensor:
        """Add positions to tokens ``[B, N, D]``."""
        found: Tensor = x + self.positions(x)
        return found

    def run(self, x: Tensor, real: Tensor | None = None) -> list[Tensor]:
        """Return the input of the first block and the output of every block, each ``[B, N, D]``.

        Args:
            x: Tokens with positions.
            real: Bool ``[B, N]``, False for padding; None if there is none.
        """
        allowed = None
        if real is not None:
            x, allowed = x * real[..., None], real[:, None, None]
        outputs = [x if self.norm_first else self.block_norm(x)]
        for block in self.blocks:
            outputs.append(block(outputs[-1], allowed))
        if self.norm_first:
            outputs[-1] = self.block_norm(outputs[-1])
        return outputs

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        x = self.with_positions(self.embed(self.rows(signal, lead_ids)))
        real = None
        if lengths is not None:
            count = self.convolutions.length(lengths.to(x.device)).clamp(min=1)
            real = torch.arange(x.shape[1], device=x.device) < count[:, None]
        first, *outputs = self.run(x, real)
        pooled = _mean(outputs[-1], real)
        return Features(
            pooled,
            tokens=outputs[-1],
            layers=torch.stack([_mean(output, real) for output in outputs], dim=1),
            layer_input=_mean(first, real),
            token_real=real,
            logits=None if self.head is None else self.head(pooled),
        )

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the stretches that the convolutions read, of all leads; see `Encoder.token_layout`."""
        assert features.tokens is not None
        spans = self.convolutions.spans(batch.signal.shape[-1], features.tokens.shape[1]).to(batch.signal.device)
        real = None if features.token_real is None else features.token_real[0]
        return stretch_layout(torch.full_like(spans[:, 0], -1), spans, batch.signal.shape[1], real)


def _mean(x: Tensor, real: Tensor | None) -> Tensor:
    """Return the mean over the real tokens, ``[B, N, D] -> [B, D]``."""
    if real is None:
        return x.mean(dim=1)
    return (x * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)


class EcgFm(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: EcgFmConfig) -> None:
        super().__init__(config, EcgFmEncoder(config))
