"""Tables with report text, which only their owner can read and which no spreadsheet runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgkit.atomic import atomic_file


def inert(cell: str) -> str:
    """Return a cell that no spreadsheet treats as a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


@contextmanager
def private_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends; only its owner can read the file."""
    with atomic_file(path) as staging:
        os.close(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        staging.chmod(0o600)  # a leftover of a killed process may have another mode
        yield staging
