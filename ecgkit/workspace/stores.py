"""The stores of a folder, finished and unfinished. Only names and ``zarr.json`` are read, so a look costs little."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.atomic import kind_of
from ecgkit.lock import holder_of
from ecgkit.store.format import FORMAT
from ecgkit.store.products import cached_folder, store_around
from ecgkit.unfinished import LOCK, SUFFIX, command_of

UNFINISHED = "unfinished store"


@dataclass(frozen=True)
class UnfinishedWork:
    """Work that was begun and is not finished.

    Args:
        out: What it will make.
        what: Kind of what it will make, such as ``store`` or ``run``.
        holder: The process at work; empty if none is.
        command: Command that continues it; empty if unknown.
    """

    out: Path
    what: str
    holder: str
    command: str


def store_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store; empty if the path is not a store."""
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return dict(attributes) if isinstance(attributes, dict) and attributes.get("format") == FORMAT else {}


def stores_of(folder: Path) -> list[Path]:
    """Return the finished stores directly in a folder, by name."""
    return [path for path in _folders(folder) if store_attributes(path)]


def store_of_product(path: Path, what: str) -> Path | None:
    """Return the store that a product belongs to: the one around it, or one of the current folder.

    Args:
        path: ``STORE/WHAT/NAME``, or the product's folder in the cache of a user who may not write to the store.
        what: Kind of the product, such as ``knowledge``.
    """
    known = {cached_folder(str(store_attributes(store)["content_sha256"]), what): store for store in stores_of(Path())}
    return store_around(path, what) or known.get(path.parent)


def unfinished_stores(folder: Path) -> list[UnfinishedWork]:
    """Return the unfinished stores directly in a folder, by name."""
    return [_unfinished(path) for path in _folders(folder) if kind_of(path) == UNFINISHED]


def _unfinished(path: Path) -> UnfinishedWork:
    out = path.with_name(path.name.removesuffix(SUFFIX))
    return UnfinishedWork(out, "store", holder_of(path / LOCK), command_of(path))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
