"""The leak guard: finds test records, or their patients, that an encoder was pretrained on.

Records are recognised by the hash of their waveform in any store, patients by their id within one dataset. The
training and the validation part of the pretraining both count, because the checkpoint was chosen on validation. The
records of the runs that a pretraining was built on count as its own.
"""

import numpy as np
from numpy.typing import NDArray

from ecgkit.archives.overlaps import shared_archives
from ecgkit.errors import LeakError
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.results.facts import LeakFacts
from ecgkit.store.reader import Store


def find_leak(encoder: ProbedEncoder, store: Store, rows: NDArray[np.int64], *, allowed: bool = False) -> LeakFacts:
    """Return which of some rows of a store pretraining saw, as far as the run states it.

    Args:
        encoder: The encoder.
        store: The store.
        rows: Rows of the store that are tested.
        allowed: Whether an overlap is allowed.
    """
    test = store.table.iloc[rows]
    return LeakFacts(
        checked=bool(encoder.seen),
        records=int(test["sha256"].isin(encoder.seen).sum()),
        tested=len(test),
        patients=len(encoder.seen_patients.intersection(store.patients[rows])),
        allowed=allowed,
        built_on=encoder.built_on,
        silent=encoder.silent,
        stated=encoder.stated,
        archives_known=encoder.archives_known,
    )


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
    return f"pretraining saw {found.records} of the {found.tested} test records and {found.patients} test patients"


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
