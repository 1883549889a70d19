"""Batches made on a GPU: crops travel as counts, and are converted, filtered and normalised there.

A loading process then copies a quarter to half of the bytes and computes nothing. If the view fits into the memory of
the device, it lives there (`held_rows`), and only row numbers travel. On a CPU the compiled steps of the loading
process are faster, so batches arrive whole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.methods import Batch
from ecgkit.nn.crops import CropSteps
from ecgkit.signal.compact import CompactWindows
from ecgkit.store.views import View

SHARE = 0.5  # of the free memory of a device; the model needs the rest
AT_ONCE = 4096  # rows that are copied to a device at a time


@dataclass(frozen=True)
class CountsBatch:
    """A batch whose signal is not yet converted.

    Args:
        counts: int16 ``[B, L, T]``; empty if the view lives on the device.
        scale: float32 ``[B, L, 2]``, step and offset of each lead; empty if the view lives on the device.
        leads: ``[L]``, places on the contract's lead axis.
        starts: ``[B]``, first sample of each crop.
        batch: The rest of the batch; its signal is empty.
    """

    counts: Tensor
    scale: Tensor
    leads: Tensor
    starts: Tensor
    batch: Batch

    def pin_memory(self) -> "CountsBatch":
        """Return the batch in pinned memory; see `Batch.pin_memory`."""
        counts, scale = (tensor.pin_memory() for tensor in (self.counts, self.scale))
        return CountsBatch(counts, scale, self.leads, self.starts, self.batch.pin_memory())


def counts_batch(
    view: View, starts: NDArray[np.int64], leads: NDArray[np.int64], batch: Batch, *, held: bool
) -> CountsBatch:
    """Return a batch of counts.

    Args:
        view: The view.
        starts: ``[B]``, first sample of each crop.
        leads: ``[L]``, places on the contract's lead axis.
        batch: The rest of the batch.
        held: Whether the view lives on the device.
    """
    assert isinstance(view.signal, CompactWindows)
    rows, k = batch.rows.numpy(), len(leads)
    B = 0 if held else len(rows)
    shape, is_filled = (B, k, view.spec.samples), view.spec.samples <= view.signal.shape[2]
    counts = (torch.empty if is_filled else torch.zeros)(shape, dtype=torch.int16)
    scale = torch.empty(B, k, 2)
    if not held:
        view.signal.take(rows, starts, leads, counts.numpy(), scale.numpy())
    return CountsBatch(counts, scale, torch.from_numpy(leads), torch.from_numpy(starts), batch)


class Placing:
    """Puts the batches of a loader on a device.

    Args:
        view: The view.
        device: The device.
        held: The rows of the view on the device, from `held_rows`; None if they do not live there.
    """

    def __init__(self, view: View, device: torch.device, held: Tensor | None = None) -> None:
        self.spec, self.shape, self.device, self.held = view.spec, view.signal.shape, device, held
        self._steps: CropSteps | None = None

    def __call__(self, loaded: Batch | CountsBatch) -> Batch:
        """Return a batch on the device."""
        if isinstance(loaded, Batch):
            return loaded.to(self.device)
        if self._steps is None:
            self._steps = CropSteps(self.spec).to(self.device)
        if self.held is None:
            counts, scale = (t.to(self.device, non_blocking=True) for t in (loaded.counts, loaded.scale))
        else:
            counts, scale = self._taken(self.held, loaded)
        with torch.no_grad():
            signal = self._steps(counts, scale, loaded.batch.lengths)
        return replace(loaded.batch.to(self.device), signal=signal)

    def _taken(self, held: Tensor, loaded: CountsBatch) -> tuple[Tensor, Tensor]:
        """Return counts ``[B, k, T]`` and scales ``[B, k, 2]`` of a batch from the rows on the device."""
        _, L, W = self.shape
        leads, starts, rows = (t.to(self.device) for t in (loaded.leads, loaded.starts, loaded.batch.rows))
        taken = held[rows]
        scale = taken[:, : 4 * L].contiguous().view(torch.float32).view(-1, L, 2)[:, leads]
        windows = taken[:, 4 * L : 4 * L + L * W].view(-1, L, W)[:, leads]
        T = self.spec.samples
        if T == W:
            return windows, scale
        at = (starts[:, None] + torch.arange(T, device=self.device)).clamp(max=W - 1)
        return windows.gather(2, at[:, None].expand(-1, len(leads), -1)), scale


class Placed:
    """The batches of a loader on a device; can be iterated repeatedly, as the loader can.

    Args:
        batches: The loader.
        placing: Puts them on the device.
    """

    def __init__(self, batches: Iterable[Batch | CountsBatch], placing: Placing) -> None:
        self.batches, self.placing = batches, placing

    def __iter__(self) -> Iterator[Batch]:
        return map(self.placing, self.batches)


def held_rows(view: View, device: torch.device, wanted: bool | None) -> Tensor | None:
    """Copy a view to a device, every row verified.

    Args:
        view: The view.
        device: The device.
        wanted: Whether to do so; None if the device is a GPU and the view takes at most `SHARE` of its free memory.

    Returns:
        int16 ``[R, ...]``, the bytes of the rows, or None.

    Raises:
        RunError: The view is wanted there and does not fit.
    """
    signal, gpu = view.signal, device.type == "cuda"
    if wanted is False or (wanted is None and not gpu) or not isinstance(signal, CompactWindows):
        return None
    free = torch.cuda.mem_get_info(device)[0] if gpu else signal.nbytes * 2
    if signal.nbytes > SHARE * free:
        if wanted:
            raise RunError(
                f"the view takes {signal.nbytes / 2**30:.1f} GiB and the device has {free / 2**30:.1f} GiB free",
                f"a view of at most {SHARE:.0%} of them",
                "Leave out --view-on-device.",
            )
        return None
    held = torch.empty((len(signal), signal.as_int16.shape[1]), dtype=torch.int16, device=device)
    for first in range(0, len(signal), AT_ONCE):
        rows = np.arange(first, min(first + AT_ONCE, len(signal)))
        signal.check(rows)
        held[first : rows[-1] + 1] = torch.from_numpy(signal.as_int16[rows])
    return held
