"""Features of a store's records from a frozen encoder, through the encoder's own contract."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import RunError
from ecgkit.methods import Encoder, Features
from ecgkit.store.views import View
from ecgkit.training.data import Windows, evaluation_starts, load_batches, plan_batches


@torch.no_grad()
def extract(
    encoder: Encoder,
    view: View,
    rows: NDArray[np.int64],
    *,
    need: str = "pooled",
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return features ``[len(rows), ...]`` in the order of `rows`, averaged over the contract's evaluation crops.

    Args:
        encoder: In evaluation mode or not; it is put there.
        view: The store under the encoder's contract.
        rows: Rows of the store, all of them usable.
        need: Which field of `ecgkit.methods.Features`.
        batch_size: Records at a time.
        progress: Called with batches done and in all.

    Raises:
        RunError: The encoder does not fill that field.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = plan_batches(view, rows, batch_size)
    offsets = view.spec.eval_offsets
    place = {int(row): i for i, row in enumerate(rows)}
    sums: NDArray[np.float32] | None = None
    for k, offset in enumerate(offsets):
        windows = Windows(view, evaluation_starts(view, offset))
        for n, batch in enumerate(load_batches(windows, batches), 1):
            moved = batch.to(device)
            values = _field(encoder(moved.signal, moved.lead_ids, moved.lengths), need)
            if sums is None:
                sums = np.zeros((len(rows), *values.shape[1:]), np.float32)
            sums[[place[int(row)] for row in batch.rows]] += values / len(offsets)
            if progress:
                progress(k * len(batches) + n, len(offsets) * len(batches))
    assert sums is not None
    return sums


def _field(features: Features, need: str) -> NDArray[np.float32]:
    value = getattr(features, need, None)
    if value is None:
        raise RunError(f"the encoder gives no {need} features", "a head that fits; 'ecgkit methods' lists features")
    return value.float().cpu().numpy()
