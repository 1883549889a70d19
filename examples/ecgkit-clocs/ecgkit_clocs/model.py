"""CLOCS: contrastive learning across space, time and patients.

Kiyasseh, Zhu and Clifton, arXiv 2005.13249, section 4. The views of a recording are its two halves, its leads, or the
leads of both halves; those of one patient's recordings are alike, and all others differ. `PatientPairs` puts two
recordings of a patient into each batch.

In: signal ``[B, L, T]``, any L leads in any order, and the number of each record's patient. Out: an embedding of each
lead ``[B, L, D]`` and their mean, or the loss.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Corpus, Encoder, Features, Losses, Method, Sampler
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.training.sampling import PatientPairs
from ecgkit_clocs.config import ClocsConfig


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
        parts = [(batch.signal, batch.lengths)]
        if self.config.views != "leads":
            parts = halves(batch.signal, batch.lengths)
        embedded = [self.encoder(signal, batch.lead_ids, lengths) for signal, lengths in parts]
        if self.config.views == "segments":
            return torch.stack([features.pooled for features in embedded], dim=-1)
        return torch.cat([features.per_lead.transpose(1, 2) for features in embedded], dim=-1)


def halves(signal: Tensor, lengths: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """Return both halves of what is real of each record, ``[B, L, T // 2]`` with zeros behind, and their lengths."""
    B, L, T = signal.shape
    half = (torch.full((B,), T, device=signal.device) if lengths is None else lengths) // 2
    at = torch.arange(T // 2, device=signal.device)
    real = at < half[:, None]
    second = (at + half[:, None]).clamp(max=T - 1)[:, None].expand(B, L, -1)
    return [(x * real[:, None], half) for x in (signal[..., : T // 2], signal.gather(2, second))]


def clocs_loss(embeddings: Tensor, patients: Tensor, temperature: float) -> Tensor:
    """Return the mean over all pairs of views of their contrast, section 4.3; 0 for one view.

    Each row must find itself in the other view among all rows, and so must each row of the same patient. The released
    code keeps only the last pair of views; this is the mean over pairs, as the paper has it.

    Args:
        embeddings: ``[N, D, V]``.
        patients: int ``[N]``, equal for rows of one patient.
        temperature: Divisor of the cosines.
    """
    V = embeddings.shape[-1]
    unit = F.normalize(embeddings if embeddings.dtype == torch.float64 else embeddings.float(), dim=1, eps=1e-12)
    a, b = torch.triu_indices(V, V, 1, device=unit.device)
    if not len(a):
        return unit.sum() * 0.0
    with torch.autocast(unit.device.type, enabled=False):  # a product in bf16 would round the similarities
        s = torch.einsum("idp,jdp->pij", unit[..., a], unit[..., b]) / temperature  # (pairs, N, N)
    rows, columns = s.logsumexp(2), s.logsumexp(1)
    own = s.diagonal(dim1=1, dim2=2)
    same = patients[:, None] == patients
    above, below = same.triu(1), same.tril(-1)
    first = ((rows[:, :, None] - s) * above).sum((1, 2)) / above.sum().clamp(min=1)
    second = ((columns[:, None] - s) * below).sum((1, 2)) / below.sum().clamp(min=1)
    terms = 2 + above.any().to(s.dtype) + below.any().to(s.dtype)
    return (((rows - own).mean(1) + (columns - own).mean(1) + first + second) / terms).mean()
