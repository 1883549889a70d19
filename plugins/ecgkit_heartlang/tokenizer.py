"""The first stage: a tokenizer that turns each heartbeat into a code from which it can be rebuilt.

Jin et al., arXiv 2502.10707, section 3.2 (VQ-HBR).

In: signal and R peaks. Out: the code of every heartbeat, or the loss.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.nn.losses.records import mean_by_record
from ecgkit_heartlang.codebook import Codebook
from ecgkit_heartlang.config import TokenizerConfig
from ecgkit_heartlang.sentence import Sentence, SentenceEncoder, blocks


class Tokenizer(Method):
    """Encoder, codebook and decoder."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: SentenceEncoder = SentenceEncoder(config)
        D = config.width
        self.to_code = through_tanh(D, config.code_width)
        self.codebook = Codebook(config.codes, config.code_width, config.decay)
        self.from_code = nn.Linear(config.code_width, D)
        self.positions = nn.Parameter(torch.empty(config.length, D).normal_(std=0.02))
        self.blocks = blocks(config, config.decoder_depth)
        self.norm = nn.LayerNorm(D)
        self.to_beat = through_tanh(D, config.window.width)

    def quantize(self, line: Sentence) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes, their numbers and the commitment of every heartbeat; see `Codebook.forward`."""
        latent = self.encoder.norm(self.encoder.run(self.encoder.embed_beats(line), line)[-1])
        found: tuple[Tensor, Tensor, Tensor] = self.codebook(self.to_code(latent[:, 1:]), line.real)
        return found

    def rebuild(self, codes: Tensor, line: Sentence) -> Tensor:
        """Return heartbeats ``[B, S, W]`` from codes ``[B, S, d]``."""
        x = self.from_code(codes) + self.positions
        seen = line.real[:, None, None] if self.config.pad_aware else None
        if seen is not None:  # a sentence without any heartbeat looks at itself
            seen = seen | ~line.real.any(1)[:, None, None, None]
        for block in self.blocks:
            x = block(x, seen)
        rebuilt: Tensor = self.to_beat(self.norm(x))
        return rebuilt

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Rebuild every heartbeat from its code."""
        line = self.encoder.read(batch.signal, batch.lead_ids, batch.extra["beats"], batch.lengths)
        codes, chosen, commitment = self.quantize(line)
        error = (self.rebuild(codes, line).float() - line.beats).square().mean(dim=-1)
        parts = {
            "rebuilt": mean_by_record(error, line.real),
            "commitment": self.config.beta * mean_by_record(commitment, line.real),
        }
        used = {} if self.training else {"codes_used": len(torch.unique(chosen[line.real])) + error.new_zeros(())}
        return Losses(parts, used)

    def after_step(self, clock: Clock) -> None:
        """Move the codes."""
        self.codebook.update()


def through_tanh(width: int, out: int) -> nn.Sequential:
    """Return a linear layer, tanh and a linear layer."""
    return nn.Sequential(OrderedDict(hidden=nn.Linear(width, width), tanh=nn.Tanh(), out=nn.Linear(width, out)))
