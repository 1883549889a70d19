"""A task opened for a probe: its store, view, records and split."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.facts import Departure, OverlapFacts, SplitFacts, TransferFacts
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData


@dataclass(frozen=True)
class OpenedTask:
    """A task on a store, as an encoder reads it.

    Args:
        name: Name of the task in the result.
        store: The store. If another store is tested, both stores joined into one.
        view: The store under the encoder's contract, with the leads that the encoder is given.
        data: The task's records, targets and parts.
        order: Training records that draws choose from, as indices into the task's rows. They are in the order of the
            store, or in that of a published table, with -1 for a record that the store lacks.
        split: How records were split.
        label_set: ``exact`` or ``shipped``; empty if the task has only one set.
        departures: Departures from the protocol.
        transfer: Facts about the two stores, if another store is tested; else None.
        overlap: What the test part shares with the other parts.
        hashes: Content hashes of every other input that changes the numbers.
    """

    name: str
    store: Store
    view: View
    data: TaskData
    order: NDArray[np.int64]
    split: SplitFacts
    label_set: str = ""
    departures: tuple[Departure, ...] = ()
    transfer: TransferFacts | None = None
    overlap: OverlapFacts = field(default_factory=OverlapFacts)
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def test_rows(self) -> NDArray[np.int64]:
        """Rows of the store that are tested."""
        return self.data.rows[self.data.parts["test"]]

    @property
    def leads(self) -> tuple[str, ...]:
        """Leads of the contract that at least one record of the task has."""
        there = np.flatnonzero(self.view.present[self.data.rows].any(0))
        return tuple(self.view.spec.leads[i] for i in there)

    def without_training(self) -> "OpenedTask":
        """Return the task without its training records, for a head that learns nothing from them."""
        return replace(self, data=self.data.without_training(), order=np.empty(0, np.int64))
