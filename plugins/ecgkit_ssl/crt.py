"""CRT, a cross-reconstruction transformer: from some patches of a record and its spectrum it rebuilds all.

Zhang et al., Self-supervised Time Series Representation Learning via Cross Reconstruction Transformer, arXiv
2205.09928. A record of T samples becomes T samples of time, T / 2 magnitudes and T / 2 phases of its Fourier transform.
Each of these domains is cut into patches, and has a ResNet that makes a token of a patch.

In: signal ``[B, L, T]``, any leads of the contract; a lead that is not given is 0. Out: the mean of the three summary
tokens ``[B, D]``, or the loss. N is the number of patches of all domains together.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import embedding_statistics, gather
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.losses.crt import instance_discrimination, patch_errors
from ecgkit.nn.losses.precision import precise
from ecgkit.nn.resnet import ResidualBlock
from ecgkit.nn.transformer import Block
from ecgkit_ssl.crt_config import CrtConfig

DOMAINS = ("time", "magnitude", "phase")
ROUNDING = 1e-6  # share of the largest magnitude of a lead; a float32 transform errs by some 1e-7 of it
Domains = Sequence[Tensor]  # one tensor per domain


def spectrum_of(x: Tensor) -> Tensor:
    """Return a signal with its spectrum behind it: ``[B, L, T] -> [B, L, 2 T]``.

    The first T / 2 bins of the Fourier transform are taken: their magnitudes, then their phases in (-pi, pi]. The phase
    of a real number is 0, also if it is negative, as in the released code. So is that of a bin of rounding errors,
    which another batch would give another sign.
    """
    bins = torch.fft.rfft(precise(x))[..., : x.shape[-1] // 2]
    magnitudes = bins.abs()
    rounding = magnitudes <= ROUNDING * magnitudes.amax(-1, keepdim=True)
    phase = torch.where((bins.imag == 0) | rounding, 0, bins.angle())
    return torch.cat([x, magnitudes.to(x.dtype), phase.to(x.dtype)], dim=-1)


class PatchTokens(nn.Module):
    """A small ResNet that makes a token of a patch, ``[M, L, p] -> [M, D]``: the mean of its map over time."""

    def __init__(self, leads: int, width: int) -> None:
        super().__init__()
        inputs = width // 8
        self.conv = nn.Conv1d(leads, inputs, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm1d(inputs)
        blocks = []
        for stage in range(4):
            for i in range(2):
                outputs = width // 8 * 2**stage
                blocks.append(ResidualBlock(inputs, outputs, 2 if stage and not i else 1, bottleneck=False))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.blocks(F.max_pool1d(F.relu(self.norm(self.conv(x))), 3, 2, 1))
        return found.mean(-1)


class CrtEncoder(Encoder):
    """Tokens of visible patches, three summary tokens, and transformer blocks without a last norm."""

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"  # a part of the spectrum, and of the summary

    def __init__(self, config: CrtConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.rows = LeadRows(config.signal)
        self.to_token = nn.ModuleList(PatchTokens(len(config.signal.leads), D) for _ in DOMAINS)
        self.summary = nn.Parameter(torch.randn(len(DOMAINS), D))
        self.positions = nn.Parameter(torch.randn(sum(config.patches) + len(DOMAINS), D))
        self.domain = nn.Parameter(torch.randn(len(DOMAINS), D))
        self.blocks = _blocks(config, config.depth)

    def patches(self, x: Tensor) -> Domains:
        """Cut a signal with its spectrum ``[B, L, 2 T]`` into patches, ``[B, n, L, p]`` of each domain."""
        B, L, _ = x.shape
        every = x.view(B, L, -1, self.config.patch).transpose(1, 2)
        return torch.split(every, list(self.config.patches), dim=1)

    def tokens(self, patches: Domains) -> Domains:
        """Return the tokens of patches without positions, ``[B, n, D]`` of each domain."""
        found = (net(x.flatten(0, 1)) for net, x in zip(self.to_token, patches, strict=True))
        return [tokens.view(*x.shape[:2], -1) for tokens, x in zip(found, patches, strict=True)]

    def run(self, tokens: Domains, places: Domains) -> list[Tensor]:
        """Return the input of the first block and the output of every block, ``[B, N + 3, D]`` each.

        A summary token stands in front of the tokens of each domain.

        Args:
            tokens: ``[B, n, D]`` of each domain.
            places: int ``[n]`` of each domain, which of its patches these are.
        """
        parts, first = [], 0
        for d, (x, at, count) in enumerate(zip(tokens, places, self.config.patches, strict=True)):
            whole = torch.cat([self.summary[d].to(x.dtype).expand(len(x), 1, -1), x], dim=1)
            rows = torch.cat([at.new_zeros(1), at + 1]) + first
            parts.append(whole + self.positions[rows] + self.domain[d])
            first += count + 1
        outputs = [torch.cat(parts, dim=1)]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def without_summaries(self, x: Tensor, counts: Sequence[int]) -> tuple[Domains, Tensor]:
        """Split ``[B, N + 3, D]`` into the tokens of each domain, and the summary tokens ``[B, 3, D]``."""
        parts = torch.split(x, [count + 1 for count in counts], dim=1)
        return [part[:, 1:] for part in parts], torch.stack([part[:, 0] for part in parts], dim=1)

    def all_places(self, device: torch.device) -> Domains:
        """Return the places of all patches."""
        return [torch.arange(count, device=device) for count in self.config.patches]

    def prepared(self, signal: Tensor, lead_ids: Tensor) -> Domains:
        """Return the patches of records ``[B, L, T]``, of the signal and of its spectrum.

        Raises:
            SignalError: T is not the contract's.
        """
        T = self.config.signal.samples
        if signal.shape[-1] != T:
            raise SignalError(f"signals of {signal.shape[-1]} samples", f"{T}")
        return self.patches(spectrum_of(self.rows(signal, lead_ids)))

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        first, *outputs = self.run(self.tokens(self.prepared(signal, lead_ids)), self.all_places(signal.device))
        counts = self.config.patches
        tokens, summaries = self.without_summaries(outputs[-1], counts)
        means = [self.without_summaries(output, counts)[1].mean(1) for output in (first, *outputs)]
        return Features(
            summaries.mean(1),
            tokens=torch.cat(list(tokens), dim=1),
            layers=torch.stack(means[1:], dim=1),
            layer_input=means[0],
        )

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """See `Encoder.block_tokens`: the summary tokens are left out."""
        return torch.cat(list(self.without_summaries(x, self.config.patches)[0]), dim=1)


class Crt(Method):
    """The encoder, and a decoder that rebuilds all patches."""

    def __init__(self, config: CrtConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: CrtEncoder = CrtEncoder(config)
        D = config.width
        self.hidden = nn.Parameter(torch.randn(len(DOMAINS), D))
        self.places = nn.Parameter(torch.randn(sum(config.patches), D))
        self.blocks = _blocks(config, config.decoder_depth)
        self.to_patch = nn.ModuleList(nn.Linear(D, len(config.signal.leads) * config.patch) for _ in DOMAINS)
        self.before, self.after = nn.Linear(D, D), nn.Linear(D, D)

    @classmethod
    def fewest_records(cls, config: Any) -> int:
        """Return 2: batch norms take their statistics over the records."""
        return 2

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Rebuild all patches from those that are visible."""
        patches = self.encoder.prepared(batch.signal, batch.lead_ids)
        share = min(max(clock.progress, self.config.hide[0]), self.config.hide[1])
        hidden = self.draw_hidden(share, batch.signal)
        errors, apart, summary = self.compare(patches, hidden)
        stats = {} if self.training else embedding_statistics(summary)
        parts = {"reconstruction": errors.mean(), "discrimination": self.config.discrimination * apart.mean()}
        return Losses(parts, stats)

    def draw_hidden(self, share: float, records: Tensor) -> Domains:
        """Draw the patches that are hidden, the same for all records of all processes.

        Magnitude and phase lose the same ones, so that neither tells of the other.

        Args:
            share: Share of all patches.
            records: ``[B, ...]``, the records of this process.
        """
        every = sum(self.config.patches)
        time, spectrum = (
            gather(torch.rand(len(records), count).to(records.device))[0].argsort()[: int(every * share) // part]
            for count, part in zip(self.config.patches, (2, 4), strict=False)
        )
        return time, spectrum, spectrum

    def compare(self, patches: Domains, hidden: Domains) -> tuple[Tensor, Tensor, Tensor]:
        """Hide patches and rebuild all.

        Args:
            patches: ``[B, n, L, p]`` of each domain.
            hidden: int ``[m]`` of each domain, which patches are hidden.

        Returns:
            The error of every patch ``[B, N]``, the discrimination ``[B]``, and the mean summary token ``[B, D]``.
        """
        seen = [_others(count, at) for count, at in zip(self.config.patches, hidden, strict=True)]
        tokens = self.encoder.tokens([x[:, at] for x, at in zip(patches, seen, strict=True)])
        last = self.encoder.run(tokens, seen)[-1]
        visible, summaries = self.encoder.without_summaries(last, [len(at) for at in seen])
        apart = instance_discrimination(
            self.before(torch.cat(list(tokens), 1)), self.after(torch.cat(list(visible), 1))
        )
        errors = [
            patch_errors(rebuilt.view(x.shape), x)
            for rebuilt, x in zip(self.rebuild(last, visible, seen, hidden), patches, strict=True)
        ]
        return torch.cat(errors, dim=1), apart, summaries.mean(1)

    def rebuild(self, last: Tensor, visible: Domains, seen: Domains, hidden: Domains) -> Domains:
        """Return every patch, ``[B, n, L p]`` of each domain.

        Hidden patches are read off the decoder's output, visible ones off the encoder's.
        """
        B, N, _ = last.shape
        starts = torch.tensor([0, *self.config.patches[:-1]]).cumsum(0).tolist()
        blank = [self.hidden[d] + self.places[at + starts[d]] for d, at in enumerate(hidden)]
        x = torch.cat([last, torch.cat(blank).to(last.dtype).expand(B, -1, -1)], dim=1)
        for block in self.blocks:
            x = block(x)
        decoded = torch.split(x[:, N:], [len(at) for at in hidden], dim=1)
        found = []
        for net, known, made, at, gone in zip(self.to_patch, visible, decoded, seen, hidden, strict=True):
            order = torch.cat([at, gone]).argsort()
            found.append(net(torch.cat([known, made], dim=1)[:, order]))
        return found


def _blocks(config: CrtConfig, depth: int) -> nn.ModuleList:
    return nn.ModuleList(
        Block(
            width=config.width,
            heads=config.heads,
            hidden=config.hidden,
            head_width=config.head_width,
            qkv_bias=False,
            dropout=config.dropout,
        )
        for _ in range(depth)
    )


def _others(count: int, hidden: Tensor) -> Tensor:
    """Return the numbers below `count` that are not among `hidden`, in order."""
    kept = torch.ones(count, dtype=torch.bool, device=hidden.device)
    kept[hidden] = False
    return kept.nonzero()[:, 0]
