"""Contrastive predictive coding with an S4 encoder.

Van den Oord et al., arXiv 1807.03748; for ECGs Mehari and Strodthoff, arXiv 2103.12676, and with S4 Al-Masud et al.,
arXiv 2509.25095. Convolutions make a latent z of each step, causal S4 layers sum up all steps until t in a context c_t,
and a linear map predicts z_{t+k}. The negatives are other steps of the same record.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not given is 0. Out: the contexts ``[B, S, D]`` and
their mean over time, or the loss.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics
from ecgkit.nn.lead_check import on_standard_leads
from ecgkit.nn.losses.cpc import ahead_contrast, other_steps
from ecgkit.nn.losses.records import mean_by_record
from ecgkit.nn.s4 import S4Stack
from ecgkit_ssl.cpc_config import CpcConfig
from ecgkit_ssl.vit import mean_over


class Convolution(nn.Module):
    """A convolution with a norm over channels. One over time would tell the past of the future."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, width, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T] -> [B, D, ceil(T / stride)]``."""
        return F.gelu(self.norm(self.conv(x).mT)).mT


class CpcEncoder(Encoder):
    """Convolutions, then causal S4 layers."""

    fill: ClassVar[str] = "zeros"

    def __init__(self, config: CpcConfig) -> None:
        super().__init__()
        self.width, self.stride = config.width, config.stride
        self.convolutions = nn.Sequential(
            Convolution(len(STANDARD_LEADS), config.width, config.kernel, config.stride),
            *(Convolution(config.width, config.width, 1, 1) for _ in range(config.convolutions - 1)),
        )
        self.to_latent = nn.Linear(config.width, config.width)
        self.trunk = S4Stack(
            width=config.width,
            depth=config.depth,
            states=config.states,
            reach=config.steps + config.steps % 2,
            bidirectional=False,
            dropout=config.dropout,
        )

    def stages(self) -> list[list[nn.Module]]:
        """Return the S4 layers; see `Encoder.stages`."""
        return [*([layer] for layer in self.trunk.layers), []]

    def real_steps(self, signal: Tensor, lengths: Tensor | None) -> Tensor:
        """Return bool ``[B, S]``, True for steps that begin within the record; the first always does."""
        starts = torch.arange(0, signal.shape[-1], self.stride, device=signal.device)
        whole = torch.full((signal.shape[0],), signal.shape[-1], device=signal.device)
        return starts < (whole if lengths is None else lengths.clamp(min=1))[:, None]

    def latents(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Return z ``[B, S, D]``."""
        z: Tensor = self.to_latent(self.convolutions(on_standard_leads(signal, lead_ids)).mT)
        return z

    def contexts(self, latents: Tensor) -> Tensor:
        """Return c ``[B, S, D]``: each step's summary of itself and all before."""
        c: Tensor = self.trunk(latents.mT).mT
        return c

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        c, real = self.contexts(self.latents(signal, lead_ids)), self.real_steps(signal, lengths)
        return Features(mean_over(c, real), tokens=c, token_real=None if lengths is None else real)


class Cpc(Method):
    """The encoder, and the linear map that predicts a later step."""

    def __init__(self, config: CpcConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: CpcEncoder = CpcEncoder(config)
        self.foretell = nn.Linear(config.width, config.width, bias=False)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Pick the true later step out of steps of the same record."""
        k = self.config.ahead
        z = self.encoder.latents(batch.signal, batch.lead_ids)
        c = self.encoder.contexts(z)
        real = self.encoder.real_steps(batch.signal, batch.lengths)
        ids = self.draw_negatives(real, k)
        negatives = z.gather(1, ids.flatten(1)[..., None].expand(-1, -1, z.shape[-1])).view(*ids.shape, -1)
        losses = ahead_contrast(self.foretell(c[:, : z.shape[1] - k]), z, negatives, k)
        stats = {} if self.training else embedding_statistics(mean_over(c, real))
        return Losses({"info_nce": mean_by_record(losses, real[:, k:])}, stats)

    def draw_negatives(self, real: Tensor, k: int) -> Tensor:
        """Draw the negatives of each prediction, int ``[B, S - k, M]``: real steps of the record but the true one.

        Args:
            real: Bool ``[B, S]``.
            k: The distance.
        """
        B, S = real.shape
        choices = (real.sum(1) - 1).clamp(min=1)[:, None, None]  # all real steps but one
        uniform = torch.rand(B, S - k, self.config.negatives, device=real.device)
        return other_steps((uniform * choices).long().clamp(max=S - 2), k)
