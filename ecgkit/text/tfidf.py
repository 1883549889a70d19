"""TF-IDF and truncated SVD (latent semantic analysis), the offline default. Its arrays are stored with the weights.

Deerwester et al., Indexing by Latent Semantic Analysis, JASIS 41(6), 1990. Terms are words and pairs of words that
occur in at least `FEWEST` different texts, so a word in only one report, such as a name, is not kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.text.config import TextConfig
from ecgkit.text.encoder import TextEncoder, bytes_of, text_of

FEWEST = 2
SEPARATOR = "\n"


class TfidfEncoder(TextEncoder):
    """TF-IDF and truncated SVD; see the module's docstring.

    Args:
        config: Settings; `width` and `vocabulary` are used.
    """

    terms: Tensor  # uint8, the terms joined by line breaks
    idf: Tensor  # [V]
    components: Tensor  # [D, V]

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.width = config.width
        self.most_terms = config.vocabulary
        self.register_buffer("terms", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("idf", torch.zeros(0))
        self.register_buffer("components", torch.zeros(config.width, 0))

    def fit(self, texts: Sequence[str]) -> None:
        """Learn vocabulary, weights and components from texts. Zeros fill up to D components."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        unique = list(dict.fromkeys(texts))
        fewest = FEWEST if len(unique) > FEWEST else 1
        counter = TfidfVectorizer(**_TERMS, min_df=fewest, max_features=self.most_terms)
        weights = counter.fit_transform(unique)
        rank = min(self.width, weights.shape[1] - 1, weights.shape[0] - 1)
        components = np.zeros((self.width, weights.shape[1]), np.float32)
        if rank > 0:
            components[:rank] = TruncatedSVD(rank, random_state=0).fit(weights).components_
        self.terms = bytes_of(SEPARATOR.join(counter.get_feature_names_out()))
        self.idf = torch.from_numpy(counter.idf_.astype(np.float32))
        self.components = torch.from_numpy(components)
        self._reader = None

    def _counter(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        if not len(self.terms):
            raise RunError("text encoder 'tfidf' has no vocabulary yet", remedy="Fit it, or load a run's weights.")
        if self._reader is None:
            self._reader = TfidfVectorizer(**_TERMS, vocabulary=text_of(self.terms).split(SEPARATOR))
            self._reader.idf_ = self.idf.double().cpu().numpy()
        return self._reader

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return TF-IDF weights ``[U, V]``, with each row of unit length (or 0 if no term is known)."""
        return torch.from_numpy(self._counter().transform(texts).toarray().astype(np.float32))

    def forward(self, tokens: Tensor) -> Tensor:
        """Project to the components, and scale to unit length: ``[U, V] -> [U, D]``."""
        return F.normalize(tokens @ self.components.T, dim=-1)


# Single letters and digits are terms too: "V1", "2nd", "I".
_TERMS = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b", "sublinear_tf": True, "lowercase": True}
