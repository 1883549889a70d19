"""data2vec: the student says for masked tokens what the teacher's last blocks make of the whole record.

Baevski et al., arXiv 2202.03555, with the settings for speech. The teacher is an average of earlier students. A probe
uses the student. In: signal ``[B, L, T]``, any of the twelve leads. Out: features of width D, or the loss.
"""

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.nn.losses.data2vec import layer_targets, spread, token_errors
from ecgkit.nn.losses.records import mean_by_record
from ecgkit.schedules import linear
from ecgkit_ssl.backbone import vit_of
from ecgkit_ssl.masked_config import Data2VecConfig
from ecgkit_ssl.masking import draw_spans
from ecgkit_ssl.vit import TimeViT, mean_over


class Data2Vec(Method):
    """The student, a mask token, a linear map to the targets, and the teacher."""

    def __init__(self, config: Data2VecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: TimeViT = vit_of(config)
        self.masked = nn.Parameter(torch.empty(config.width).normal_(std=0.02))
        self.to_target = nn.Linear(config.width, config.width)
        self.teacher = teacher_of(self.encoder)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the teacher's layers where tokens are masked."""
        real = self.encoder.real_tokens(batch.signal, batch.lengths)
        masked = draw_spans(real, self.config.span, self.config.start)
        x = self.encoder.patches(batch.signal, batch.lead_ids)
        x = self.encoder.placed(torch.where(masked[..., None], self.masked.to(x.dtype), x))
        last = self.encoder.norm(self.encoder.run(x, real)[-1])
        predicted, targets = self.to_target(last), self.targets(batch, real)
        loss = mean_by_record(token_errors(predicted, targets, self.config.beta), masked)
        stats = {}
        if not self.training:
            stats = embedding_statistics(mean_over(last, real))
            stats |= {"target_spread": spread(targets[masked]), "prediction_spread": spread(predicted[masked])}
        return Losses({"prediction": loss}, stats)

    @torch.no_grad()
    def targets(self, batch: Batch, real: Tensor) -> Tensor:
        """Return the normalised mean of the teacher's last blocks, ``[B, N, D]``."""
        outputs = self.teacher.run(self.teacher.tokens(batch.signal, batch.lead_ids), real)
        last = torch.stack(outputs[-self.config.layers :])
        return layer_targets(last, self.config.norm, real, norm_targets=self.config.norm_targets)

    def after_step(self, clock: Clock) -> None:
        """Move the teacher towards the student."""
        progress = (clock.step + 1) / self.config.anneal_steps
        follow(self.teacher, self.encoder, linear(*self.config.momentum, progress))
