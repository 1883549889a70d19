"""Compares everything that a store and its views hold with its checksums."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgkit.progress import Advance, Progress, of_stage, silent
from ecgkit.store.products import folders
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import AT_ONCE, SIGNAL, VerifiedRows, load_rows


@dataclass(frozen=True)
class Verified:
    """What was compared with its checksums and found whole.

    Args:
        records: Number of records.
        views: Number of views.
        rows: Number of rows of all views.
        outdated: Views that another release made, or that lack a file. They are made again when they are needed.
    """

    records: int
    views: int
    rows: int
    outdated: tuple[str, ...]


def verify_store(store: Store, progress: Progress = silent) -> Verified:
    """Compare every record and every row of every view with its checksum.

    Args:
        store: The store.
        progress: Called with stage, records done and records in all.

    Raises:
        StoreError: Something differs; the message names it. A damaged view is made again when it is needed.
    """
    advance = of_stage(progress, "records")
    for start, stop in store.spans(0, len(store)):
        store.verified(start, stop)
        advance(stop, len(store))
    views, rows, outdated = 0, 0, []
    for folder in _views_of(store):
        found = _rows_in(folder)
        if found is None:
            outdated.append(folder.name)
            continue
        _verify_rows(found, of_stage(progress, f"view {folder.name}"))
        views, rows = views + 1, rows + len(found)
    return Verified(len(store), views, rows, tuple(outdated))


def _views_of(store: Store) -> list[Path]:
    """Return the folders of all finished views."""
    places = folders(store.path, store.content_hash, "views")
    return [view for place in places for view in sorted(place.iterdir()) if not view.name.startswith(".")]


def _rows_in(folder: Path) -> VerifiedRows | None:
    try:
        records = np.load(folder / SIGNAL, mmap_mode="r")
        shape = (len(records), *records.dtype["counts"].shape)
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    return load_rows(folder, shape)


def _verify_rows(rows: VerifiedRows, advance: Advance) -> None:
    for first in range(0, len(rows), AT_ONCE):
        last = min(first + AT_ONCE, len(rows))
        rows.check(np.arange(first, last))
        advance(last, len(rows))
