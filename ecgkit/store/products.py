"""Where the products of a store lie, such as its R peaks, entities and views.

They lie in the store. If this user may not write to the store, the user's own products lie in ``ECGKIT_CACHE`` (default
``~/.cache/ecgkit``), in a folder named after the content of the store, so a copy of the store finds them too::

    STORE/WHAT/             products of whoever may write to the store
    CACHE/WHAT/HASH/        products of a user who may not
"""

import os
from pathlib import Path
from typing import Protocol

from ecgkit.choices import choose
from ecgkit.config import fingerprint


class StoreFolder(Protocol):
    """A store, as far as its products need to know it."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def content_hash(self) -> str:
        """Hash over all waveforms and the record table."""


def own_folder(path: Path, content_hash: str, what: str) -> Path:
    """Return the folder where this user's products of one kind are written.

    Args:
        path: The store.
        content_hash: Its content hash.
        what: Kind of the products, such as ``beats``.
    """
    return path / what if os.access(path, os.W_OK) else cached_folder(content_hash, what)


def found_folder(path: Path, content_hash: str, what: str, name: str = "") -> Path:
    """Return the folder from which products are read: the user's own if there are any, otherwise those of the store.

    Args:
        path: The store.
        content_hash: Its content hash.
        what: Kind of the products.
        name: Name of a product among those of the kind; empty for the folder of all.
    """
    own, shared = own_folder(path, content_hash, what) / name, path / what / name
    return own if own.is_dir() else shared


def folders(path: Path, content_hash: str, what: str) -> list[Path]:
    """Return the folders that hold products of one kind: that of the store, then the user's own; see `found_folder`."""
    places = dict.fromkeys((path / what, own_folder(path, content_hash, what)))
    return [place for place in places if place.is_dir()]


def store_around(path: Path, what: str) -> Path | None:
    """Return the store of a product's path ``STORE/WHAT/NAME``; None if the path is not of this form.

    The product itself may lie in the cache.
    """
    store = path.parent.parent
    return store if path.parent.name == what and (store / "signal").is_dir() else None


def cached_folder(content_hash: str, what: str) -> Path:
    """Return the folder of the products of a store that this user may not write to."""
    cache = Path(os.environ.get("ECGKIT_CACHE", "~/.cache/ecgkit")).expanduser()
    return cache / what / fingerprint(content_hash)


def note_own_folder(path: Path, folder: Path) -> None:
    """Note for the user that products are written outside of a store."""
    if not folder.is_relative_to(path):
        choose("folder", folder, f"you may not write to {path.name}")
