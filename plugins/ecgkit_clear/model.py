"""CLEAR: a masked autoencoder over heartbeats, with one summary token per lead.

*Tracing the Heart's Pathways: ECG Representation Learning from a Cardiac Conduction Perspective*, arXiv 2512.24002.
Each lead is cut into S slots around the R peaks, which all leads share; a slot without a beat is empty. The encoder
sees the visible beats of all leads; the decoder rebuilds a hidden beat from the same beat of the other leads and from
its own lead's summary. `ecgkit.nn.grid_attention` holds the decoder's rule, this module the encoder's.

In: signal ``[B, L, T]`` and peaks ``[B, P]``, any L leads in any order. Out: features of width D, or the loss. Tokens
stand lead by lead: token = lead * S + slot.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.beats.tokens import BeatTokens, beat_tokens, with_regular_peaks
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import (
    Batch,
    Clock,
    Encoder,
    Features,
    Losses,
    Method,
    Reconstruction,
    TokenLayout,
    stretch_layout,
)
from ecgkit.nn.grid_attention import GridAttention, GridRule
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit.nn.masking import Mask, gather_tokens, random_mask
from ecgkit.nn.reconstruction import masked_mse, standardize_patches
from ecgkit.nn.transformer import Block
from ecgkit_clear.config import ClearConfig

LEADS = len(STANDARD_LEADS)
IDS = 16  # rows of the tables of lead ids and of seconds, as published; lead ids start at 1, and 0 is an empty slot


@dataclass(frozen=True)
class Beats:
    """The beats of a batch.

    Args:
        tokens: ``[B, L, S, W]``, each beat standardised, zeros in empty slots.
        real: Bool ``[B, S]``, which slots hold a beat.
        seconds: int ``[B, L, S]``, the second in which the R peak lies, from 1; 0 for empty slots.
    """

    tokens: Tensor
    real: Tensor
    seconds: Tensor


class ClearEncoder(Encoder):
    """The encoder: post-norm transformer over summaries and beats of all leads."""

    needs = ("beats",)

    def __init__(self, config: ClearConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.slots = S = config.slots
        kernel = 3 if config.embed == "conv" else 1
        self.embed = nn.Conv1d(config.window.width, D, kernel, padding=kernel // 2, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(self.embed.weight, mode="fan_in", nonlinearity="leaky_relu")
        self.lead_embedding = nn.Embedding(IDS, D)
        self.second_embedding = nn.Embedding(IDS, D)
        self.summary = nn.Parameter(torch.empty(LEADS if config.summary == "lead" else 1, D).normal_(std=0.02))
        self.positions = nn.Parameter(torch.randn(LEADS + LEADS * S, D))  # summaries, then beats lead by lead
        self.blocks = _blocks(D, config.depth, config.heads, config)
        self.norm = nn.LayerNorm(D)

    def cut(self, signal: Tensor, peaks: Tensor, lengths: Tensor | None = None) -> Beats:
        """Cut a batch into standardised beats; a record without peaks gets evenly spaced ones, as published.

        Args:
            signal: ``[B, L, T]``.
            peaks: int ``[B, P]``, positions in the signal, -1 for none.
            lengths: ``[B]``, how many samples are real; peaks beyond are dropped. None if all are.
        """
        beats = self.cut_raw(signal, peaks, lengths)
        second = beats.peaks.div(round(self.config.signal.fs), rounding_mode="floor") + 1
        seconds = torch.where(beats.real & (beats.peaks > 0), second, 0).clamp(max=IDS - 1)
        shared = seconds[:, None].expand(-1, signal.shape[1], -1)
        return Beats(standardize_patches(beats.tokens), beats.real, shared)

    def cut_raw(self, signal: Tensor, peaks: Tensor, lengths: Tensor | None) -> BeatTokens:
        """Cut a batch into beats as they are; arguments as in `cut`."""
        if lengths is not None:
            peaks = torch.where(peaks < lengths[:, None], peaks, -1)
        peaks, _ = with_regular_peaks(peaks, signal.shape[-1])
        return beat_tokens(signal, peaks, self.config.window)

    def embed_beats(self, beats: Beats, lead_ids: Tensor) -> Tensor:
        """Return the beats' tokens with ids and positions, ``[B, L S, D]``."""
        _, L, S, _ = beats.tokens.shape
        check_standard_leads(lead_ids)
        # The convolution runs over the leads in their standard order, whatever the order in which they are given.
        order = lead_ids.argsort()
        line = beats.tokens[:, order].flatten(1, 2).transpose(1, 2)  # (B, W, L S)
        tokens = self.embed(line).transpose(1, 2).unflatten(1, (L, S))[:, order.argsort()]
        places = LEADS + lead_ids[:, None] * S + torch.arange(S, device=lead_ids.device)
        tokens = tokens + self.lead_embedding(lead_ids + 1)[:, None] + self.second_embedding(beats.seconds)
        return (tokens + self.positions[places]).flatten(1, 2)

    def encode_tokens(self, tokens: Tensor, lead_ids: Tensor, token_leads: Tensor, real: Tensor | None) -> list[Tensor]:
        """Run the blocks over summaries and tokens.

        Args:
            tokens: ``[B, k, D]``.
            lead_ids: ``[L]``, which leads the batch has.
            token_leads: ``[B, k]``, of which of these L each token is.
            real: Bool ``[B, k]``, False for empty slots; None if all are to be seen.

        Returns:
            The output of every block, ``[B, L + k, D]`` each, summaries first; of one summary ``[B, 1 + k, D]``.
        """
        ids = summary_ids(self.config, lead_ids)
        summaries = self.summary[ids] + self.positions[ids]
        x = torch.cat([summaries.expand(tokens.shape[0], -1, -1).to(tokens.dtype), tokens], dim=1)
        mask = self.config.encoder_mask
        rule = "full" if not self.config.keeps_views and mask != "released" else mask
        allowed = encoder_rule(rule, len(ids), token_leads, real)
        outputs = []
        for block in self.blocks:
            x = block(x, allowed)
            outputs.append(x)
        return outputs

    def encode_visible(self, beats: Beats, lead_ids: Tensor, mask: Mask) -> Tensor:
        """Return the normed summaries and visible beats, ``[B, L + k, D]``."""
        tokens = gather_tokens(self.embed_beats(beats, lead_ids), mask.ids_keep)
        real = self._real(beats, len(lead_ids))
        seen = None if real is None else real.gather(1, mask.ids_keep)
        last = self.encode_tokens(tokens, lead_ids, mask.ids_keep // self.slots, seen)[-1]
        normed: Tensor = self.norm(last)
        return normed

    def encode_beats(self, beats: Beats, lead_ids: Tensor) -> Features:
        """Encode whole records, tokens in their natural order."""
        tokens = self.embed_beats(beats, lead_ids)
        B, N, _ = tokens.shape
        L = len(lead_ids)
        leads = torch.arange(L, device=tokens.device).repeat_interleave(self.slots)
        outputs = self.encode_tokens(tokens, lead_ids, leads.expand(B, N), self._real(beats, L))
        there = beats.real.repeat(1, L)
        weight = there[..., None].to(tokens.dtype)
        last = self.norm(outputs[-1])
        s = len(summary_ids(self.config, lead_ids))
        return Features(
            pooled=last[:, :s].mean(dim=1),
            per_lead=last[:, :s] if self.config.summary == "lead" else None,
            tokens=last[:, s:],
            layers=torch.stack([output[:, :s].mean(dim=1) for output in outputs], dim=1),
            # Of the beats: the summaries enter the first block with nothing of the record in them.
            layer_input=(tokens * weight).sum(1) / weight.sum(1).clamp(min=1),
            token_leads=leads,
            token_real=there,
        )

    def _real(self, beats: Beats, leads: int) -> Tensor | None:
        """Return which of the ``[B, L S]`` tokens may be seen, or None for all."""
        return beats.real.repeat(1, leads) if self.config.pad_aware else None

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *, beats: Tensor) -> Features:
        """Encode records; see `Encoder.forward`. `beats` are R peaks, int ``[B, P]``, -1 for none."""
        return self.encode_beats(self.cut(signal, beats, lengths), lead_ids)

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the summaries of the leads, then their beats; see `Encoder.token_layout`."""
        beats = self.cut_raw(batch.signal, batch.extra["beats"], batch.lengths)
        L, device = batch.signal.shape[1], batch.signal.device
        leads = torch.arange(L, device=device).repeat_interleave(self.slots)
        layout = stretch_layout(leads, beats.spans[0].repeat(L, 1), L, beats.real[0].repeat(L))
        s = len(summary_ids(self.config, batch.lead_ids))
        layout = layout.placed(torch.arange(s, s + len(leads), device=device), s + len(leads))
        summaries = torch.eye(layout.count, dtype=torch.float64, device=device)[:s]
        pooled = replace(layout, pooled=summaries.mean(dim=0))
        return replace(pooled, per_lead=summaries) if self.config.summary == "lead" else pooled


def summary_ids(config: ClearConfig, lead_ids: Tensor) -> Tensor:
    """Return the ids of the summaries of some leads: one per lead, or the first for all."""
    return lead_ids if config.summary == "lead" else lead_ids.new_zeros(1)


def encoder_rule(rule: str, leads: int, token_leads: Tensor, real: Tensor | None) -> Tensor | None:
    """Return the mask of the encoder's attention: which of L summaries and k beats (rows) attend to which (columns).

    Args:
        rule: See `ClearConfig.encoder_mask`.
        leads: L.
        token_leads: ``[B, k]``, the lead of each beat.
        real: Bool ``[B, k]``, False for empty slots, which only see and are seen by themselves and what their rule lets
            them see; None if there is nothing to leave out.

    Returns:
        ``[B, 1, L + k, L + k]``: bool, True where a query may see a key; for ``released`` float, added to the logits
        (-inf at empty slots); None where everything sees everything.
    """
    B, k = token_leads.shape
    device = token_leads.device
    own = token_leads[:, None] == torch.arange(leads, device=device)[:, None]  # (B, L, k)
    itself = torch.eye(leads + k, dtype=torch.bool, device=device)
    seen = itself.new_ones(B, 1, leads + k)
    if real is not None:
        seen[:, 0, leads:] = real
    if rule == "released":
        return torch.where(seen | itself, _released(leads, token_leads), -torch.inf)[:, None]
    if rule == "full":
        return None if real is None else (seen | itself)[:, None]
    summaries = torch.cat([itself[:leads, :leads].expand(B, -1, -1), own], dim=2)
    to_summaries = own.mT if rule == "paper" else torch.ones_like(own.mT)
    beats = torch.cat([to_summaries, itself.new_ones(B, k, k)], dim=2)
    return (torch.cat([summaries, beats], dim=1) & (seen | itself))[:, None]


def _released(leads: int, token_leads: Tensor) -> Tensor:
    """Return the released code's ``[B, L + k, L + k]``: 0, and in summaries' rows 1 but for one run of columns.

    The run of lead j has as many columns as lead j has visible beats and starts after those of the leads before it,
    counted from the first column, though the first L columns are the summaries'.
    """
    k = token_leads.shape[1]
    counts = F.one_hot(token_leads, leads).sum(1)  # (B, L)
    stop = counts.cumsum(1)[..., None]
    column = torch.arange(leads + k, device=token_leads.device)
    outside = (column < stop - counts[..., None]) | (column >= stop)
    return F.pad(outside.float(), (0, 0, 0, k))


class ClearDecoder(nn.Module):
    """The decoder: rebuilds all beats from summaries and visible beats."""

    def __init__(self, config: ClearConfig) -> None:
        super().__init__()
        self.config = config
        D = config.decoder_width
        self.embed = nn.Linear(config.width, D)
        self.mask_token = nn.Parameter(torch.empty(D).normal_(std=0.02))
        self.positions = nn.Parameter(torch.randn(LEADS + LEADS * config.slots, D))
        self.blocks = _blocks(D, config.decoder_depth, config.decoder_heads, config)
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, config.window.width)

    def forward(self, latent: Tensor, lead_ids: Tensor, mask: Mask, real: Tensor | None) -> Tensor:
        """Rebuild all beats.

        Args:
            latent: ``[B, L + k, D]`` from the encoder; with one summary ``[B, 1 + k, D]``.
            lead_ids: ``[L]``.
            mask: Which of the L S beats were visible.
            real: Bool ``[B, L S]``, False for empty slots; None if all are to be seen.

        Returns:
            ``[B, L S, W]``.
        """
        L, S = len(lead_ids), self.config.slots
        x = self.embed(latent)
        ids = summary_ids(self.config, lead_ids)
        s = len(ids)
        summaries, visible = x[:, :s], x[:, s:]
        hidden = self.mask_token.to(x.dtype).expand(len(x), L * S - visible.shape[1], -1)
        beats = gather_tokens(torch.cat([visible, hidden], dim=1), mask.ids_restore)
        places = LEADS + lead_ids[:, None] * S + torch.arange(S, device=lead_ids.device)
        x = torch.cat([summaries, beats], dim=1) + self.positions[torch.cat([ids, places.flatten()])]
        rule = decoder_rule(self.config, L, mask, real)
        for block in self.blocks:
            x = block(x, rule)
        out: Tensor = self.head(self.norm(x)[:, s:])
        return out


def decoder_rule(config: ClearConfig, leads: int, mask: Mask, real: Tensor | None) -> GridRule | Tensor:
    """Return the rule of the decoder's attention; with conduction or view off it is a dense mask."""
    B, S = len(mask.mask), config.slots
    grid = GridRule(
        mask.ids_keep,
        mask.mask.bool().view(B, leads, S),
        None if real is None else real.view(B, leads, S),
    )
    if config.conduction and config.keeps_views:
        return grid
    allowed, first = grid.dense(), leads
    if config.summary == "one":
        allowed, first = F.pad(allowed[..., leads:, leads:], (1, 0, 1, 0), value=True), 1
    if not config.conduction:
        allowed[..., first:, first:] = True
    if not config.view:
        allowed[..., :first, :] = True
        allowed[..., :, :first] = True
    if real is not None:
        seen = F.pad(real, (first, 0), value=True)[:, None, None]
        allowed &= seen | torch.eye(allowed.shape[-1], dtype=torch.bool, device=allowed.device)
    return allowed


class Clear(Method):
    """CLEAR: encoder, decoder and the loss on hidden beats."""

    def __init__(self, config: ClearConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: ClearEncoder = ClearEncoder(config)
        self.decoder = ClearDecoder(config)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Hide beats and rebuild them."""
        beats = self.encoder.cut(batch.signal, batch.extra["beats"], batch.lengths)
        return Losses({"reconstruction": self.reconstruction_loss(beats, batch.lead_ids, self.draw_mask(beats))})

    def draw_mask(self, beats: Beats) -> Mask:
        """Choose the slots to hide, uniformly over all L S, empty ones included."""
        B, L, S, _ = beats.tokens.shape
        rows = B if self.config.mask_per == "record" else 1
        mask = random_mask((rows, L * S), self.config.mask_ratio, beats.tokens.device)
        return Mask(*(part.expand(B, -1) for part in (mask.ids_keep, mask.ids_restore, mask.mask)))

    def rebuild(self, beats: Beats, lead_ids: Tensor, mask: Mask) -> Tensor:
        """Return all beats as the decoder sees them, ``[B, L S, W]``."""
        latent = self.encoder.encode_visible(beats, lead_ids, mask)
        real = beats.real.repeat(1, len(lead_ids)) if self.config.pad_aware else None
        rebuilt: Tensor = self.decoder(latent, lead_ids, mask, real)
        return rebuilt.float()

    def reconstruction_loss(self, beats: Beats, lead_ids: Tensor, mask: Mask) -> Tensor:
        """Return the mean squared error over hidden beats for a given mask."""
        rebuilt = self.rebuild(beats, lead_ids, mask)
        counted = mask.mask
        if self.config.pad_aware:
            counted = counted * beats.real.repeat(1, len(lead_ids))
        return masked_mse(rebuilt, beats.tokens.flatten(1, 2), counted)

    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Hide beats and rebuild them; beats are shown standardised, as the model sees them."""
        beats = self.encoder.cut(batch.signal, batch.extra["beats"], batch.lengths)
        mask = self.draw_mask(beats)
        B, L, S, W = beats.tokens.shape
        rebuilt = self.rebuild(beats, batch.lead_ids, mask).view(B, L, S, W)
        real = beats.real[:, None].expand(B, L, S)
        return Reconstruction(beats.tokens, (mask.mask == 0).view(B, L, S) & real, rebuilt, real)


def _blocks(width: int, depth: int, heads: int, config: ClearConfig) -> nn.ModuleList:
    return nn.ModuleList(
        Block(
            width=width,
            heads=heads,
            hidden=config.hidden,
            post_norm=True,
            activation="relu",
            dropout=config.dropout,
            attention=GridAttention,
        )
        for _ in range(depth)
    )
