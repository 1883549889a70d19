"""The second stage: a language model of heartbeats, which predicts the codes of hidden ones.

Jin et al., arXiv 2502.10707, section 3.3. The codes come from the tokenizer of the first stage, which stays as it is
and is part of this method: a finished run does not need the run of the tokenizer.

In: signal and R peaks. Out: features of width D, or the loss.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.errors import ConfigError
from ecgkit.methods import Batch, Clock, Corpus, Losses, Method
from ecgkit.nn.losses.records import mean_by_record
from ecgkit.nn.masking import random_mask
from ecgkit.training.run import open_run
from ecgkit_heartlang.config import HeartLangConfig
from ecgkit_heartlang.sentence import Sentence, SentenceEncoder
from ecgkit_heartlang.tokenizer import Tokenizer

FIRST_STAGE = "heartlang_tokenizer"


class HeartLang(Method):
    """Encoder, mask token, classifier of codes, and the tokenizer that says which codes are right."""

    def __init__(self, config: HeartLangConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: SentenceEncoder = SentenceEncoder(config)
        self.hidden = nn.Parameter(torch.empty(config.width).normal_(std=0.02))
        self.to_codes = nn.Linear(config.width, config.codebook.codes)
        self.tokenizer = Tokenizer(config.codebook).requires_grad_(False)

    @classmethod
    def built_on(cls, config: Any) -> tuple[Path, ...]:
        """Return the run of the tokenizer."""
        return (Path(config.tokenizer),) if config.tokenizer else ()

    @classmethod
    def complete(cls, config: Any, corpus: Corpus) -> Any:
        """Take the tokenizer's settings from its run.

        Raises:
            ConfigError: The run is of another method, or reads another input.
        """
        codebook, which = config.codebook, "codebook"
        if config.tokenizer:
            run = open_run(Path(config.tokenizer))
            if run.entry.name != FIRST_STAGE:
                raise ConfigError(
                    f"tokenizer {config.tokenizer} is a run of {run.entry.name}", f"a run of {FIRST_STAGE}"
                )
            codebook, which = run.config, f"tokenizer {config.tokenizer}"
        own, other = ((c.signal, c.window, c.length) for c in (config, codebook))
        if own != other:
            raise ConfigError(
                f"{which} reads another input", remedy="Give both stages the same signal, window and length."
            )
        return replace(config, codebook=codebook)

    def prepare(self, corpus: Corpus) -> None:
        """Take the tokenizer's weights from its run."""
        if self.config.tokenizer:
            self.tokenizer.load_state_dict(open_run(Path(self.config.tokenizer)).method().state_dict())

    def train(self, mode: bool = True) -> "HeartLang":
        """Change the mode of all but the tokenizer, whose codes stay where they are."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def logits(self, line: Sentence, hidden: Tensor) -> Tensor:
        """Return ``[B, S, V]`` over the codes, with some heartbeats ``[B, S]`` hidden from the encoder."""
        x = torch.where(hidden[..., None], self.hidden, self.encoder.embed_beats(line))
        out: Tensor = self.to_codes(self.encoder.norm(self.encoder.run(x, line)[-1])[:, 1:])
        return out

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Predict the codes of hidden heartbeats."""
        line = self.encoder.read(batch.signal, batch.lead_ids, batch.extra["beats"], batch.lengths)
        with torch.no_grad():
            _, codes, _ = self.tokenizer.quantize(line)
        hidden = random_mask(tuple(line.real.shape), self.config.mask_ratio, line.real.device, line.real).mask.bool()
        logits = self.logits(line, hidden).float()
        wrong = F.cross_entropy(logits.transpose(1, 2), codes, reduction="none")
        right = {} if self.training else {"accuracy": mean_by_record((logits.argmax(-1) == codes).float(), hidden)}
        return Losses({"codes": mean_by_record(wrong, hidden)}, right)
