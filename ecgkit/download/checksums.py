"""Lists of checksums, such as PhysioNet's ``SHA256SUMS.txt``: one line ``HASH PATH`` per file."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from ecgkit.errors import DatasetError

LIST = "SHA256SUMS.txt"
_LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(?:\./)?(.+)")
_STEP = 2**20


def parse_checksums(text: str, source: str) -> dict[str, str]:
    """Return the SHA-256 of each file by its path.

    Args:
        text: Content of the list.
        source: Where it comes from, for the error.

    Raises:
        DatasetError: A line has another form, or a path leads out of the folder.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        if not match:
            raise DatasetError(f"{source} line {number} is {line[:60]!r}", "a SHA-256 and a path")
        path = match[2]
        if path.startswith("/") or "\\" in path or ":" in path or "\0" in path or {"..", ""} & set(path.split("/")):
            raise DatasetError(f"{source} line {number}: {path[:80]!r} leads out of the dataset's folder")
        found[path] = match[1].lower()
    return found


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as raw:
        while piece := raw.read(_STEP):
            digest.update(piece)
    return digest.hexdigest()


def wrong_files(root: Path, checksums: Mapping[str, str]) -> tuple[list[str], list[str], int]:
    """Compare the files of a folder with a list.

    Args:
        root: The folder.
        checksums: SHA-256 by path.

    Returns:
        The files whose checksum is wrong or that cannot be read, those that are not there, and the number of all.
    """
    wrong, missing = [], []
    for path, expected in checksums.items():
        file = root / path
        try:
            if not file.is_file():
                missing.append(path)
            elif sha256_of(file) != expected:
                wrong.append(path)
        except OSError:
            wrong.append(path)
    return wrong, missing, len(checksums)
