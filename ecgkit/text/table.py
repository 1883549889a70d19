"""A fixed list of texts, of which training steps ask for vectors by index.

The vectors of a frozen encoder are computed once and cached beside the store, under a hash of encoder and texts. For a
trained encoder the tokens are kept, and only the texts of a batch are encoded.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecgkit.atomic import atomic_folder
from ecgkit.config import fingerprint
from ecgkit.errors import OutputError, RunError
from ecgkit.text.encoder import TextEncoder

VECTORS = "vectors.npy"


class TextTable(nn.Module):
    """Vectors by index. The table is not part of a run's weights.

    It is empty until `fill` is called.
    """

    values: Tensor  # vectors [U, D] of a frozen encoder, or tokens [U, ...] of a trained one

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(0), persistent=False)

    def __len__(self) -> int:
        return len(self.values)

    def fill(self, encoder: TextEncoder, texts: Sequence[str], cache: Path | None = None) -> None:
        """Store the texts, in this order.

        Args:
            encoder: A fitted encoder.
            texts: The U texts.
            cache: Folder for vectors that are expensive to compute.
        """
        self.values = _vectors(encoder, texts, cache) if encoder.frozen else encoder.tokens(texts)

    def forward(self, encoder: TextEncoder, index: Tensor | None = None) -> Tensor:
        """Return the vectors ``[n, D]`` of some texts, or of all texts.

        Raises:
            RunError: There are no texts. A finished run holds none; only training fills the table.
        """
        if not len(self):
            raise RunError("this method has no texts: a finished run holds none, only training fills them in")
        chosen = self.values if index is None else self.values[index]
        if encoder.frozen:
            return chosen
        if index is None:
            return encoder(chosen)
        # A batch repeats common reports. Each is encoded once.
        unique, place = torch.unique(index, return_inverse=True)
        return encoder(self.values[unique])[place]


def _vectors(encoder: TextEncoder, texts: Sequence[str], cache: Path | None) -> Tensor:
    identity = encoder.identity() if cache is not None else None
    if cache is None or identity is None:
        return encoder.embed(texts).cpu()
    folder = cache / fingerprint(identity, list(texts))
    try:
        vectors = np.load(folder / VECTORS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        vectors = None  # missing or damaged: it is only a cache
    if vectors is None or vectors.shape != (len(texts), encoder.width):
        vectors = encoder.embed(texts).cpu().numpy()
        with suppress(OutputError), atomic_folder(folder, "text vectors") as staging:  # another process may be faster
            np.save(staging / VECTORS, vectors)
    return torch.from_numpy(vectors)
