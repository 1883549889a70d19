"""HuBERT-ECG: twelve leads one after the other, decimated as one series, then HuBERT.

``[B, L, T]`` at 500 Hz -> series ``[B, 12 T / 5]`` at 100 Hz -> tokens ``[B, N, D]``. A token covers 82 samples of the
series, 64 apart; some belong to two leads. A lead that is not given is a flat one, which the scaling turns into -1.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.methods import Batch, Encoder, EncoderOnly, Features, TokenLayout
from ecgkit.nn.decimation import Decimation
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.transformer import Block
from ecgkit.nn.wave import ConvolutionStack, PositionalConvolution
from ecgkit_hubertecg.config import HubertEcgConfig

FLAT = -1.0


class HubertEcgEncoder(Encoder):
    """Features are the mean of the last block's tokens."""

    fill: ClassVar[str] = "flat leads (-1)"
    padding: ClassVar[str] = "the record, repeated"

    def __init__(self, config: HubertEcgConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.classes = config.classes
        self.rows = LeadRows(config.signal, FLAT)
        L, T = len(config.signal.leads), config.signal.samples
        self.decimation = Decimation(L * T if config.decimate == "flattened" else T, config.factor)
        self.convolutions = ConvolutionStack(
            inputs=1, width=config.channels, kernels=config.kernels, strides=config.strides
        )
        self.input_norm = nn.LayerNorm(config.channels)
        self.project = nn.Linear(config.channels, D)
        self.positions = PositionalConvolution(width=D, taps=config.taps, groups=config.groups)
        self.block_norm = nn.LayerNorm(D)
        self.blocks = nn.ModuleList(
            Block(width=D, heads=config.heads, hidden=config.hidden, post_norm=True) for _ in range(config.depth)
        )
        self.head = nn.Linear(D, len(config.classes)) if config.classes else None

    def series(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the leads one after the other, decimated: ``[B, L, T] -> [B, rows T / q]``.

        Raises:
            SignalError: T is not the contract's.
        """
        T = signal.shape[-1]
        if self.config.signal.samples != T:
            raise SignalError(f"signals of {T} samples", f"{self.config.signal.samples}")
        if lengths is not None and self.config.padding == "tile":
            place = torch.arange(T, device=signal.device) % lengths.to(signal.device).clamp(min=1)[:, None]
            signal = signal.gather(2, place[:, None].expand_as(signal))
        x = self.rows(signal, lead_ids)
        if self.config.decimate == "lead":
            return self.decimation(x.flatten(0, 1)).view(len(x), -1)
        found: Tensor = self.decimation(x.flatten(1))
        return found

    def embed(self, series: Tensor) -> Tensor:
        """Return tokens before positions, ``[B, S] -> [B, N, D]``."""
        found: Tensor = self.project(self.input_norm(self.convolutions(series[:, None]).mT))
        return found

    def run(self, x: Tensor, real: Tensor | None = None) -> list[Tensor]:
        """Return the input of the first block and the output of every block, each ``[B, N, D]``.

        Args:
            x: Tokens before positions.
            real: Bool ``[B, N]``, False for tokens that are left out; None for none.
        """
        allowed = None
        if real is not None:
            x, allowed = x * real[..., None], real[:, None, None]
        outputs = [self.block_norm(x + self.positions(x))]
        for block in self.blocks:
            outputs.append(block(outputs[-1], allowed))
        return outputs

    def real_tokens(self, samples: Tensor, tokens: int) -> Tensor:
        """Return which of the tokens lie within the first `samples` ``[B]`` of a series: bool ``[B, tokens]``."""
        count = self.convolutions.length(samples).clamp(min=1)
        return torch.arange(tokens, device=samples.device) < count[:, None]

    def of_series(self, series: Tensor, samples: Tensor | None = None) -> Features:
        """Encode series ``[B, S]``; of each only the first `samples` ``[B]`` count, None for all."""
        x = self.embed(series)
        real = None if samples is None else self.real_tokens(samples.to(x.device), x.shape[1])
        first, *outputs = self.run(x, real)

        def mean(tokens: Tensor) -> Tensor:
            if real is None:
                return tokens.mean(dim=1)
            weight = real[..., None].to(tokens.dtype)
            return (tokens * weight).sum(dim=1) / weight.sum(dim=1)

        pooled = mean(outputs[-1])
        return Features(
            pooled,
            tokens=outputs[-1],
            layers=torch.stack([mean(output) for output in outputs], dim=1),
            layer_input=mean(first),
            token_real=real,
            logits=None if self.head is None else self.head(pooled),
        )

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        kept = None
        if lengths is not None and self.config.padding == "released":
            kept = lengths.div(self.config.factor, rounding_mode="floor") * len(self.config.signal.leads)
        return self.of_series(self.series(signal, lead_ids, lengths), kept)

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the stretches of each token in the leads that it reads; see `Encoder.token_layout`."""
        assert features.tokens is not None
        (_, L, T), N = batch.signal.shape, features.tokens.shape[1]
        whole = self.config.factor * self.convolutions.spans(len(self.config.signal.leads) * T // self.config.factor, N)
        begin = T * self.rows.row_of[batch.lead_ids].cpu()  # of each lead in the series
        spans = (whole - begin[:, None, None]).clamp(0, T).flatten(0, 1).to(batch.signal.device)  # (L N, 2)
        real = torch.ones(N, dtype=torch.bool) if features.token_real is None else features.token_real[0].cpu()
        stretch = torch.arange(L * N, device=batch.signal.device)
        pooled = (real.double() / real.sum()).to(stretch.device)
        return TokenLayout(stretch % N, stretch // N, spans, pooled)


class HubertEcg(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: HubertEcgConfig) -> None:
        super().__init__(config, HubertEcgEncoder(config))
