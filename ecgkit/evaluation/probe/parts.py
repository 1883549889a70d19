"""Finds recordings and patients that the test part of a task shares with its training or validation part.

Recordings are recognised by the hash of their waveform, patients by their id. Copies at another rate, scale or length
are recognised by their signature (see `ecgkit.signatures`). A signature alone does not refuse a probe: two patients
with very regular rhythms may share one, so the result names the records instead.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import LeakError
from ecgkit.evaluation.results.facts import OverlapFacts
from ecgkit.progress import Advance
from ecgkit.signatures.compare import find_copies
from ecgkit.signatures.make import store_signatures
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData
from ecgkit.wording import plural

NAMED = 5  # pairs of records that a result names
REMEMBERED = 64  # comparisons that this process remembers: a suite repeats each for every encoder, head and seed
_found: dict[tuple[str, bytes, bytes], NDArray[np.int64]] = {}


def find_overlap(
    store: Store, data: TaskData, *, allowed: bool = False, progress: Advance | None = None
) -> OverlapFacts:
    """Return what the test part shares with the other parts.

    Args:
        store: The store.
        data: The task's records and parts.
        allowed: Whether an overlap is allowed.
        progress: Called with records done and records in total while the signatures of the store are made.
    """
    used = np.concatenate([data.parts["train"], data.parts["val"]])
    tested, known = data.rows[data.parts["test"]], data.rows[used]
    waveforms, units = store.table["sha256"], pd.Series(store.units)
    met = set(units.iloc[known])
    same = waveforms.iloc[tested].isin(waveforms.iloc[known]).to_numpy()
    others = tested[~same]
    originals = copied_rows(store, others, known, progress)
    ids = store.table["record_id"].to_numpy()
    pairs = [f"{ids[row]} = {ids[of]}" for row, of in zip(others, originals, strict=True) if of >= 0]
    return OverlapFacts(
        records=int(same.sum()),
        copies=len(pairs),
        pairs=tuple(pairs[:NAMED]),
        patients=len(met.intersection(units.iloc[tested])),
        allowed=allowed,
    )


def copied_rows(
    store: Store, tested: NDArray[np.int64], known: NDArray[np.int64], progress: Advance | None = None
) -> NDArray[np.int64]:
    """Return for each tested row the known row of the store that it is a copy of by its signature; -1 if there is none.

    Args:
        store: The store.
        tested: Rows to look up.
        known: Rows to look among.
        progress: Called with records done and records in total while the signatures of the store are made.
    """
    if not len(tested) or not len(known):
        return np.full(len(tested), -1, np.int64)
    key = store.content_hash, tested.tobytes(), known.tobytes()
    if key not in _found:
        if len(_found) >= REMEMBERED:
            _found.pop(next(iter(_found)))
        made = store_signatures(store, progress)
        at = find_copies(made.take(tested), made.take(known).thin())
        _found[key] = np.where(at < 0, -1, known[at])
    return _found[key]


def refuse_overlap(store: Store, task: str, found: OverlapFacts) -> None:
    """Raise if the test part shares recordings or patients with the other parts, and that is not allowed.

    Raises:
        LeakError: The parts overlap.
    """
    if found.found and not found.allowed:
        raise LeakError(
            f"{task} on {store.name}: {overlap_words(found)}",
            "a test part of recordings and patients that no other part has",
            "Make the store again with 'ecgkit ingest SRC --drop duplicates', correct the folds, or go on with "
            "--allow-overlap, which the result will say.",
        )


def overlap_words(found: OverlapFacts) -> str:
    """Describe in words what the test part shares with the other parts."""
    return (
        f"{found.records} test records have the waveform of a training or validation record, and {found.patients} test "
        "patients are also in the training or validation part"
    )


def copies_words(found: OverlapFacts) -> str:
    """Describe in words which test records have the signature of a record of another part."""
    more = ", ..." if found.copies > len(found.pairs) else ""
    one = found.copies == 1
    return (
        f"{plural(found.copies, 'test record')} {'has' if one else 'have'} the waveform signature of a training or "
        f"validation record. {'It is a copy' if one else 'They are copies'} of it, or the rhythm is too regular to "
        f"tell: {', '.join(found.pairs)}{more}"
    )
