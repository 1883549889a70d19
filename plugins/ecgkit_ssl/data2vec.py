"""data2vec and DinoSR: the student says for masked tokens what the teacher's last blocks make of the whole record.

Baevski et al., arXiv 2202.03555, with the settings for speech: the student gives the mean of these blocks. Liu et al.,
DinoSR, arXiv 2305.10005: it gives the code of each of these blocks, whose codebooks are moving means. The teacher is an
average of earlier students. A probe uses the student. In: signal ``[B, L, T]``, any of the twelve leads. Out: features
of width D, or the loss.
"""

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.ema import follow, teacher_of
from ecgkit.nn.losses.code_prediction import code_errors
from ecgkit.nn.losses.data2vec import layer_targets, spread, token_errors
from ecgkit.nn.losses.dinosr import Codebooks, normalized
from ecgkit.nn.losses.records import mean_by_record
from ecgkit.schedules import linear
from ecgkit_ssl.backbone import vit_of
from ecgkit_ssl.masked_config import Data2VecConfig, DinoSrConfig, SpanConfig
from ecgkit_ssl.masking import draw_spans
from ecgkit_ssl.vit import TimeViT, mean_over


class MaskedStudent(Method):
    """The student with its mask token, and the teacher.

    Args:
        config: Sizes, spans and momentum.
    """

    def __init__(self, config: SpanConfig) -> None:
        super().__init__()
        self.encoder: TimeViT = vit_of(config)
        self.span, self.start = config.span, config.start
        self.momentum, self.anneal_steps = config.momentum, config.anneal_steps
        self.layers = config.layers
        self.masked = nn.Parameter(torch.empty(config.width).normal_(std=0.02))
        self.teacher = teacher_of(self.encoder)

    def student(self, batch: Batch, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return the student's last tokens ``[B, N, D]``, and which of them were masked, bool ``[B, N]``."""
        masked = draw_spans(real, self.span, self.start)
        x = self.encoder.patches(batch.signal, batch.lead_ids)
        x = self.encoder.placed(torch.where(masked[..., None], self.masked.to(x.dtype), x))
        return self.encoder.norm(self.encoder.run(x, real)[-1]), masked

    @torch.no_grad()
    def taught(self, batch: Batch, real: Tensor) -> Tensor:
        """Return the outputs of the teacher's last K blocks on the whole record, ``[K, B, N, D]``."""
        outputs = self.teacher.run(self.teacher.tokens(batch.signal, batch.lead_ids), real)
        return torch.stack(outputs[-self.layers :])

    def after_step(self, clock: Clock) -> None:
        """Move the teacher towards the student."""
        follow(self.teacher, self.encoder, linear(*self.momentum, (clock.step + 1) / self.anneal_steps))


class Data2Vec(MaskedStudent):
    """A linear map from the student to the mean of the teacher's blocks."""

    def __init__(self, config: Data2VecConfig) -> None:
        super().__init__(config)
        self.config = config
        self.to_target = nn.Linear(config.width, config.width)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the teacher's blocks where tokens are masked."""
        real = self.encoder.real_tokens(batch.signal, batch.lengths)
        last, masked = self.student(batch, real)
        predicted, layers = self.to_target(last), self.taught(batch, real)
        targets = layer_targets(layers, self.config.norm, real, norm_targets=self.config.norm_targets)
        loss = mean_by_record(token_errors(predicted, targets, self.config.beta), masked)
        stats = {}
        if not self.training:
            stats = embedding_statistics(mean_over(last, real))
            stats |= {"target_spread": spread(targets[masked]), "prediction_spread": spread(predicted[masked])}
        return Losses({"prediction": loss}, stats)


class DinoSr(MaskedStudent):
    """A linear map from the student to the codes of each of the teacher's blocks, and their codebooks."""

    def __init__(self, config: DinoSrConfig) -> None:
        super().__init__(config)
        self.config = config
        self.to_code = nn.ModuleList(nn.Linear(config.width, config.codes) for _ in range(config.layers))
        self.codebooks = Codebooks(config.layers, config.codes, config.width, config.code_momentum)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the code of each block where tokens are masked."""
        real = self.encoder.real_tokens(batch.signal, batch.lengths)
        last, masked = self.student(batch, real)
        codes = self.codebooks(normalized(self.taught(batch, real)), real)  # (K, B, N)
        logits = torch.stack([net(last) for net in self.to_code]) / self.config.temperature
        loss = mean_by_record(code_errors(logits, codes).mean(0), masked)
        stats = {}
        if not self.training:
            used = [torch.stack([(of[real] == code).any() for code in range(self.config.codes)]) for of in codes]
            stats = embedding_statistics(mean_over(last, real)) | {"codes_used": torch.stack(used).float().mean()}
        return Losses({"code": loss}, stats)

    def after_step(self, clock: Clock) -> None:
        """Move the teacher, and the codes."""
        super().after_step(clock)
        self.codebooks.update()
