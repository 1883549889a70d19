"""A joint-embedding predictive architecture for 12-lead ECGs.

Assran et al., arXiv 2301.08243; Weimann and Conrad, arXiv 2410.13867. The student sees a few tokens of a record, a
predictor says what the teacher makes of the hidden ones, and the teacher, which sees all of them, is an average of
earlier students. No signal is rebuilt.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not given is 0. Out: features of width D from the
teacher, or the loss. N tokens, each a stretch of all leads.
"""

import math

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.nn.losses.jepa import jepa_loss, normalized
from ecgkit.nn.masking import gather_tokens
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.transformer import Block
from ecgkit.schedules import linear
from ecgkit_ssl.backbone import vit_of
from ecgkit_ssl.masked_config import JepaConfig
from ecgkit_ssl.masking import draw_hidden
from ecgkit_ssl.vit import TimeViT


class Predictor(nn.Module):
    """Says what the teacher makes of hidden tokens, from what the student makes of the visible ones."""

    positions: Tensor

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        D = config.predictor_width
        self.enter = nn.Linear(config.width, D)
        self.hidden = nn.Parameter(torch.empty(D).normal_(std=0.02))
        self.register_buffer("positions", sincos_positions(config.tokens, D), persistent=False)
        self.blocks = nn.ModuleList(
            Block(width=D, heads=config.heads, hidden=4 * D) for _ in range(config.predictor_depth)
        )
        self.norm = nn.LayerNorm(D)
        self.leave = nn.Linear(D, config.width)

    def forward(self, visible: Tensor, places: Tensor, hidden: Tensor, real: Tensor) -> Tensor:
        """Return predictions of all N tokens; only those of hidden ones mean anything.

        Args:
            visible: ``[B, k, D]``, the student's tokens.
            places: ``[B, k]``, where they stand among the N.
            hidden: Bool ``[B, N]``.
            real: Bool ``[B, N]``.
        """
        x = self.enter(visible)
        on_all = x.new_zeros(*hidden.shape, x.shape[-1]).scatter(1, places[..., None].expand_as(x), x)
        x = torch.where(hidden[..., None], self.hidden.to(x.dtype), on_all) + self.positions[: hidden.shape[1]]
        for block in self.blocks:
            x = block(x, real[:, None, None])
        out: Tensor = self.leave(self.norm(x))
        return out


class Jepa(Method):
    """The student, its predictor, and the teacher, which is the encoder that a probe uses."""

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.config = config
        self.student = vit_of(config)
        self.predictor = Predictor(config)
        self.encoder: TimeViT = teacher_of(self.student)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the teacher's tokens where the student sees none."""
        real = self.student.real_tokens(batch.signal, batch.lengths)
        hidden = draw_hidden(real, self.config.keep, self.config.shortest)
        visible = real & ~hidden
        # As many places for all records: those of a record with fewer visible tokens end with unseen ones.
        count = max(1, math.ceil(self.config.keep[1] * real.shape[1]))
        places = (~visible).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
        x = gather_tokens(self.student.tokens(batch.signal, batch.lead_ids), places)
        latent = self.student.norm(self.student.run(x, visible.gather(1, places))[-1])
        predicted = self.predictor(latent, places, hidden, real)
        with torch.no_grad():
            features = self.encoder.encode(batch)
            assert features.tokens is not None
            target = normalized(features.tokens) if self.config.normalize_targets else features.tokens
        stats = {} if self.training else embedding_statistics(features.pooled)
        return Losses({"prediction": jepa_loss(predicted, target, hidden, self.config.loss)}, stats)

    def after_step(self, clock: Clock) -> None:
        """Move the teacher towards the student."""
        follow(self.encoder, self.student, linear(*self.config.momentum, clock.progress))
