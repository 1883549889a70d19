"""Answers that were paid for: one SQLite file in the folder of the reports, readable by its owner only.

Write-ahead logging keeps every answer that was received when the process is killed; the lock that a run holds goes with
its process. Questions are kept as hashes; an answer that could not be read is kept raw, for a look by hand.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ecgkit.errors import OutputError, StoreError

FILE = "cache.sqlite"
_BATCH = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, stage TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, reason TEXT NOT NULL, raw TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
"""


class Cache:
    """Answers by the hash of their question. Use as a context; one process at a time.

    Args:
        folder: Where the file lies; made if need be.

    Raises:
        OutputError: Another process uses it.
        StoreError: The file is no cache, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        # Made with its mode before anything is in it; SQLite gives its log the same.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path.chmod(0o600)
        self._db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise OutputError(f"{self.path} is in use by another run", "one run at a time") from None
            raise StoreError(f"{self.path} cannot be used ({error})", "a cache of answers", "Move it away.") from None
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StoreError(f"{self.path} is damaged ({error})", "a cache of answers", "Move it away.") from None

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the answers that are known, by key."""
        return dict(
            row for part in self._in_batches("SELECT key, answer FROM answers WHERE key IN", keys) for row in part
        )

    def refused(self, keys: Sequence[str]) -> dict[str, str]:
        """Return why answers are in quarantine, by key."""
        query = "SELECT key, reason FROM quarantine WHERE key IN"
        return dict(row for part in self._in_batches(query, keys) for row in part)

    def put(self, key: str, stage: str, answer: str) -> None:
        """Keep an answer."""
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, stage, answer))
        self._db.execute("DELETE FROM quarantine WHERE key = ?", (key,))

    def quarantine(self, key: str, stage: str, reason: str, raw: str) -> None:
        """Keep an answer that could not be read."""
        self._db.execute(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?)", (key, stage, reason, raw, time.time())
        )

    def release(self) -> int:
        """Forget what is in quarantine, so that it is asked again; return how many."""
        return self._db.execute("DELETE FROM quarantine").rowcount

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _in_batches(self, query: str, keys: Sequence[str]) -> Iterable[list[tuple[str, str]]]:
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            yield self._db.execute(f"{query} ({','.join('?' * len(part))})", part).fetchall()
