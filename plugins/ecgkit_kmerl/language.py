"""The text side of both families: the encoder, and the store's reports by index."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from ecgkit.methods import Corpus
from ecgkit.store.products import own_folder
from ecgkit.text.config import TextConfig
from ecgkit.text.encoder import build_text_encoder
from ecgkit.text.reports import read_corpus, report_table
from ecgkit.text.table import TextTable


class Language(nn.Module):
    """The text encoder, and the texts of a training.

    Args:
        config: Settings of the text encoder.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.corpus = config.corpus
        self.encoder = build_text_encoder(config)
        self.reports = TextTable()
        self.names = TextTable()

    @property
    def width(self) -> int:
        """Width D of the vector of a text."""
        return self.encoder.width

    def prepare(self, corpus: Corpus, names: Sequence[str] = ()) -> None:
        """Fit the encoder on the training records' reports, the corpus and `names`, and take in all reports and names.

        Raises:
            StoreError: The store has no reports.
            DatasetError: The config names a further corpus that cannot be read.
        """
        table = report_table(corpus.store)
        further = read_corpus(Path(self.corpus)) if self.corpus else ()
        self.encoder.fit([*dict.fromkeys([*table.of(corpus.train), *further]), *names])
        cache = own_folder(corpus.store.path, corpus.store.content_hash, "text")
        self.reports.fill(self.encoder, table.texts, cache)
        if names:
            self.names.fill(self.encoder, names, cache)

    def report_vectors(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors ``[B, D]`` of reports by index, and bool ``[B]``, True for records with a report."""
        has = index >= 0
        return self.reports(self.encoder, index.clamp_min(0)), has

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors ``[n, D]`` of any texts."""
        return self.encoder.embed(texts)
