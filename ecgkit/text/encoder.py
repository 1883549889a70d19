"""The interface of text encoders: texts become arrays of tokens, and tokens become vectors of one width.

The vectors of a frozen encoder are computed once for every unique text and kept, so it takes no part in a training
step. A trained encoder gets the tokens of the texts in a batch. Shapes: U texts, T tokens, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ecgkit.entries import TextEncoderEntry
from ecgkit.errors import ConfigError, PluginError
from ecgkit.plugins import host
from ecgkit.text.config import TextConfig

Progress = Callable[[int, int], None]
BATCH = 128


class TextEncoder(nn.Module, ABC):
    """Turns texts into vectors; built from a `TextConfig` only.

    Whatever `fit` learns from texts is kept in buffers and parameters, so a run's weights hold all that later texts
    need. The data decide the size of those buffers, so a fresh encoder takes the sizes of the weights that it loads.
    """

    width: int
    frozen: bool = True
    _reader: Any = None  # a tokenizer of another library, built from the buffers on first use

    @classmethod
    def complete(cls, config: TextConfig) -> TextConfig:
        """Return the config with the encoder's own width, if that is fixed."""
        return config

    def fit(self, texts: Sequence[str]) -> None:
        """Learn from the training texts what the encoder needs before the first step, such as a vocabulary."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Convert texts into an array ``[U, ...]``, padded to one length."""

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Convert the output of `tokens` into vectors ``[U, D]``."""

    def _load_from_state_dict(self, state: Mapping[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            stored = state.get(prefix + name)
            if stored is not None and stored.shape != buffer.shape:
                setattr(self, name, torch.empty_like(stored, device=buffer.device))
        self._reader = None
        super()._load_from_state_dict(state, prefix, *rest)

    def identity(self) -> str | None:
        """Return a hash of everything that decides the vectors, for a cache; None if caching is pointless."""
        return None

    @torch.no_grad()
    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Return the vectors of texts, float32 ``[U, D]``, in evaluation mode and without gradients."""
        was_training = self.training
        self.eval()
        parts = []
        for start in range(0, len(texts), BATCH):
            tokens = self.tokens(texts[start : start + BATCH])
            parts.append(self(tokens.to(self.device)).float())
            if progress:
                progress(min(start + BATCH, len(texts)), len(texts))
        self.train(was_training)
        return torch.cat(parts) if parts else torch.zeros(0, self.width, device=self.device)

    @property
    def device(self) -> torch.device:
        """The device on which it computes."""
        tensors = [*self.parameters(), *self.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")


def text_encoder_class(config: TextConfig) -> type[TextEncoder]:
    """Return the class of the encoder that a config names.

    Raises:
        PluginError: There is no such encoder, or it cannot be loaded.
    """
    found: type[TextEncoder] = host().get(TextEncoderEntry, config.encoder).load()
    if not (isinstance(found, type) and issubclass(found, TextEncoder)):
        raise PluginError(f"text encoder {config.encoder!r} is {found!r}", "a subclass of TextEncoder")
    return found


def completed(config: TextConfig) -> TextConfig:
    """Return a text config with its encoder's own width."""
    return text_encoder_class(config).complete(config)


def build_text_encoder(config: TextConfig) -> TextEncoder:
    """Build the text encoder that a config names, unfitted."""
    encoder = text_encoder_class(config)(config)
    if encoder.width != config.width:
        raise ConfigError(
            f"text encoder {config.encoder} has the fixed width {encoder.width}, not text.width {config.width}",
            remedy=f"Use --set text.width={encoder.width}.",
        )
    return encoder


def bytes_of(text: str) -> Tensor:
    """Return a text as UTF-8 bytes, uint8 ``[n]``, so that it can be stored with weights."""
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def text_of(buffer: Tensor) -> str:
    """Return the text that `bytes_of` turned into a tensor."""
    return buffer.cpu().numpy().tobytes().decode()
