"""Samplers, which group the records of an epoch that stay together in one batch; see `ecgkit.methods.Sampler`."""

import numpy as np
from numpy.typing import NDArray

from ecgkit.store.reader import Store
from ecgkit.training.supply import patient_numbers


class PatientPairs:
    """Pairs of two different records of one patient, for a contrastive loss between records of a patient.

    Every record is in at most one pair per epoch. If a patient has an odd number of records, one of them is left out of
    the epoch. Rows 2 i and 2 i + 1 of a batch are a pair. The supply ``patients`` shows which pairs belong to the same
    patient.

    Args:
        store: The store, which gives the patients.
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
