"""Answers that were paid for: one SQLite file in the folder of the reports, which only its owner can read.

Write-ahead logging keeps every answer that was received before the process is killed. One process uses the file at a
time (`ecgkit.lock`). Questions are kept as hashes. An answer that could not be read is kept raw, to be looked at.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ecgkit.errors import StoreError
from ecgkit.lock import hold

FILE, LOCK = "cache.sqlite", ".cache.lock"
_BATCH = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, stage TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, reason TEXT NOT NULL, raw TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measured (
    key TEXT PRIMARY KEY, answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Measured:
    """What the extraction from some statements took, verification included.

    Args:
        answers: Number of statements that were read.
        prompt_tokens: Tokens that were sent.
        completion_tokens: Tokens that came back.
        seconds: Time from the first question to the last answer, summed over the runs.
    """

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Cache:
    """Answers by the hash of their question. Use it as a context; one process at a time.

    Args:
        folder: Folder of the file; it is made if it does not exist.

    Raises:
        LockedError: Another process uses the cache.
        OutputError: The folder cannot be written.
        StoreError: The file is damaged, or not a cache.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        with ExitStack() as opened:
            opened.enter_context(hold(folder / LOCK, self.path, "used"))
            self._db = opened.enter_context(closing(self._open()))
            self._opened = opened.pop_all()

    def _open(self) -> sqlite3.Connection:
        # Made with its mode before anything is in it; SQLite gives its log the same.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path.chmod(0o600)
        db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")  # without shared memory, which network file systems lack
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            db.close()
            raise StoreError(
                f"{self.path} cannot be used as a cache of answers ({error})", remedy="Move it away, or delete it."
            ) from None
        return db

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the answers that are known, by key."""
        return dict(
            row for part in self._in_batches("SELECT key, answer FROM answers WHERE key IN", keys) for row in part
        )

    def refused(self, keys: Sequence[str]) -> dict[str, str]:
        """Return why answers are in quarantine, by key."""
        query = "SELECT key, reason FROM quarantine WHERE key IN"
        return dict(row for part in self._in_batches(query, keys) for row in part)

    def put(self, key: str, stage: str, answer: str, quarantined: str = "") -> None:
        """Keep an answer.

        Args:
            key: Hash of the question.
            stage: Stage of the question.
            answer: The answer.
            quarantined: Key of an earlier bad answer to the same question, which is forgotten.
        """
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, stage, answer))
        if quarantined:
            self._db.execute("DELETE FROM quarantine WHERE key = ?", (quarantined,))

    def quarantine(self, key: str, stage: str, reason: str, raw: str) -> None:
        """Keep an answer that could not be read."""
        self._db.execute(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?)", (key, stage, reason, raw, time.time())
        )

    def measure(self, key: str, spent: Measured) -> None:
        """Add what some statements took, under the key of model, prompt and settings."""
        values = [old + new for old, new in zip(astuple(self.measured(key)), astuple(spent), strict=True)]
        self._db.execute("INSERT OR REPLACE INTO measured VALUES (?, ?, ?, ?, ?)", (key, *values))

    def measured(self, key: str) -> Measured:
        """Return what statements took so far."""
        row = self._db.execute("SELECT * FROM measured WHERE key = ?", (key,)).fetchone()
        return Measured(*row[1:]) if row else Measured()

    def release(self) -> int:
        """Forget what is in quarantine, so that it is asked again; return how many."""
        return self._db.execute("DELETE FROM quarantine").rowcount

    def close(self) -> None:
        """Close the file, and let go of its lock."""
        self._opened.close()

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
