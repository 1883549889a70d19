"""TS-TCC: temporal contrast of a weak and a strong view, and contextual contrast of their summaries.

Eldele et al., Time-Series Representation Learning via Temporal and Contextual Contrasting, arXiv 2106.14112. In: a weak
and a strong view per record. Out: features of the encoder, or the loss. S steps of the encoder's map, C its width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.methods import Batch, Clock, Losses
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.nn.losses.nt_xent import nt_xent
from ecgkit.nn.losses.ts_tcc import temporal_contrast
from ecgkit.nn.transformer import Attention, Block
from ecgkit_ssl.backbone import encoder_of
from ecgkit_ssl.presets import TsTccConfig
from ecgkit_ssl.two_views import OfViews


class WideScaleAttention(Attention):
    """Self-attention without biases of queries, keys and values, whose logits are divided by sqrt(D).

    The released code divides by the root of the whole width, not of a head's.
    """

    def __init__(self, *, width: int, heads: int, head_width: int | None = None, dropout: float = 0.0) -> None:
        super().__init__(width=width, heads=heads, head_width=head_width, dropout=dropout)
        self.qkv = nn.Linear(width, 3 * width, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Attention.project`."""
        q, k, v = super().project(x)
        return q / self.heads**0.5, k, v


class TemporalContext(nn.Module):
    """Sums up the steps until a time, and predicts the next K steps of the other view.

    Args:
        channels: C.
        config: Sizes.
    """

    def __init__(self, channels: int, config: TsTccConfig) -> None:
        super().__init__()
        h = config.context
        self.enter = nn.Linear(channels, h)
        self.token = nn.Parameter(torch.randn(h))
        self.blocks = nn.ModuleList(
            Block(
                width=h,
                heads=config.context_heads,
                hidden=config.context_hidden,
                activation="relu",
                dropout=config.dropout,
                attention=WideScaleAttention,
            )
            for _ in range(config.context_depth)
        )
        self.ahead = nn.ModuleList(nn.Linear(h, channels) for _ in range(config.ahead))
        self.project = nn.Sequential(
            nn.Linear(h, channels // 2),
            nn.BatchNorm1d(channels // 2),
            nn.ReLU(),
            nn.Linear(channels // 2, channels // 4),
        )

    def forward(self, steps: Tensor) -> Tensor:
        """Return the context ``[B, h]`` of the steps ``[B, t + 1, C]`` until a time t."""
        x = self.enter(steps)
        x = torch.cat([self.token.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return x[:, 0]

    def predict(self, context: Tensor) -> Tensor:
        """Return the K predicted steps, ``[B, K, C]``."""
        return torch.stack([ahead(context) for ahead in self.ahead], dim=1)

    def contrast(self, own: Tensor, other: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Return the temporal loss of one direction, and the projected contexts ``[B, C / 4]``.

        Args:
            own: ``[B, S, C]``, unit-length steps of the view whose context predicts.
            other: ``[B, S, C]``, those of the view that is predicted.
            t: The last step that the context sees.
        """
        context = self(own[:, : t + 1])
        later = other[:, t + 1 : t + 1 + len(self.ahead)]
        return temporal_contrast(gather(later), gather(self.predict(context))), self.project(context)


class TsTcc(OfViews):
    """The context of each view predicts the other view, and the contexts of a record are alike."""

    def __init__(self, config: TsTccConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder_of(config)
        self.context = TemporalContext(self.encoder.width, config)

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Compare both views in both directions."""
        features = [self.encoder(view.signal, view.lead_ids, view.lengths) for view in batch.views[:2]]
        weak, strong = (F.normalize(f.tokens.float(), dim=-1) for f in features)
        first, a = self.context.contrast(weak, strong, self.draw_time(weak))
        second, b = self.context.contrast(strong, weak, self.draw_time(weak))
        parts = {
            "temporal": self.config.w_temporal * (first + second),
            "contextual": self.config.w_contextual * nt_xent(gather(a), gather(b), self.config.temperature),
        }
        return Losses(parts, {} if self.training else embedding_statistics(features[0].pooled))

    def draw_time(self, steps: Tensor) -> int:
        """Draw the last step that a context sees, the same for all records of all processes.

        Raises:
            SignalError: The map has too few steps.
        """
        last = steps.shape[1] - self.config.ahead
        if last < 1:
            raise SignalError(
                f"a map of {steps.shape[1]} steps", f"more than the {self.config.ahead} that are predicted"
            )
        return int(gather(torch.randint(last, (len(steps),)).to(steps.device))[0])
