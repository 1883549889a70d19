"""Contrastive predictive coding of 12-lead ECGs.

van den Oord et al., arXiv 1807.03748, section 2. Strided convolutions make a latent z of each step, a GRU sums up all
steps until t in a context c_t, and a linear map per distance k predicts z_{t+k}. The loss (InfoNCE, equation 4, with
the log-bilinear score of equation 3) asks which of many candidates is the true z_{t+k}. The others come from the other
records of the batch, of all processes, at the same time.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not there is 0, the mean of its scale. Out: the
contexts ``[B, n, D]``, their mean and maximum over time side by side ``[B, 2 D]``, or the loss. n steps
of 2^k samples, with k convolutions.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics, first_row, gather
from ecgkit.nn.lead_check import on_standard_leads
from ecgkit_cpc.config import CpcConfig

LEADS = len(STANDARD_LEADS)


class Step(nn.Module):
    """A convolution of stride 2. Its norm is over channels alone: one over time would tell the past of the future."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, width, kernel_size=4, stride=2, padding=1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T] -> [B, D, T // 2]``."""
        return F.gelu(self.norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class CpcEncoder(Encoder):
    """Convolutions and GRU."""

    fill: ClassVar[str] = "zeros"

    def __init__(self, config: CpcConfig) -> None:
        super().__init__()
        self.config, self.width = config, 2 * config.width
        D = config.width
        self.convolutions = nn.Sequential(*(Step(D if i else LEADS, D) for i in range(config.convolutions)))
        self.to_latent = nn.Linear(D, D)
        self.gru = nn.GRU(D, D, config.layers, batch_first=True)

    def latents(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return z ``[B, n, D]``; no convolution sees what an earlier one made of the zeros behind a record's end.

        Raises:
            SignalError: The signal is shorter than a step.
        """
        T = signal.shape[-1]
        if self.config.steps(T) < 1:
            raise SignalError(f"a signal of {T} samples", f"at least the {self.config.hop} of a step")
        x = on_standard_leads(signal, lead_ids)
        for i, step in enumerate(self.convolutions, 1):
            x = step(x)
            if lengths is not None:
                x = x * self.whole(x.shape[-1], 2**i, lengths)[:, None]
        return self.to_latent(x.transpose(1, 2))

    def contexts(self, latents: Tensor) -> Tensor:
        """Return c ``[B, n, D]``: each step's summary of itself and all before."""
        c: Tensor = self.gru(latents)[0]
        return c

    def whole(self, n: int, hop: int, lengths: Tensor) -> Tensor:
        """Return bool ``[B, n]``, True for stretches of `hop` samples that end within the record; the first always."""
        return torch.arange(n, device=lengths.device) < (lengths // hop).clamp(min=1)[:, None]

    def real_steps(self, n: int, lengths: Tensor | None) -> Tensor | None:
        """Return bool ``[B, n]``, True for steps of the record; None if all are."""
        return None if lengths is None else self.whole(n, self.config.hop, lengths)

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        c = self.contexts(self.latents(signal, lead_ids, lengths))
        real = self.real_steps(c.shape[1], lengths)
        known = torch.ones_like(c[..., :1], dtype=torch.bool) if real is None else real[..., None]
        mean = (c * known).sum(dim=1) / known.sum(dim=1)
        most = c.masked_fill(~known, -torch.inf).amax(dim=1)
        return Features(pooled=torch.cat([mean, most], dim=-1), tokens=c, token_real=real)


class Cpc(Method):
    """The encoder, and the linear maps that predict later steps."""

    def __init__(self, config: CpcConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: CpcEncoder = CpcEncoder(config)
        self.foretell = nn.ModuleList(nn.Linear(config.width, config.width, bias=False) for _ in config.ahead)

    @classmethod
    def fewest_records(cls, config: CpcConfig) -> int:
        """Return 2: the negatives of a step come from other records."""
        return 2

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict later steps, and pick each out of the candidates."""
        z = self.encoder.latents(batch.signal, batch.lead_ids, batch.lengths)
        c = self.encoder.contexts(z)
        B, n, _ = z.shape
        real = self.encoder.real_steps(n, batch.lengths)
        real = torch.ones(B, n, dtype=torch.bool, device=z.device) if real is None else real
        everyone, others = gather(z.float()), self._others(gather(real.to(torch.uint8)).bool(), B)
        losses = [
            info_nce_ahead(predict(c[:, : n - k]).float(), z.float(), everyone, real, others, k)
            for k, predict in zip(self.config.ahead, self.foretell, strict=True)
        ]
        stats = {} if self.training else embedding_statistics(c.mean(dim=1))
        return Losses({"info_nce": torch.stack(losses).mean()}, stats)

    def _others(self, real: Tensor, records: int) -> Tensor:
        """Return bool ``[B, N, n]``: which latents of all processes' N records are those of other records."""
        rows = torch.arange(len(real), device=real.device)
        own = first_row() + torch.arange(records, device=real.device)
        return real[None] & (rows[None, :] != own[:, None])[..., None]


def info_nce_ahead(foretold: Tensor, z: Tensor, everyone: Tensor, real: Tensor, others: Tensor, k: int) -> Tensor:
    """Return the mean over records of InfoNCE at a distance of k steps; each record counts the same.

    Args:
        foretold: ``[B, n - k, D]``, predictions for the steps k, k + 1, ... n - 1.
        z: ``[B, n, D]``, the latents of these records.
        everyone: ``[N, n, D]``, those of the records of all processes.
        real: bool ``[B, n]``, which steps hold something of the record.
        others: bool ``[B, N, n]``, which of `everyone`'s steps are real and of another record.
        k: The distance.
    """
    true = (foretold * z[:, k:]).sum(dim=-1, keepdim=True)  # (B, n - k, 1)
    false = torch.einsum("btd,mtd->btm", foretold, everyone[:, k:])  # (B, n - k, N)
    false = false.masked_fill(~others[..., k:].transpose(1, 2), -torch.inf)
    logits = torch.cat([true, false], dim=-1) / z.shape[-1] ** 0.5
    loss = logits.logsumexp(dim=-1) - logits[..., 0]
    counted = real[:, k:]
    return ((loss * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)).mean()
