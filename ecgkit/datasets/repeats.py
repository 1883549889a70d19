"""Texts that occur more than once in a long list, such as record ids, with 8 bytes of memory for each text."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

A = TypeVar("A", str, str | None)


def repeated(texts: Callable[[], Iterable[A]]) -> list[A]:
    """Return the texts that occur more than once, in the order of their first occurrence.

    Args:
        texts: Returns the texts. It is called again if two of them have the same hash.
    """
    hashes = np.fromiter(map(hash, texts()), np.int64)
    hashes.sort()
    suspect = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspect:
        return []
    counts = Counter(text for text in texts() if hash(text) in suspect)
    return [text for text, count in counts.items() if count > 1]
