"""Sentences of heartbeats, and the transformer that reads them.

Jin et al., arXiv 2502.10707. Every lead is cut at the R peaks; the heartbeats of all leads make one line, lead by lead.

In: signal ``[B, L, T]`` and R peaks ``[B, P]``, any leads in any order. Out: features of width D. S places a sentence.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.beats.tokens import BeatTokens, beat_tokens, sentence, sentence_places
from ecgkit.methods import Batch, Encoder, Features, TokenLayout, stretch_layout
from ecgkit.nn.lead_check import check_standard_leads
from ecgkit.nn.reconstruction import standardize_patches
from ecgkit.nn.transformer import Block
from ecgkit_heartlang.config import SentenceConfig

IDS = 16  # rows of the tables of leads and of seconds; 0 stands for an empty place


@dataclass(frozen=True)
class Sentence:
    """The heartbeats of a batch in a line.

    Args:
        beats: ``[B, S, W]``, each standardised, zeros in empty places.
        leads: int ``[B, S]``, the lead from 1 on; 0 in empty places.
        seconds: int ``[B, S]``, the second in which the R peak lies, from 1 on; 0 in empty places.
    """

    beats: Tensor
    leads: Tensor
    seconds: Tensor

    @property
    def real(self) -> Tensor:
        """Bool ``[B, S]``, False in empty places."""
        return self.leads > 0


class SentenceEncoder(Encoder):
    """A pre-norm transformer over a summary and the heartbeats."""

    needs = ("beats",)

    def __init__(self, config: SentenceConfig) -> None:
        super().__init__()
        self.config = config
        self.width = D = config.width
        self.embed = nn.Conv1d(config.window.width, D, 3, padding=1, padding_mode="circular", bias=False)
        self.lead_embedding = nn.Embedding(IDS, D)
        self.second_embedding = nn.Embedding(IDS, D)
        self.summary = nn.Parameter(torch.empty(D).normal_(std=0.02))
        self.positions = nn.Parameter(torch.empty(1 + config.length, D).normal_(std=0.02))
        self.blocks = blocks(config, config.depth)
        self.norm = nn.LayerNorm(D)

    def read(self, signal: Tensor, lead_ids: Tensor, beats: Tensor, lengths: Tensor | None) -> Sentence:
        """Cut a batch into heartbeats and line them up, leads in their standard order.

        Args:
            signal: ``[B, L, T]``.
            lead_ids: ``[L]``.
            beats: R peaks, int ``[B, P]``, -1 for none.
            lengths: ``[B]``, how many samples are real; peaks beyond are dropped. None if all are.
        """
        check_standard_leads(lead_ids)
        order = lead_ids.argsort()
        cut = self.cut(signal[:, order], beats, lengths)
        words, lead, peak = sentence(cut, self.config.length)
        leads = torch.where(lead >= 0, lead_ids[order][lead.clamp(min=0)] + 1, 0)
        second = peak.div(round(self.config.signal.fs), rounding_mode="floor") + 1
        seconds = torch.where(peak > 0, second, 0).clamp(max=IDS - 1)
        return Sentence(standardize_patches(words) * (leads > 0)[..., None], leads, seconds)

    def cut(self, signal: Tensor, beats: Tensor, lengths: Tensor | None) -> BeatTokens:
        """Cut a batch into heartbeats; arguments as in `read`."""
        peaks = beats if lengths is None else torch.where(beats < lengths[:, None], beats, -1)
        return beat_tokens(signal, peaks, self.config.window)

    def embed_beats(self, line: Sentence) -> Tensor:
        """Return the heartbeats' embeddings ``[B, S, D]``, before anything tells where they stand."""
        x: Tensor = self.embed(line.beats.transpose(1, 2)).transpose(1, 2)
        return x

    def run(self, x: Tensor, line: Sentence) -> list[Tensor]:
        """Return the output of every block, ``[B, 1 + S, D]``, the summary first.

        Args:
            x: ``[B, S, D]``, as `embed_beats` gives it, or with hidden heartbeats replaced.
            line: What tells leads, seconds and empty places.
        """
        x = x + self.lead_embedding(line.leads) + self.second_embedding(line.seconds)
        x = torch.cat([self.summary.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1) + self.positions
        seen = F.pad(line.real, (1, 0), value=True)[:, None, None] if self.config.pad_aware else None
        outputs = []
        for block in self.blocks:
            x = block(x, seen)
            outputs.append(x)
        return outputs

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *, beats: Tensor) -> Features:
        """Encode records; see `Encoder.forward`. `beats` are R peaks, int ``[B, P]``, -1 for none."""
        line = self.read(signal, lead_ids, beats, lengths)
        embedded = self.embed_beats(line)
        outputs = self.run(embedded, line)
        last = self.norm(outputs[-1])
        weight = line.real[..., None].to(embedded.dtype)
        return Features(
            pooled=last[:, 0],
            tokens=last[:, 1:],
            layers=torch.stack([output[:, 0] for output in outputs], dim=1),
            layer_input=(embedded * weight).sum(1) / weight.sum(1).clamp(min=1),
            token_real=line.real,
        )

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the summary, then the heartbeats; see `Encoder.token_layout`."""
        cut = self.cut(batch.signal, batch.extra["beats"], batch.lengths)
        lead, slot, filled = (part[0] for part in sentence_places(cut, self.config.length))
        L, device = batch.signal.shape[1], batch.signal.device
        order = batch.lead_ids.argsort()
        spans = F.pad(cut.spans[0], (0, 0, 0, 1))[slot]  # one more for a record without any beat
        layout = stretch_layout(order[lead], spans, L, filled)
        layout = layout.placed(torch.arange(1, 1 + len(lead), device=device), 1 + len(lead))
        return replace(layout, pooled=F.one_hot(torch.zeros_like(lead[0]), layout.count).double())


def blocks(config: SentenceConfig, depth: int) -> nn.ModuleList:
    """Return blocks of a stage; queries, keys and values have no bias, as published."""
    made = nn.ModuleList()
    for _ in range(depth):
        block = Block(width=config.width, heads=config.heads, head_width=config.head_width, hidden=config.hidden)
        block.attn.qkv = nn.Linear(config.width, 3 * config.heads * config.head_width, bias=False)
        made.append(block)
    return made
