"""The transformer encoders: one token per lead and segment (K-MERL), or one per segment over all leads (MERL).

Both cut the signal into N segments of p samples, keep those that a mask leaves, and run pre-norm blocks over the
tokens; the record is the normed mean of its tokens. Shapes: B batch, k leads, n segments a lead, D width.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Encoder, Features, TokenLayout, patch_layout
from ecgkit.nn.lead_check import LeadRows, check_standard_leads
from ecgkit.nn.transformer import Block
from ecgkit_kmerl.config import KMerlConfig, MerlConfig
from ecgkit_kmerl.masking import Kept, rescale, take_leads


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch.

    Args:
        values: ``[B, k, n, D]``; k is 1 where leads share tokens.
        real: Bool ``[B, k, n]``, False where a token is padding; None if all are real.
    """

    values: Tensor
    real: Tensor | None = None

    def flat(self) -> tuple[Tensor, Tensor | None]:
        """Return the tokens one after the other, ``[B, k n, D]``, and bool ``[B, k n]``, True for real tokens."""
        return self.values.flatten(1, 2), None if self.real is None else self.real.flatten(1)

    def lead_means(self) -> Tensor:
        """Average each lead's real tokens, ``[B, k, D]``."""
        if self.real is None:
            return self.values.mean(dim=2)
        weight = self.real[..., None].to(self.values.dtype)
        return (self.values * weight).sum(dim=2) / weight.sum(dim=2).clamp_min(1)

    def mean(self) -> Tensor:
        """Average all real tokens, ``[B, D]``; all leads have the same number of real tokens."""
        return self.lead_means().mean(dim=1)


class TokenEncoder(Encoder):
    """The parts that both encoders share: blocks, masks and means.

    Args:
        config: Config of K-MERL or MERL.
    """

    def __init__(self, config: KMerlConfig | MerlConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.segments = config.signal.samples // config.patch  # N
        self.width = config.width
        self.scaling = config.signal.normalize
        self.blocks = nn.ModuleList(
            Block(
                width=config.width,
                heads=config.heads,
                head_width=config.head_width,
                hidden=int(config.width * config.mlp_ratio),
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)

    @abstractmethod
    def embed(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None, kept: Kept | None) -> Tokens:
        """Make the tokens that enter the first block; arguments as in `visible_tokens`."""

    def visible_tokens(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, kept: Kept | None = None
    ) -> Tokens:
        """Return the last block's output for the tokens that the model may see.

        Args:
            signal: ``[B, L, T]``.
            lead_ids: ``[L]``.
            lengths: ``[B]``, how many samples are real.
            kept: Leads and segments that stay of each record; None for all.
        """
        x = self.embed(signal, lead_ids, lengths, kept)
        *_, last = self.run_blocks(x)
        return last

    def run_blocks(self, tokens: Tokens) -> Iterator[Tokens]:
        """Yield the output of every block."""
        shape = tokens.values.shape
        x, real = tokens.flat()
        allowed = None if real is None else real[:, None, None]
        for block in self.blocks:
            x = block(x, allowed)
            yield Tokens(x.view(shape), tokens.real)

    def pool(self, tokens: Tokens) -> Tensor:
        """Return the records' representation ``[B, D]``."""
        pooled: Tensor = self.norm(tokens.mean())
        return pooled

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`."""
        x = self.embed(signal, lead_ids, lengths, None)
        layers, last = [], x
        for last in self.run_blocks(x):
            layers.append(last.mean())
        return Features(
            pooled=self.pool(last),
            per_lead=self.norm(last.lead_means()) if last.values.shape[1] == signal.shape[1] else None,
            tokens=self.norm(last.flat()[0]),
            layers=torch.stack(layers, dim=1),
            layer_input=x.mean(),
            token_real=last.flat()[1],
        )

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the segments of each lead, or of all leads together; see `Encoder.token_layout`."""
        _, L, T = batch.signal.shape
        by_lead, N = isinstance(self, LeadTokenEncoder), T // self.patch
        real = self.real_segments(batch.lengths, N)
        if real is not None:
            real = real[0, 0].repeat(L if by_lead else 1)
        return patch_layout(L, N, self.patch, by_lead=by_lead, real=real, device=batch.signal.device)

    def cut(self, signal: Tensor) -> Tensor:
        """Cut ``[B, L, T]`` into segments ``[B, L, N, p]``.

        Raises:
            SignalError: T is no multiple of p, or longer than the model was built for.
        """
        T = signal.shape[-1]
        if T % self.patch or not 0 < T <= self.segments * self.patch:
            raise SignalError(
                f"a signal of {T} samples", f"a multiple of the segment's {self.patch}, at most {self.segments} of them"
            )
        return signal.view(*signal.shape[:-1], -1, self.patch)

    def real_segments(self, lengths: Tensor | None, N: int) -> Tensor | None:
        """Return ``[B, 1, N]``, True for segments that hold a real sample."""
        if lengths is None:
            return None
        return (torch.arange(N, device=lengths.device) * self.patch < lengths[:, None])[:, None]


class LeadTokenEncoder(TokenEncoder):
    """K-MERL's encoder: a token is a segment of one lead, with embeddings of its lead and its time."""

    def __init__(self, config: KMerlConfig) -> None:
        super().__init__(config)
        D, std = config.width, config.position_std
        self.to_token = nn.Linear(config.patch, D, bias=False)
        self.lead_embedding = nn.Parameter(torch.empty(len(STANDARD_LEADS), D).normal_(std=std))
        self.time_embedding = nn.Parameter(torch.empty(self.segments, D).normal_(std=std))
        self.mask_token = nn.Parameter(torch.empty(D).normal_(std=0.02)) if config.mask_mode == "token" else None

    def embed(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None, kept: Kept | None) -> Tokens:
        """Make the tokens; with `kept`, only the tokens that stay are computed."""
        check_standard_leads(lead_ids)
        ids = lead_ids.expand(signal.shape[0], -1)
        if kept is not None:
            signal = rescale(take_leads(signal, kept.leads), self.scaling, lengths)
            ids = ids.gather(1, kept.leads)
        patches = self.cut(signal)  # (B, k, N, p)
        N = patches.shape[2]
        real = self.real_segments(lengths, N)
        if real is not None:
            real = real.expand(patches.shape[:3])
        times = self.time_embedding[:N]
        if kept is not None:
            patches = patches.gather(2, kept.segments[..., None].expand(-1, -1, -1, self.patch))
            times = F.embedding(kept.segments, self.time_embedding)  # its gradient is summed in one order
            real = None if real is None else real.gather(2, kept.segments)
        return Tokens(self.to_token(patches) + F.embedding(ids, self.lead_embedding)[:, :, None] + times, real)

    def visible_tokens(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, kept: Kept | None = None
    ) -> Tokens:
        """As in `TokenEncoder`; with a mask token, hidden tokens take part in the blocks but are not returned."""
        if kept is None or self.mask_token is None:
            return super().visible_tokens(signal, lead_ids, lengths, kept)
        seen = self.embed(signal, lead_ids, lengths, kept)
        (B, L), N = signal.shape[:2], signal.shape[-1] // self.patch
        where = (torch.arange(B, device=signal.device)[:, None, None], kept.leads[..., None], kept.segments)
        hidden = self.mask_token + self.lead_embedding[lead_ids][:, None] + self.time_embedding[:N]  # (L, N, D)
        x = hidden.to(seen.values.dtype).repeat(B, 1, 1, 1).index_put(where, seen.values)
        real = self.real_segments(lengths, N)
        *_, last = self.run_blocks(Tokens(x, None if real is None else real.expand(B, L, N)))
        return Tokens(last.values[where], seen.real)


class MixedTokenEncoder(TokenEncoder):
    """MERL's ViT: a token is a segment of all leads together; a lead that is not given is a row of zeros."""

    fill: ClassVar[str] = "zeros"

    def __init__(self, config: KMerlConfig | MerlConfig, *, position_std: float = 1.0) -> None:
        super().__init__(config)
        rows = len(config.signal.leads)
        self.rows = LeadRows(config.signal)
        self.to_token = nn.Linear(rows * config.patch, config.width, bias=False)
        self.time_embedding = nn.Parameter(torch.empty(self.segments, config.width).normal_(std=position_std))

    def embed(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None, kept: Kept | None) -> Tokens:
        """Make the tokens ``[B, 1, n, D]``; the segments that `kept` has for the first lead apply to all leads."""
        if kept is not None:
            signal = keep_only(signal, kept.leads, self.scaling, lengths)
        patches = self.cut(self.rows(signal, lead_ids))  # (B, rows, N, p)
        N = patches.shape[2]
        patches = patches.transpose(1, 2).flatten(2)[:, None]  # (B, 1, N, rows p)
        real = self.real_segments(lengths, N)
        times = self.time_embedding[:N]
        if kept is not None:
            segments = kept.segments[:, :1]
            patches = patches.gather(2, segments[..., None].expand(-1, -1, -1, patches.shape[-1]))
            times = F.embedding(segments, self.time_embedding)
            real = None if real is None else real.gather(2, segments)
        return Tokens(self.to_token(patches) + times, real)


def keep_only(signal: Tensor, leads: Tensor, how: str, lengths: Tensor | None) -> Tensor:
    """Set all leads ``[B, L, T]`` but those of ``[B, k]`` to zero, and scale over those that stay."""
    stay = rescale(take_leads(signal, leads), how, lengths)  # type: ignore[arg-type]
    return torch.zeros_like(signal).scatter(1, leads[..., None].expand(stay.shape), stay)
