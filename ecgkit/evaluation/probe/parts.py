"""Finds recordings and patients that the test part of a task shares with its training or validation part.

Recordings are recognised by the hash of their waveform, patients by their id.
"""

import numpy as np
import pandas as pd

from ecgkit.errors import LeakError
from ecgkit.evaluation.results.facts import OverlapFacts
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData


def find_overlap(store: Store, data: TaskData, *, allowed: bool = False) -> OverlapFacts:
    """Return what the test part shares with the other parts.

    Args:
        store: The store.
        data: The task's records and parts.
        allowed: Whether an overlap is allowed.
    """
    used = np.concatenate([data.parts["train"], data.parts["val"]])
    tested, known = data.rows[data.parts["test"]], data.rows[used]
    waveforms, patients = store.table["sha256"], pd.Series(store.patients)
    met = set(patients.iloc[known].dropna())
    return OverlapFacts(
        records=int(waveforms.iloc[tested].isin(waveforms.iloc[known]).sum()),
        patients=len(met.intersection(patients.iloc[tested].dropna())),
        allowed=allowed,
    )


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
