"""The leak guard: finds test records, or their patients, that an encoder was pretrained on.

Records are recognised by the hash of their waveform in any store, and copies at another rate, scale or length or with
fewer leads by their signature (see `ecgkit.signatures`). Patients are recognised by their id within one dataset. The
training and the validation part of the pretraining both count, because the checkpoint was chosen on validation. The
records of the runs that a pretraining was built on count as its own.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.archives.overlaps import shared_archives
from ecgkit.errors import LeakError
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.results.facts import LeakFacts
from ecgkit.progress import Advance
from ecgkit.signatures.compare import find_copies
from ecgkit.signatures.make import store_signatures
from ecgkit.signatures.table import Signatures
from ecgkit.store.reader import Store
from ecgkit.training.run import seen_records, seen_signatures


def find_leak(
    encoder: ProbedEncoder,
    store: Store,
    rows: NDArray[np.int64],
    *,
    allowed: bool = False,
    progress: Advance | None = None,
) -> LeakFacts:
    """Return which of some rows of a store pretraining saw, as far as the run states it.

    Args:
        encoder: The encoder.
        store: The store.
        rows: Rows of the store that are tested.
        allowed: Whether an overlap is allowed.
        progress: Called with records done and records in total while the signatures of the store are made.
    """
    same = store.table["sha256"].iloc[rows].isin(encoder.seen).to_numpy()
    found = find_seen_copies(encoder, store, rows, progress)
    return LeakFacts(
        checked=bool(encoder.seen),
        records=int(same.sum()),
        copies=int((found.copies & ~same).sum()),
        compared=found.compared,
        same_store=_is_own(encoder, store),
        unsigned=found.unsigned,
        tested=len(rows),
        patients=len(encoder.seen_patients.intersection(store.patients[rows])),
        allowed=allowed,
        built_on=encoder.built_on,
        silent=encoder.silent,
        stated=encoder.stated,
        archives_known=encoder.archives_known,
    )


@dataclass(frozen=True)
class SeenCopies:
    """Outcome of a comparison by signature.

    Args:
        copies: ``[R]``: whether a tested row is a copy of a record that pretraining saw.
        compared: Number of tested rows that could be compared.
        unsigned: Number of records that pretraining saw and of which there is no signature.
    """

    copies: NDArray[np.bool_]
    compared: int = 0
    unsigned: int = 0


def find_seen_copies(
    encoder: ProbedEncoder, store: Store, rows: NDArray[np.int64], progress: Advance | None = None
) -> SeenCopies:
    """Return which rows of a store are copies of records that an encoder was pretrained on."""
    run = None if _is_own(encoder, store) else encoder.run
    seen = None if run is None or not encoder.seen else _seen_signatures(run, encoder.checkpoint)
    if run is None or seen is None or not seen.known.any():
        return SeenCopies(np.zeros(len(rows), bool))
    made = store_signatures(store, progress)
    key = (encoder.checkpoint, store.content_hash, rows.astype(np.int64).tobytes())
    if key not in _found:
        if len(_found) >= REMEMBERED:
            _found.pop(next(iter(_found)))
        tested = made.take(rows)
        unsigned = len(seen_records(run)) - int(seen.known.sum())
        _found[key] = SeenCopies(find_copies(tested, seen) >= 0, int(tested.known.sum()), unsigned)
    return _found[key]


def _is_own(encoder: ProbedEncoder, store: Store) -> bool:
    """Return whether a store is that of the pretraining.

    Its folds keep training and test apart, and no recording is in it in two versions. A signature would only mistake
    two very regular rhythms for one recording there.
    """
    return bool(encoder.store) and encoder.store == store.content_hash


REMEMBERED = 64  # comparisons that this process remembers: a suite repeats each for every head and seed
_found: dict[tuple[str, str, bytes], SeenCopies] = {}


@lru_cache(maxsize=2)
def _seen_signatures(run: Path, checkpoint: str) -> Signatures | None:
    """Return the signatures of a run; `checkpoint` tells runs apart that were made in one folder."""
    return seen_signatures(run)


def refuse_leak(encoder: ProbedEncoder, store: Store, found: LeakFacts) -> None:
    """Raise if an encoder would be tested on records or patients that it was pretrained on.

    Raises:
        LeakError: Pretraining saw some of the tested rows, and that is not allowed.
    """
    if found.found and not found.allowed:
        raise LeakError(
            f"{encoder.name}: {overlap(found)} of {store.name}",
            "a test part that pretraining never saw",
            "Pretrain without them, or go on with --allow-overlap, which the result will say.",
        )


def overlap(found: LeakFacts) -> str:
    """Describe in words what pretraining saw."""
    copies = f", copies of {found.copies} more," if found.copies else ""
    return (
        f"pretraining saw {found.records} of the {found.tested} test records{copies} and {found.patients} test patients"
    )


def archive_warnings(encoder: ProbedEncoder, store: Store) -> tuple[str, ...]:
    """Return a warning for each archive of the pretraining that shares recordings with one of another test store.

    Waveforms that were filtered, resampled or scaled in another way have other hashes, so a shared recording can escape
    the leak guard. That the archives share some is known from their cards.
    """
    same_store = store.hashes["store"] == encoder.store  # its folds keep training and test apart
    found = [] if same_store else shared_archives(encoder.archives, store.archives)
    return tuple(
        f"pretraining and test both use {own}: the same recordings may be in both"
        if own == other
        else f"pretraining used {own} and the test uses {other}, which share recordings ({shared})"
        for own, other, shared in found
    )


def leak_warnings(found: LeakFacts | None) -> tuple[str, ...]:
    """Return the warnings of a result: an overlap that was allowed, or one that cannot be ruled out."""
    if found is None:
        return ()
    if found.found:
        return (f"LEAK: {overlap(found)}",)
    if found.silent:
        runs = ", ".join(found.silent)
        return (f"built on {runs}, which does not say what it was trained on: a leak cannot be excluded",)
    if found.stated and not found.checked:
        return (
            () if found.archives_known else (f"the weights were trained on {found.stated}: a leak cannot be excluded",)
        )
    return () if found.checked else ("the weights do not say what they were pretrained on: a leak cannot be excluded",)
