"""A joint-embedding predictive architecture for 12-lead ECGs.

Assran et al., arXiv 2301.08243; Weimann and Conrad, arXiv 2410.13867. The student sees a few tokens of a record, a
predictor says what the teacher makes of the hidden ones, and the teacher, which sees all of them, is an average of
earlier students. No signal is rebuilt.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not given is 0. Out: features of width D from the
teacher, or the loss. N tokens, each a stretch of all leads.
"""

import math
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.nn.lead_check import on_standard_leads
from ecgkit.nn.masking import gather_tokens
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.transformer import Block
from ecgkit.schedules import linear
from ecgkit_jepa.config import JepaConfig
from ecgkit_jepa.masking import draw_hidden


class JepaEncoder(Encoder):
    """A vision transformer over time: tokens of all leads, pre-norm blocks, a last norm."""

    fill: ClassVar[str] = "zeros"

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.embed = nn.Conv1d(len(STANDARD_LEADS), config.width, config.patch, stride=config.patch)
        self.register_buffer("positions", sincos_positions(config.tokens, config.width), persistent=False)
        self.blocks = nn.ModuleList(
            Block(width=config.width, heads=config.heads, hidden=config.hidden) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)

    def real_tokens(self, signal: Tensor, lengths: Tensor | None) -> Tensor:
        """Return bool ``[B, N]``, True for tokens that hold a sample of the record."""
        tokens = torch.arange(0, signal.shape[-1], self.config.patch, device=signal.device)
        whole = torch.full((len(signal),), signal.shape[-1], device=signal.device)
        return tokens < (whole if lengths is None else lengths.clamp(min=1))[:, None]

    def tokens(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Return embedded tokens with positions, ``[B, N, D]``; zeros fill the last token up."""
        whole = F.pad(on_standard_leads(signal, lead_ids), (0, -signal.shape[-1] % self.config.patch))
        x: Tensor = self.embed(whole).transpose(1, 2)
        return x + self.positions[: x.shape[1]]

    def run(self, x: Tensor, seen: Tensor) -> list[Tensor]:
        """Return the output of every block; `seen`, bool ``[B, N]``, says which tokens may be looked at."""
        outputs = []
        for block in self.blocks:
            x = block(x, seen[:, None, None])
            outputs.append(x)
        return outputs

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        x, real = self.tokens(signal, lead_ids), self.real_tokens(signal, lengths)
        outputs = self.run(x, real)
        last = self.norm(outputs[-1])
        return Features(
            pooled=mean_over(last, real),
            tokens=last,
            layers=torch.stack([mean_over(output, real) for output in outputs], dim=1),
            layer_input=mean_over(x, real),
            token_real=None if lengths is None else real,
        )


class Predictor(nn.Module):
    """Says what the teacher makes of hidden tokens, from what the student makes of the visible ones."""

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
        self.student = JepaEncoder(config)
        self.predictor = Predictor(config)
        self.encoder: JepaEncoder = teacher_of(self.student)

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


def normalized(targets: Tensor) -> Tensor:
    """Return targets ``[..., D]`` after a layer norm without weights."""
    return F.layer_norm(targets.float(), targets.shape[-1:])


def jepa_loss(predicted: Tensor, target: Tensor, hidden: Tensor, kind: Literal["l1", "smooth_l1"]) -> Tensor:
    """Return the mean over records of the mean error of hidden tokens; each record counts the same.

    Args:
        predicted: ``[B, N, D]``.
        target: ``[B, N, D]``.
        hidden: Bool ``[B, N]``, which tokens count.
        kind: ``l1``, the absolute error; ``smooth_l1``, its form that is quadratic below 1.
    """
    distance = F.l1_loss if kind == "l1" else F.smooth_l1_loss
    precise = [x if x.dtype == torch.float64 else x.float() for x in (predicted, target)]
    error = distance(*precise, reduction="none").mean(dim=-1)
    return ((error * hidden).sum(1) / hidden.sum(1).clamp_min(1)).mean()


def mean_over(x: Tensor, real: Tensor) -> Tensor:
    """Return the mean of the real tokens, ``[B, N, D] -> [B, D]``."""
    weight = real[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)
