"""Samplers: which records of an epoch stay together in one batch; see `ecgkit.methods.Sampler`."""

import numpy as np
from numpy.typing import NDArray

from ecgkit.store.reader import Store
from ecgkit.training.supply import patient_numbers


class PatientPairs:
    """Pairs of two different records of one patient, as contrast between records of a patient needs them.

    Every record is in at most one pair per epoch. A patient's odd record, and the records of patients with a single
    one, are left out of the epoch. Row 2 i and row 2 i + 1 of a batch are a pair; the supply ``patients`` tells which
    pairs are of the same patient.

    Args:
        store: Whose patients.
    """

    group = 2

    def __init__(self, store: Store) -> None:
        self._patients = patient_numbers(store)

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the pairs of an epoch, ``[n, 2]``; see `ecgkit.methods.Sampler`."""
        shuffled = rng.permutation(rows)
        by_patient = shuffled[np.argsort(self._patients[shuffled], kind="stable")]
        _, first, counts = np.unique(self._patients[by_patient], return_index=True, return_counts=True)
        place = np.arange(len(by_patient)) - np.repeat(first, counts)
        paired = place < np.repeat(counts // 2 * 2, counts)
        return rng.permutation(by_patient[paired].reshape(-1, 2))
