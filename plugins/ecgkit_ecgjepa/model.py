"""ECG-JEPA's encoder: tokens of (lead, patch), each of which sees its own lead and its own instant.

``[B, L, T] -> tokens [B, L n, D]``, lead by lead. The positions are added in front of every block and stay in the
residual stream. With fewer leads, the other leads' tokens are left out; the weights are the same.
"""

import torch
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import lead_ids as ids_of
from ecgkit.methods import Encoder, EncoderOnly, Features
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.transformer import Block
from ecgkit_ecgjepa.config import LEADS, EcgJepaConfig


def positions(patches: int, width: int) -> Tensor:
    """Return the table ``[leads, patches, D]``: half of the columns tell the patch, the other half the lead."""
    time, lead = sincos_positions(patches, width // 2), sincos_positions(len(LEADS), width // 2)
    return torch.cat([time.expand(len(LEADS), -1, -1), lead[:, None].expand(-1, patches, -1)], dim=2)


class EcgJepaEncoder(Encoder):
    """Features are the mean of all tokens after the last norm."""

    table: Tensor
    row_of: Tensor

    def __init__(self, config: EcgJepaConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.to_token = nn.Linear(config.patch, D)
        self.blocks = nn.ModuleList(
            Block(width=D, heads=config.heads, hidden=config.hidden, qkv_bias=False) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(D)
        self.register_buffer("table", positions(config.patches, D), persistent=False)
        rows = torch.full((max(ids_of(LEADS)) + 1,), -1)
        rows[torch.tensor(ids_of(LEADS))] = torch.arange(len(LEADS))
        self.register_buffer("row_of", rows, persistent=False)

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`.

        Raises:
            SignalError: A lead is not one of the eight, or T is no multiple of a patch or too long.
        """
        B, L, T = signal.shape
        p, n = self.config.patch, T // self.config.patch
        if T % p or not 0 < n <= self.config.patches:
            raise SignalError(f"signals of {T} samples", f"a multiple of {p} up to {self.config.signal.samples}")
        place = self.table[self._rows(lead_ids), :n].flatten(0, 1)  # (L n, D)
        leads = torch.arange(L, device=signal.device).repeat_interleave(n)
        patch = torch.arange(n, device=signal.device).repeat(L)
        allowed = (leads[:, None] == leads) | (patch[:, None] == patch)
        real = None
        if lengths is not None:
            real = patch * p < lengths.to(signal.device)[:, None]  # (B, L n)
            allowed = (allowed & real[:, None])[:, None]
        x = self.to_token(signal.reshape(B, L * n, p))
        first, outputs = _mean(x, real), []
        for block in self.blocks:
            x = block(x + place, allowed)
            outputs.append(_mean(x, real))
        tokens = self.norm(x)
        by_lead = tokens.view(B, L, n, -1).flatten(0, 1)
        there = None if real is None else real.view(B, L, n).flatten(0, 1)
        return Features(
            _mean(tokens, real),
            per_lead=_mean(by_lead, there).view(B, L, -1),
            tokens=tokens,
            layers=torch.stack(outputs, dim=1),
            layer_input=first,
            token_leads=leads,
            token_real=real,
        )

    def _rows(self, lead_ids: Tensor) -> Tensor:
        rows = self.row_of[lead_ids.clamp_max(len(self.row_of) - 1)]
        # While a graph is made of the model there are no values to look at.
        if not torch.compiler.is_compiling() and (int(lead_ids.max()) >= len(self.row_of) or int(rows.min()) < 0):
            raise SignalError("a lead that the model does not know", f"some of {' '.join(LEADS)}")
        return rows


def _mean(x: Tensor, real: Tensor | None) -> Tensor:
    """Return the mean over the real tokens, ``[B, N, D] -> [B, D]``."""
    if real is None:
        return x.mean(dim=1)
    return (x * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)


class EcgJepa(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: EcgJepaConfig) -> None:
        super().__init__(config, EcgJepaEncoder(config))
