"""The hierarchical transformer: convolutions by lead, transformer stages at several depths, one CLS through all.

Hierarchical Transformer for Electrocardiogram Diagnosis, arXiv 2411.00755, in the form of its released code. A stage
reads the raw output of one convolution; all that goes from a stage to the next is its CLS, if `cls` says nothing else.

In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not there is 0, the middle of its scale. Out: features
of width D, and logits where the classes are known.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import RunError, SignalError
from ecgkit.methods import (
    AttentionCall,
    Batch,
    Clock,
    Corpus,
    Encoder,
    Features,
    Losses,
    Method,
    TokenLayout,
    stretch_layout,
)
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit.nn.receptive_field import receptive_fields
from ecgkit.nn.transformer import Attention, Mlp
from ecgkit.training.supply import demographics
from ecgkit_hierarchical.attention import DifferentialAttention
from ecgkit_hierarchical.config import KERNELS, LEADS, PADDING, STRIDES, HierarchicalConfig
from ecgkit_hierarchical.heads import ClsHead, GateHead, initialise_gate


def positions(n: int, width: int, device: torch.device) -> Tensor:
    """Return ``[n, D]``: sines in even columns, cosines in odd ones (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    rate = 10_000 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float64) / width)
    angle = torch.arange(n, device=device, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


class Convolutions(nn.Module):
    """Convolutions, each followed by batch norm and ReLU; with groups, the channels of a lead see that lead alone."""

    def __init__(self, config: HierarchicalConfig) -> None:
        super().__init__()
        sizes = (LEADS, *config.channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(
                sizes[i],
                sizes[i + 1],
                KERNELS[i],
                STRIDES[i],
                PADDING[i],
                groups=LEADS if config.grouped else 1,
                bias=False,
            )
            for i in range(config.conv_layers)
        )
        # The last one is not used; the released weights have it.
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in config.channels)
        self.norms[-1].requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the raw output ``[B, channels, T']`` of every convolution on ``[B, 12, T]``."""
        raw = []
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            raw.append(x)
            if i + 1 < len(self.convs):
                x = F.relu(norm(x))
        return raw


class StageBlock(nn.Module):
    """A post-norm block: ``x = LN(x + Attention(x)); x = LN(x + Mlp(x))``."""

    def __init__(self, config: HierarchicalConfig, depth: int) -> None:
        super().__init__()
        D = config.width
        self.attn: nn.Module = (
            DifferentialAttention(width=D, heads=config.heads, depth=depth)
            if config.attention == "differential"
            else Attention(width=D, heads=config.heads)
        )
        self.mlp = Mlp(width=D, hidden=config.hidden, activation="relu", dropout=config.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, D] -> [B, N, D]``."""
        x = self.norm1(x + F.dropout(self.attn(x), self.dropout, self.training))
        return self.norm2(x + F.dropout(self.mlp(x), self.dropout, self.training))


class HierarchicalEncoder(Encoder):
    """Convolutions, stages and, where the classes are known, the head; see the module."""

    needs: ClassVar[tuple[str, ...]] = ("demographics",)
    padding: ClassVar[str] = "zeros"  # the middle of the scale, as published
    wide_mean: Tensor
    wide_deviation: Tensor

    def __init__(self, config: HierarchicalConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.classes = config.classes
        self.convolutions = Convolutions(config)
        self.cls_token = nn.Parameter(torch.empty(1, config.summaries, D))
        depths = config.stage_depths
        self.blocks = nn.ModuleList(StageBlock(config, n) for n in range(sum(depths)))
        self.head = _build_head(config)
        # Of age and sex in the training records.
        self.register_buffer("wide_mean", torch.zeros(2))
        self.register_buffer("wide_deviation", torch.ones(2))

    def forward(
        self,
        signal: Tensor,
        lead_ids: Tensor,
        lengths: Tensor | None = None,
        *args: Any,
        demographics: Tensor | None = None,
        wide: Tensor | None = None,
        **kwargs: Any,
    ) -> Features:
        """Encode records; see `Encoder.forward`. Padding stays 0, the middle of the scale, as published.

        Args:
            signal: ``[B, L, T]``, each lead from -1 to 1.
            lead_ids: ``[L]``.
            lengths: Not used.
            args: Not used.
            demographics: ``[B, 2]``, age in years and 1 for female, NaN where unknown; None leaves them out.
            wide: ``[B, W]``, all wide features as they are, in place of `demographics`.
            kwargs: Not used.
        """
        last, summaries, K = None, [], self.config.summaries
        for last in self.run_blocks(signal, lead_ids):
            summaries.append(last[:, :K].mean(dim=1))
        assert last is not None
        wide = self.wide_features(demographics, signal.shape[0], signal.device) if wide is None else wide
        return Features(
            pooled=summaries[-1],
            tokens=last[:, K:],
            layers=torch.stack(summaries, dim=1),
            layer_input=self.cls_token.mean(dim=1).expand(signal.shape[0], -1),
            logits=None if self.head is None else self.head(last, wide),
        )

    def run_blocks(self, signal: Tensor, lead_ids: Tensor) -> Iterator[Tensor]:
        """Yield the output ``[B, K + N, D]`` of every block, the K CLS first; N differs from stage to stage."""
        raw = self.convolutions(self.on_all_leads(signal, lead_ids))
        carried, done = self.cls_token.expand(signal.shape[0], -1, -1), 0
        for conv, depth in zip(self.config.stage_inputs, self.config.stage_depths, strict=True):
            x = torch.cat([carried, raw[conv - 1].transpose(1, 2)], dim=1)
            x = x + positions(x.shape[1], self.width, x.device)
            x = F.dropout(x, self.config.dropout, self.training)
            for block in self.blocks[done : done + depth]:
                x = block(x)
                yield x
            carried, done = x if self.config.cls == "all" else x[:, : self.config.summaries], done + depth

    def on_all_leads(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Put leads in their places of twelve, ``[B, L, T] -> [B, 12, T]``; the others are 0.

        Raises:
            SignalError: A lead is none of the twelve, or the signal is too short.
        """
        B, _, T = signal.shape
        check_standard_leads(lead_ids)
        if self.config.tokens(T) < 1:
            raise SignalError(
                f"a signal of {T} samples", "a longer signal: the convolutions shorten this one to nothing"
            )
        built_for = self.config.last_tokens(self.config.signal.samples)
        if isinstance(self.head, GateHead) and self.config.last_tokens(T) != built_for:
            raise SignalError(
                f"a signal of {T} samples",
                f"{self.config.signal.samples}, as the gate was built for",
                "Other lengths need signal.seconds set before training, or gate=false.",
            )
        return signal.new_zeros(B, LEADS, T).index_copy(1, lead_ids, signal)

    def wide_features(self, demographics: Tensor | None, records: int, device: torch.device) -> Tensor:
        """Return ``[B, W]``: age and sex, standardised, in the first two places, 0 in the others.

        Missing values are 0 before they are standardised, as in the released code.
        """
        wide = torch.zeros(records, self.config.wide_features, device=device)
        if demographics is not None and self.config.wide == "demographics":
            wide[:, :2] = (demographics.nan_to_num(0.0) - self.wide_mean) / self.wide_deviation
        return wide

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the CLS, then the tokens of each stage; see `Encoder.token_layout`. Every token holds all leads."""
        (_, L, T), device, K = batch.signal.shape, batch.signal.device, self.config.summaries
        lengths, calls, spans, first = self.config.conv_lengths(T), list[AttentionCall](), list[Tensor](), K
        cls = torch.arange(K, device=device)
        for conv, depth in zip(self.config.stage_inputs, self.config.stage_depths, strict=True):
            spans.append(stage_spans(self.config, conv, T).to(device))
            last = first + lengths[conv - 1]
            tokens = torch.arange(K if self.config.cls == "all" else first, last, device=device)
            calls += [AttentionCall.among(torch.cat([cls, tokens]))] * depth
            first = last
        every = torch.cat(spans)
        layout = stretch_layout(torch.full_like(every[:, 0], -1), every, L)
        layout = layout.placed(torch.arange(K, first, device=device), first)
        pooled = torch.zeros_like(layout.pooled).index_fill(0, cls, 1 / K)
        return replace(layout, pooled=pooled, calls=tuple(calls))

    @torch.no_grad()
    def lead_gate(self, batch: Batch) -> Tensor | None:
        """Return the gate's weights, summed over the channels that the grouped convolutions made of each lead."""
        if not (isinstance(self.head, GateHead) and self.config.grouped):
            return None
        *_, tokens = self.run_blocks(batch.signal, batch.lead_ids)
        wide = self.wide_features(batch.extra.get("demographics"), len(batch.signal), batch.signal.device)
        weights = self.head.scores(self.head.rows(tokens, wide)).softmax(dim=1)[:, self.config.wide_features :]
        by_lead = torch.unflatten(weights.transpose(1, 2), -1, (LEADS, -1)).sum(dim=-1)  # (B, C, 12)
        return by_lead[..., batch.lead_ids]


def stage_spans(config: HierarchicalConfig, conv: int, samples: int) -> Tensor:
    """Return the samples that each output of a convolution was made from, int ``[N, 2]``, cut to the input.

    Args:
        config: The config.
        conv: Number of the convolution, from 1.
        samples: T.
    """
    layers = list(zip(KERNELS, STRIDES, PADDING, strict=False))[:conv]
    return receptive_fields(layers, samples, config.conv_lengths(samples)[conv - 1])


class Hierarchical(Method):
    """The encoder, trained on a task's labels."""

    def __init__(self, config: HierarchicalConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: HierarchicalEncoder = HierarchicalEncoder(config)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        initialise_gate(self.encoder.head)

    @classmethod
    def complete(cls, config: HierarchicalConfig, corpus: Corpus) -> HierarchicalConfig:
        """Fill in the class names."""
        return replace(config, classes=corpus.labels)

    def prepare(self, corpus: Corpus) -> None:
        """Take mean and deviation of age and sex from the training records."""
        known = demographics(corpus.store)[torch.from_numpy(corpus.train)].nan_to_num(0.0)
        deviation, mean = torch.std_mean(known, dim=0, correction=0)
        self.encoder.wide_mean.copy_(mean)
        self.encoder.wide_deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the labels."""
        logits, labels = self.encoder.encode(batch).logits, batch.extra.get("labels")
        if logits is None or labels is None:
            raise RunError("this model trains on labels and got none", "a task", "Name one with --task.")
        return Losses({"classification": F.binary_cross_entropy_with_logits(logits.float(), labels)})


def _build_head(config: HierarchicalConfig) -> nn.Module | None:
    if not config.classes:
        return None
    if config.gate:
        tokens = config.last_tokens(config.signal.samples)
        return GateHead(tokens=tokens, classes=len(config.classes), dropout=config.gate_dropout)
    return ClsHead(
        width=config.width,
        wide=config.wide_features,
        deep=config.deep,
        classes=len(config.classes),
        dropout=config.deep_dropout,
        summaries=config.summaries,
    )
