"""The leak guard: test records, or patients of theirs, that a model was pretrained on.

Records are recognised by the hash of their waveform in any store, patients by their id within one dataset. Train and
val of the pretraining both count, for the checkpoint was chosen on val.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeakError
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class Leak:
    """What pretraining saw of the test part.

    Args:
        records: Test records by waveform.
        tested: All test records.
        patients: Patients of test records by id.
    """

    records: int
    tested: int
    patients: int

    def __str__(self) -> str:
        return f"pretraining saw {self.records} of the {self.tested} test records and {self.patients} test patients"


def find_leak(subject: Subject, store: Store, rows: NDArray[np.int64]) -> Leak | None:
    """Return what the pretraining saw of some of a store's rows; None if it saw nothing, as far as its run tells."""
    test = store.table.iloc[rows]
    records = int(test["sha256"].isin(subject.seen).sum())
    patients = len(subject.seen_patients.intersection(store.patients[rows]))
    return Leak(records, len(test), patients) if records or patients else None


def refuse_leak(subject: Subject, store: Store, rows: NDArray[np.int64], *, allow: bool = False) -> None:
    """Refuse to judge an encoder by what it was pretrained on.

    Raises:
        LeakError: The pretraining saw some of the rows, and `allow` is not set.
    """
    leak = None if allow else find_leak(subject, store, rows)
    if leak is not None:
        raise LeakError(
            f"{subject.name}: {leak} of {store.name}", "a test part that pretraining never saw",
            "Pretrain without them, or go on with --allow-overlap, which the result will say.",
        )  # fmt: skip


def leak_warnings(subject: Subject, store: Store, rows: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what a result must say: a leak that was allowed, or that none can be excluded."""
    leak = find_leak(subject, store, rows)
    if leak is not None:
        return (f"LEAK: {leak}",)
    if subject.weights == "pretrained" and not subject.seen:
        return ("the weights do not say what they were pretrained on: a leak cannot be excluded",)
    return ()
