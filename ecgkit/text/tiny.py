"""A small transformer on a WordPiece vocabulary, trained from scratch together with the method; nothing to download.

Wu et al., Google's Neural Machine Translation System, arXiv 1609.08144 (WordPiece). Blocks are pre-norm; the vector of
a text is the mean of its tokens after the last norm.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ecgkit.distribution import install_extra
from ecgkit.errors import PluginError, RunError
from ecgkit.nn.transformer import Block
from ecgkit.text.config import TextConfig
from ecgkit.text.encoder import TextEncoder, bytes_of, text_of

PAD, UNKNOWN = "[PAD]", "[UNK]"
HEAD_WIDTH = 32


class TinyEncoder(TextEncoder):
    """A small transformer; see the module's docstring.

    Args:
        config: Settings; `width`, `depth`, `vocabulary` and `max_tokens` are used.
    """

    frozen = False
    tokenizer: Tensor  # uint8, the tokenizer's JSON

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.width = D = config.width
        self.most_pieces, self.max_tokens = config.vocabulary, config.max_tokens
        self.register_buffer("tokenizer", torch.zeros(0, dtype=torch.uint8))
        self.pieces = nn.Embedding(config.vocabulary, D, padding_idx=0)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, D).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            Block(width=D, heads=max(1, D // HEAD_WIDTH), head_width=HEAD_WIDTH, hidden=4 * D)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(D)

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the word pieces from texts.

        Raises:
            PluginError: The package tokenizers is not installed.
        """
        library = _tokenizers()
        tokenizer = library.Tokenizer(library.models.WordPiece(unk_token=UNKNOWN))
        tokenizer.normalizer = library.normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        trainer = library.trainers.WordPieceTrainer(
            vocab_size=self.most_pieces, min_frequency=2, special_tokens=[PAD, UNKNOWN], show_progress=False
        )
        tokenizer.train_from_iterator(sorted(set(texts)), trainer)
        self.tokenizer = bytes_of(tokenizer.to_str())
        self._reader = None

    def _tokenizer(self) -> Any:
        if not len(self.tokenizer):
            raise RunError("text encoder 'tiny' has no vocabulary yet", remedy="Fit it, or load a run's weights.")
        if self._reader is None:
            self._reader = _tokenizers().Tokenizer.from_str(text_of(self.tokenizer))
            self._reader.enable_truncation(self.max_tokens)
            self._reader.enable_padding(pad_id=0, pad_token=PAD)
        return self._reader

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return word pieces, int64 ``[U, T]``, 0 after the end of a text."""
        pieces = [piece.ids or [0] for piece in self._tokenizer().encode_batch(list(texts))]  # [0] for an empty text
        return torch.tensor(pieces, dtype=torch.int64)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode word pieces, ``[U, T] -> [U, D]``."""
        real = tokens != 0
        real[:, 0] = True  # for an empty text, its padding
        x = self.pieces(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, real[:, None, None])
        weight = real[..., None].to(x.dtype)
        mean: Tensor = (self.norm(x) * weight).sum(1) / weight.sum(1)
        return mean


def _tokenizers() -> Any:
    """Import the optional library of word pieces."""
    try:
        import tokenizers
    except ImportError:
        raise PluginError(
            "the text encoder tiny needs the package tokenizers, which is not installed", remedy=install_extra("text")
        ) from None
    return tokenizers
