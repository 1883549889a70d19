"""CLOCS: contrastive learning across space, time and patients.

Kiyasseh, Zhu and Clifton, arXiv 2005.13249, section 4. The views of a recording are its two halves, its leads, or the
leads of both halves; those of one patient's recordings are alike, and all others differ. `PatientPairs` puts two
recordings of a patient into each batch.

In: signal ``[B, L, T]``, any L leads in any order, and the number of each record's patient. Out: an embedding of each
lead ``[B, L, D]`` and their mean, or the loss.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Corpus, Encoder, Features, Losses, Method, Sampler
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.nn.losses.clocs import clocs_loss
from ecgkit.training.sampling import PatientPairs
from ecgkit_ssl.clocs_config import ClocsConfig
from ecgkit_ssl.halves import halves


class Layer(nn.Module):
    """A strided convolution; the norm is over channels, where the paper has BatchNorm, so padding stays out of it."""

    def __init__(self, before: int, after: int, config: ClocsConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.conv = nn.Conv1d(before, after, config.kernel, stride=config.stride, padding=config.kernel // 2)
        self.norm = nn.LayerNorm(after)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[R, C, T] -> [R, C', T / stride]``, zeros behind the end; and how many of these are real, ``[R]``."""
        y = F.relu(self.norm(self.conv(x).transpose(1, 2)).transpose(1, 2))
        lengths = -(-lengths // self.stride)
        real = torch.arange(y.shape[-1], device=y.device) < lengths[:, None]
        return y * real[:, None], lengths


class ClocsEncoder(Encoder):
    """Convolutions over one lead at a time, the same for all leads; the record is the mean of its leads."""

    def __init__(self, config: ClocsConfig) -> None:
        super().__init__()
        self.width = config.width
        channels = (1, *config.channels)
        self.layers = nn.ModuleList(Layer(a, b, config) for a, b in pairwise(channels))
        self.embed = nn.Linear(channels[-1], config.width)

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers, then the embedding; see `Encoder.stages`."""
        return [*([layer] for layer in self.layers), [self.embed]]

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        B, L, T = signal.shape
        whole = torch.full((B,), T, device=signal.device) if lengths is None else lengths.clamp(min=1)
        x, real = signal.reshape(B * L, 1, T), whole.repeat_interleave(L)
        for layer in self.layers:
            x, real = layer(x, real)
        per_lead = self.embed(x.sum(-1) / real[:, None]).view(B, L, -1)
        return Features(pooled=per_lead.mean(dim=1), per_lead=per_lead)


class Clocs(Method):
    """The encoder alone; the released method has no projector."""

    def __init__(self, config: ClocsConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: ClocsEncoder = ClocsEncoder(config)

    @classmethod
    def fewest_records(cls, config: Any) -> int:
        """Return 2: the loss compares records."""
        return 2

    @classmethod
    def sampler(cls, config: Any, corpus: Corpus) -> Sampler | None:
        """Return a sampler that keeps two recordings of a patient together, if the config asks for it."""
        return PatientPairs(corpus.store) if config.patient_pairs else None

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare the views of all records."""
        views = self.views(batch)
        loss = clocs_loss(gather(views), gather(batch.extra["patients"]), self.config.temperature)
        stats = {} if self.training else embedding_statistics(views.mean(dim=-1))
        return Losses({"contrast": loss}, stats)

    def views(self, batch: Batch) -> Tensor:
        """Return the embeddings of each record's views, ``[B, D, V]``."""
        parts: Sequence[tuple[Tensor, Tensor | None]] = [(batch.signal, batch.lengths)]
        if self.config.compare != "leads":
            parts = halves(batch.signal, batch.lengths)
        embedded = [self.encoder(signal, batch.lead_ids, lengths) for signal, lengths in parts]
        if self.config.compare == "segments":
            return torch.stack([features.pooled for features in embedded], dim=-1)
        return torch.cat([features.per_lead.transpose(1, 2) for features in embedded], dim=-1)
