"""The records of a store under one signal contract, one by one, for a torch ``DataLoader``."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.data import Windows, evaluation_starts, training_starts


class WindowDataset(Dataset[dict[str, Any]]):
    """Items of equal shape, ready as model input: filtered, and normalised over the leads that a record has.

    An item holds ``signal``, float32 ``[L, T]`` on the contract's leads; ``present``, bool ``[L]`` (all other leads are
    0); ``length``, the number of real samples (zeros follow); and ``row``, the record's row in the whole store. Records
    that the contract cannot use are left out; `rows` holds those that remain.

    Args:
        store: The store.
        rows: Rows of the store.
        spec: The signal contract.
        epoch: Epoch whose training crops to use; None uses the first evaluation crop.
        seed: Random seed of the training crops.

    Raises:
        LeadError: The store has none of the contract's leads.
    """

    def __init__(
        self, store: Store, rows: NDArray[np.int64], spec: SignalSpec, *, epoch: int | None = None, seed: int = 0
    ) -> None:
        view = open_view(store, spec)
        first = spec.eval_offsets[0]
        starts = evaluation_starts(view, first) if epoch is None else training_starts(view, seed, epoch)
        self.rows = rows[view.usable[rows]]
        self._windows = Windows(view, starts)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one record."""
        row, view = self.rows[index], self._windows.view
        batch = self._windows[np.array([row])]
        present = torch.from_numpy(view.present[row].copy())
        signal = torch.zeros(len(view.spec.leads), view.spec.samples)
        signal[present] = batch.signal[0]
        length = view.spec.samples if batch.lengths is None else int(batch.lengths[0])
        return {"signal": signal, "present": present, "length": length, "row": int(row)}
