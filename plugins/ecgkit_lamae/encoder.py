"""LAMAE's encoder: each lead on its own, then attention among the latent tokens of all leads.

arXiv 2603.26475, section 3. A lead is cut into N patches of p samples; the encoder sees the visible ones of each lead,
all leads as one batch. The latent attention has a CLS and the tokens that survive a second mask, of all leads together:
only here does information pass from one lead to another. Without lead embeddings it takes the leads as a set.

In: signal ``[B, L, T]`` with T a multiple of p, any L leads in any order. Out: features of width D.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import AttentionCall, Batch, Encoder, Features, TokenLayout, patch_layout
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit.nn.masking import Mask, gather_tokens
from ecgkit.nn.transformer import Attention, Block
from ecgkit_lamae.config import LamaeConfig

NORM_EPS = 1e-6  # MVMAE
INIT_STD = 0.02

Watch = Callable[[Tensor], None]


class NormedAttention(Attention):
    """Attention whose queries and keys are normed head by head."""

    def __init__(self, *, width: int, heads: int, **settings: Any) -> None:
        super().__init__(width=width, heads=heads, **settings)
        self.norm_q, self.norm_k = (nn.LayerNorm(width // heads, eps=NORM_EPS) for _ in range(2))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normed queries, normed keys, and values, each ``[B, heads, N, head_width]``."""
        q, k, v = super().project(x)
        return self.norm_q(q), self.norm_k(k), v


class Stack(nn.Module):
    """Transformer blocks and a last norm, ``[B, N, D] -> [B, N, D]``."""

    def __init__(self, config: LamaeConfig, depth: int) -> None:
        super().__init__()
        attention = NormedAttention if config.qk_norm else Attention
        hidden = int(config.width * config.mlp_ratio)
        self.blocks = nn.ModuleList(
            Block(width=config.width, heads=config.heads, hidden=hidden, norm_eps=NORM_EPS, attention=attention)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, x: Tensor, allowed: Tensor | None = None, watch: Watch | None = None) -> Tensor:
        """Run the blocks.

        Args:
            x: ``[B, N, D]``.
            allowed: Bool, broadcast to ``[B, heads, N, N]``.
            watch: Called with the input of the first block and with the output of every block.
        """
        if watch is not None:
            watch(x)
        for block in self.blocks:
            x = block(x, allowed)
            if watch is not None:
                watch(x)
        normed: Tensor = self.norm(x)
        return normed


class LeadEncoder(nn.Module):
    """Reads the patches of single leads: embedding, positions, an optional CLS, and a `Stack`."""

    def __init__(self, config: LamaeConfig) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(config.patch, config.width)
        self.positions = nn.Parameter(trunc_normal(config.patches, config.width))
        self.cls_token = nn.Parameter(trunc_normal(config.width)) if config.encoder_cls else None
        self.stack = Stack(config, config.depth)

    def forward(
        self,
        patches: Tensor,
        ids_keep: Tensor | None,
        lead: Tensor | None,
        real: Tensor | None,
        watch: Watch | None = None,
    ) -> Tensor:
        """Encode leads as S separate sequences.

        Args:
            patches: ``[S, N, p]``.
            ids_keep: ``[S, K]``, the patches that are seen; None for all.
            lead: ``[S, D]``, added to every token, or None.
            real: Bool ``[S, K]``, False for padding; None if all are real.
            watch: See `Stack.forward`.

        Returns:
            ``[S, K, D]``, or ``[S, 1 + K, D]`` with the CLS first.
        """
        n = patches.shape[-2]
        if n > len(self.positions):
            raise SignalError(f"{n} patches per lead", f"at most {len(self.positions)}, as the model was built for")
        x = self.patch_embed(patches) + self.positions[:n]
        if ids_keep is not None:
            x = gather_tokens(x, ids_keep)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)
            real = None if real is None else F.pad(real, (1, 0), value=True)
        if lead is not None:
            x = x + lead[:, None]
        out: Tensor = self.stack(x, None if real is None else real[:, None, None], watch)
        return out


class LatentAttention(nn.Module):
    """A CLS and the latent tokens of all leads attend to each other."""

    def __init__(self, config: LamaeConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(trunc_normal(config.width))
        self.stack = Stack(config, config.latent_depth)

    def forward(self, tokens: Tensor, real: Tensor | None = None, watch: Watch | None = None) -> Tensor:
        """Return ``[B, 1 + M, D]`` with the CLS first, for tokens ``[B, M, D]`` of which `real` ``[B, M]`` count."""
        x = torch.cat([self.cls_token.to(tokens.dtype).expand(tokens.shape[0], 1, -1), tokens], dim=1)
        allowed = None if real is None else F.pad(real, (1, 0), value=True)[:, None, None]
        out: Tensor = self.stack(x, allowed, watch)
        return out


@dataclass(frozen=True)
class Encoded:
    """Output of the encoders of single leads.

    Args:
        tokens: ``[B, L, K, D]`` of the visible patches.
        cls: ``[B, L, D]``, each lead's own CLS; None without.
        real: Bool ``[B, L, K]``, False for padding; None if all are real.
    """

    tokens: Tensor
    cls: Tensor | None
    real: Tensor | None


class LamaeEncoder(Encoder):
    """Encoders of single leads, latent attention, and the readout; see the module."""

    def __init__(self, config: LamaeConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.leads = nn.ModuleList(LeadEncoder(config) for _ in range(1 if config.shared else len(STANDARD_LEADS)))
        embed = trunc_normal(len(STANDARD_LEADS), config.width)
        self.lead_embed = nn.Parameter(embed) if config.lead_embedding else None
        self.latent = LatentAttention(config) if config.latent_depth else None
        self.classes = config.classes
        self.classifier = nn.Linear(config.width, len(config.classes)) if config.classes else None

    def stages(self) -> list[list[nn.Module]]:
        """Return the blocks of all leads side by side, then those of the latent attention; see `Encoder.stages`."""
        leads = [lead.stack for lead in self.leads.children() if isinstance(lead, LeadEncoder)]
        levels = [leads] if self.latent is None else [leads, [self.latent.stack]]
        blocks = [list(side) for stacks in levels for side in zip(*(stack.blocks for stack in stacks), strict=True)]
        # Only the last norm is of a stage of its own; that of the leads belongs to their last block.
        blocks[self.config.depth - 1] += [stack.norm for stack in leads if self.latent is not None]
        return [*blocks, [stack.norm for stack in levels[-1]]]

    def encode_leads(
        self, signal: Tensor, lead_ids: Tensor, mask: Mask | None, real: Tensor | None, watch: Watch | None = None
    ) -> Encoded:
        """Encode every lead on its own.

        Args:
            signal: ``[B, L, T]``.
            lead_ids: ``[L]``.
            mask: Over ``[B, L, N]``; None shows all patches.
            real: Bool ``[B, L, N]``, False for patches that are padding; None if all are real.
            watch: Called with what enters and leaves every block: ``[B L, K, D]``, or with an encoder for each lead
                ``[B, K, D]`` lead by lead.
        """
        patches = patchify(signal, self.config.patch)
        B, L = patches.shape[:2]
        check_standard_leads(lead_ids)
        ids = None if mask is None else mask.ids_keep
        seen = real if real is None or ids is None else real.gather(-1, ids)
        lead = None if self.lead_embed is None else self.lead_embed[lead_ids].expand(B, L, -1)
        parts = [patches, ids, lead, seen]
        if self.config.shared:
            flat = (None if part is None else part.flatten(0, 1) for part in parts)
            x = self.leads[0](*flat, watch).unflatten(0, (B, L))
        else:  # parameters of their own share no matrix product
            rows = [[None if part is None else part[:, i] for part in parts] for i in range(L)]
            x = torch.stack([self.leads[int(lead_ids[i])](*rows[i], watch) for i in range(L)], dim=1)
        if self.config.encoder_cls:
            return Encoded(x[:, :, 1:], x[:, :, 0], seen)
        return Encoded(x, None, seen)

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records with nothing masked; see `Encoder.forward`."""
        real = real_patches(lengths, signal.shape[1], signal.shape[-1] // self.config.patch, self.config.patch)
        B, L = signal.shape[:2]
        own: list[Tensor] = []
        joint: list[Tensor] = []
        encoded = self.encode_leads(signal, lead_ids, None, real, own.append)
        tokens, pooled = encoded.tokens, mean_of_real(encoded.tokens.flatten(1, 2), encoded.real)
        if self.latent is not None:
            latent = self.latent(tokens.flatten(1, 2), None if real is None else real.flatten(1), joint.append)
            tokens = latent[:, 1:].unflatten(1, tokens.shape[1:3])
            if self.config.readout == "la_cls":
                pooled = latent[:, 0]
        if self.config.readout == "enc_cls":
            assert encoded.cls is not None
            pooled = encoded.cls.mean(dim=1)
        levels = [self._pooled(x, real) for x in self._by_level(own, B, L)]
        levels += [x[:, 0] if self.config.readout == "la_cls" else mean_of_real(x[:, 1:], real) for x in joint[1:]]
        return Features(
            pooled=pooled,
            per_lead=mean_of_real(tokens, real),
            tokens=tokens.flatten(1, 2),
            layers=torch.stack(levels[1:], dim=1),
            layer_input=levels[0],
            # The latent attention keeps the tokens in their places, so each still belongs to the lead of its patch.
            token_leads=torch.arange(L, device=signal.device).repeat_interleave(tokens.shape[2]),
            token_real=None if real is None else real.flatten(1),
            logits=None if self.classifier is None else self.classifier(pooled),
        )

    def _by_level(self, own: list[Tensor], B: int, L: int) -> list[Tensor]:
        """Return what entered the first block and what left every block, ``[B, L, K, D]``, with any CLS as one more."""
        if self.config.shared:
            return [torch.unflatten(x, 0, (B, L)) for x in own]
        levels = self.config.depth + 1
        return [torch.stack(own[level::levels], dim=1) for level in range(levels)]

    def _pooled(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Pool a level of `_by_level` as the readout does, to ``[B, D]``."""
        if self.config.readout == "enc_cls":
            return x[:, :, 0].mean(dim=1)
        return mean_of_real(x[:, :, int(self.config.encoder_cls) :].flatten(1, 2), real)

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return all leads' patches, then the leads' own CLS, then that of all; see `Encoder.token_layout`."""
        config, (_, L, T), device = self.config, batch.signal.shape, batch.signal.device
        N = T // config.patch
        real = real_patches(batch.lengths, L, N, config.patch)
        layout = patch_layout(
            L, N, config.patch, by_lead=True, real=None if real is None else real[0].flatten(), device=device
        )
        patches = torch.arange(L * N, device=device)
        own = L * N + torch.arange(L if config.encoder_cls else 0, device=device)
        last = L * N + len(own)
        layout = layout.placed(patches, last + (self.latent is not None))
        leads = torch.cat([own.view(-1, 1) if len(own) else patches.new_zeros(L, 0), patches.view(L, N)], dim=1)
        calls = [AttentionCall.among(leads)] * config.depth
        if not config.shared:  # each lead's layers, lead by lead
            calls = [AttentionCall.among(lead) for lead in leads for _ in range(config.depth)]
        pooled, read = layout.pooled, own
        if config.readout == "la_cls":  # the other readouts read what goes into the latent attention
            read = patches.new_tensor([last])
            calls += [AttentionCall.among(torch.cat([read, patches]))] * config.latent_depth
        if config.readout != "enc_mean":
            pooled = torch.zeros_like(pooled).index_fill(0, read, 1 / len(read))
        return replace(layout, pooled=pooled, calls=tuple(calls))


def trunc_normal(*shape: int) -> Tensor:
    """Return normal numbers of deviation 0.02, cut at two deviations (MVMAE)."""
    return nn.init.trunc_normal_(torch.empty(*shape), std=INIT_STD, a=-2 * INIT_STD, b=2 * INIT_STD)


def patchify(signal: Tensor, patch: int) -> Tensor:
    """Cut ``[B, L, T]`` into patches ``[B, L, N, p]``.

    Raises:
        SignalError: T is not a multiple of p.
    """
    if signal.shape[-1] % patch or signal.shape[-1] < patch:
        raise SignalError(f"a signal of {signal.shape[-1]} samples", f"a multiple of the patch length {patch}")
    return torch.unflatten(signal, -1, (-1, patch))


def real_patches(lengths: Tensor | None, leads: int, n: int, patch: int) -> Tensor | None:
    """Return bool ``[B, L, N]``, True for patches that hold a real sample, from the lengths ``[B]``."""
    if lengths is None:
        return None
    real = torch.arange(n, device=lengths.device) * patch < lengths[:, None]
    return real[:, None].expand(-1, leads, -1)


def mean_of_real(tokens: Tensor, real: Tensor | None) -> Tensor:
    """Average ``[..., N, D]`` over the N tokens, of which those in `real`, any shape of as many, count."""
    if real is None:
        return tokens.mean(dim=-2)
    weight = real.reshape(*tokens.shape[:-1], 1).to(tokens.dtype)
    return (tokens * weight).sum(dim=-2) / weight.sum(dim=-2).clamp(min=1)
