"""What a replaced store alone holds, such as a model's answers, vocabularies and verdicts, outlives it.

``ingest --overwrite`` makes the store itself anew. The products in it go into the new store if its content is the same.
Otherwise they belong to other records, and are kept in a folder beside it::

    STORE.kept-1/WHAT/      products of the store that was replaced, such as knowledge/ and beats/

A model's answers go into the new store as well, since they are found by the text that was read. Views are a cache and
are made again when they are needed.
"""

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ecgkit.atomic import MARKER, kind_of, mark
from ecgkit.store import format as fmt

VIEWS = "views"
KIND = "products of a replaced store"
_OWN = frozenset((MARKER, fmt.META, "signal", fmt.RECORDS, fmt.QUALITY, fmt.LEDGER, fmt.LOG))
_ANSWERS = ("knowledge/cache.sqlite", "knowledge/cache.sqlite-wal")


@dataclass(frozen=True)
class Rescued:
    """What became of the products of a replaced store.

    Args:
        moved: Names of the products that are in the new store.
        kept: Names of the products that were kept beside it.
        folder: Folder where those are; None if there is none.
    """

    moved: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    folder: Path | None = None


def rescue(old: Path, new: Path) -> Rescued:
    """Move the products of a replaced store to where they outlive it. It can be repeated after it was killed.

    Args:
        old: The replaced store.
        new: The store in its place.
    """
    names = sorted(path.name for path in old.iterdir() if path.name not in _OWN)
    content = _content(old)
    if content and content == _content(new):
        for name in names:
            if not (new / name).exists():
                os.replace(old / name, new / name)
        return Rescued(moved=tuple(name for name in names if not name.startswith(".")))
    names = [name for name in names if name != VIEWS and not name.startswith(".") and _holds_a_file(old / name)]
    if not names:
        return Rescued()
    for answers in _ANSWERS:
        if (old / answers).is_file() and not (new / answers).exists():
            (new / answers).parent.mkdir(exist_ok=True)
            shutil.copy2(old / answers, new / answers)
    folder = _free(new)
    folder.mkdir(exist_ok=True)
    mark(folder, KIND)
    for name in names:
        os.replace(old / name, folder / name)
    return Rescued(kept=tuple(names), folder=folder)


def _free(new: Path) -> Path:
    """Return a folder for products: a new one, or one that a killed process has just begun."""
    for number in count(1):
        folder = new.with_name(f"{new.name}.kept-{number}")
        if not folder.exists() or (kind_of(folder) == KIND and len(list(folder.iterdir())) == 1):
            return folder
    raise AssertionError


def _holds_a_file(path: Path) -> bool:
    return not path.is_dir() or any(file.is_file() for file in path.rglob("*"))


def _content(store: Path) -> str:
    """Return the content hash of a store; empty if it is damaged."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return str(json.loads((store / fmt.META).read_text(encoding="utf-8"))["attributes"]["content_sha256"])
    return ""
