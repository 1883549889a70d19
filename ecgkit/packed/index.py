"""The index of an archive's members: where each begins, and which may not be read.

The index is an SQLite file, so that an archive of a million members needs no memory for it, and the worker processes of
one machine share it. A member is refused if its name leads out of the archive's folder, if it is a link or a device, if
it is encrypted, if its name comes twice, or if it claims more than its bytes can hold.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SKIPPED = "__MACOSX/"  # what macOS adds to a .zip; no file of the dataset
BOMB_RATIO = 200  # ECGs compress to a half or a third
BOMB_BYTES = 100 * 2**20
LONGEST_NAME = 4096
MEMBERS_A_REPORT = 1000

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE listed (path TEXT, start INTEGER, packed INTEGER, size INTEGER, method INTEGER, crc INTEGER);
CREATE TABLE refused (path TEXT, reason TEXT);
CREATE TABLE folders (path TEXT PRIMARY KEY, parent TEXT) WITHOUT ROWID;
"""
_MEMBERS = """
CREATE TABLE members (path TEXT PRIMARY KEY, parent TEXT, start INTEGER, packed INTEGER, size INTEGER, method INTEGER,
                      crc INTEGER) WITHOUT ROWID;
INSERT INTO members SELECT path, parent(path), start, packed, size, method, crc FROM listed
    WHERE path NOT IN (SELECT path FROM refused) ORDER BY path;
DROP TABLE listed;
CREATE INDEX members_parent ON members (parent);
INSERT OR IGNORE INTO folders SELECT DISTINCT parent, parent(parent) FROM members WHERE parent != '';
"""
_TWICE = "SELECT path, 'the name comes more than once' FROM listed GROUP BY path HAVING count(*) > 1"
_OVERLAP = """
SELECT path, 'its bytes overlap those of another member' FROM (
    SELECT path, start, lag(start + packed) OVER (ORDER BY start) AS before,
           start + packed AS stop, lead(start) OVER (ORDER BY start) AS next FROM listed WHERE packed > 0)
WHERE start < before OR stop > next
"""
_FILE_AND_FOLDER = """
SELECT path, 'it lies in a folder whose name is also that of a file' FROM members WHERE parent IN
    (SELECT folders.path FROM folders JOIN members ON folders.path = members.path)
"""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Args:
        path: Its path in the archive, with ``/`` between folders.
        start: Where it begins: its local header in a ``.zip``, its first byte in a ``.tar``.
        packed: Number of bytes in the archive.
        size: Number of bytes when unpacked.
        method: Compression method of a ``.zip``: 0 stored, 8 deflated.
        crc: CRC-32 of the unpacked bytes; None where the archive has none.
    """

    path: str
    start: int
    packed: int
    size: int
    method: int = 0
    crc: int | None = None


@dataclass(frozen=True)
class Refused:
    """A member that may not be read, and why."""

    path: str
    reason: str


def write_index(file: Path, members: Iterable[Member | Refused]) -> None:
    """Write the index of some members. It appears when it is complete.

    Args:
        file: File to write.
        members: The members in any order; those whose names or sizes are not allowed are refused here.
    """
    unfinished = file.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    base = sqlite3.connect(unfinished)
    base.create_function("parent", 1, lambda path: path.rpartition("/")[0], deterministic=True)
    base.executescript(_TABLES)
    base.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?)", _listed(base, members))
    for query in (_TWICE, _OVERLAP):
        base.execute(f"INSERT INTO refused {query}")
    base.executescript(_MEMBERS)
    while base.execute(
        "INSERT OR IGNORE INTO folders SELECT DISTINCT parent, parent(parent) FROM folders WHERE parent != ''"
    ).rowcount:
        pass
    base.execute("CREATE INDEX folders_parent ON folders (parent)")
    base.execute(f"INSERT INTO refused {_FILE_AND_FOLDER}")
    base.execute("DELETE FROM members WHERE path IN (SELECT path FROM refused)")
    base.commit()
    base.close()
    unfinished.replace(file)


def _listed(base: sqlite3.Connection, members: Iterable[Member | Refused]) -> Iterable[tuple[object, ...]]:
    for member in members:
        if member.path.startswith(SKIPPED):
            continue
        reason = member.reason if isinstance(member, Refused) else wrong_name(member.path) or _wrong_size(member)
        if reason:
            base.execute("INSERT INTO refused VALUES (?, ?)", (_shown(member.path), reason))
        elif isinstance(member, Member):
            path = member.path.removeprefix("./")
            yield path, member.start, member.packed, member.size, member.method, member.crc


def wrong_name(path: str) -> str:
    """Return why a member of this name is refused, or an empty text."""
    parts = path.removeprefix("./").split("/")
    if not path or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0]:
        return "its name leads out of the archive's folder"
    if "\0" in path or "" in parts or "." in parts or len(path) > LONGEST_NAME:
        return "its name is not a path"
    return ""


def _wrong_size(member: Member) -> str:
    if min(member.start, member.packed, member.size) < 0:
        return "it has a negative size or position"
    if member.size > BOMB_BYTES and member.size > BOMB_RATIO * member.packed:
        return f"{member.packed:,} bytes would expand to {member.size:,}"
    return ""


def _shown(path: str) -> str:
    """Return a name that can be stored: surrogates of undecodable bytes are replaced."""
    return path.encode("utf-8", "replace").decode()[:200]
