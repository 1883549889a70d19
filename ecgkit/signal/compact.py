"""Windows as int16 counts, each lead of each record with a step and an offset: ``mV = count * step + offset``.

This is the last step of the signal contract before the crop. A view stores the counts, and windows that never lie on a
disk are rounded in the same way, so a model gets the same numbers by every road.

- A lead of whole microvolts that spans at most 65,534 of them keeps them. Nothing is lost.
- Any other lead, such as a resampled or a filtered one, has 1 / 65,534 of its range as its step. No sample is off by
  more than half a step, besides the rounding of float32.
- A lead with a sample that is not finite is not finite as a whole, so that it is noticed.

The bytes of a record are `record_type`: the steps and offsets of its leads, and then their counts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]  # ``[R]`` of `record_type`


def record_type(leads: int, samples: int) -> np.dtype[np.void]:
    """Return the type of a record of some leads and samples: ``scale [L, 2]`` and ``counts [L, W]``."""
    return np.dtype([("scale", "<f4", (leads, 2)), ("counts", "<i2", (leads, samples))], align=True)


def put_windows(
    records: Records, rows: NDArray[np.int64], leads: Sequence[int], windows: NDArray[np.floating], length: int
) -> None:
    """Write windows into records.

    Args:
        records: ``[R]``, where they are written.
        rows: ``[n]``, the records that the windows belong to.
        leads: The lead of each of the k rows of a window.
        windows: ``[n, k, W]`` in mV.
        length: Number of their real samples.
    """
    from ecgkit.signal import compact_kernel  # numba is slow to import

    real = np.ascontiguousarray(windows[..., :length]).reshape(-1, length)
    counts, scale = np.empty(real.shape, np.int16), np.zeros((len(real), 2), np.float32)
    if length:
        compact_kernel.round_leads(real, real.min(1), real.max(1), counts, scale)
    there = np.ix_(rows, np.asarray(leads, np.int64))
    records["scale"][there] = scale.reshape(len(rows), -1, 2)
    records["counts"][..., :length][there] = counts.reshape(len(rows), -1, length)


class CompactWindows:
    """Windows ``[R, L, W]`` in mV, held as counts and converted when they are read.

    Args:
        records: ``[R]`` of `record_type`.
        lengths: ``[R]``, number of real samples of each window. Zeros follow.

    Attributes:
        as_int16: ``[R, ...]``, the bytes of the records.
    """

    dtype, ndim = np.dtype(np.float32), 3

    def __init__(self, records: Records, lengths: NDArray[np.int64]) -> None:
        self.records, self.lengths = records, lengths
        self.shape: tuple[int, ...] = (len(records), *records.dtype["counts"].shape)
        self.nbytes = records.nbytes
        plain = np.asarray(records)  # not a memory map, which compiled code takes for another type
        self.as_int16: NDArray[np.int16] = plain.view(np.int16).reshape(len(records), -1)
        self._scale: NDArray[np.float32] = plain.view(np.float32).reshape(len(records), -1)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Return what an array of the windows returns, as a copy."""
        rows, *rest = index if isinstance(index, tuple) else (index,)
        chosen = np.arange(len(self))[rows]
        whole = self.whole(np.atleast_1d(chosen).ravel()).reshape(*np.shape(chosen), *self.shape[1:])
        part: NDArray[np.float32] = whole[(slice(None),) * np.ndim(chosen) + tuple(rest)] if rest else whole
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all windows."""
        return np.array(self[:], dtype=dtype)

    def whole(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return whole windows, ``[n, L, W]``."""
        out = np.empty((len(rows), *self.shape[1:]), np.float32)
        self.read(rows, np.zeros(len(rows), np.int64), np.arange(self.shape[1]), out)
        return out

    def read(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], leads: NDArray[np.int64], out: NDArray[np.float32]
    ) -> None:
        """Write crops in mV into an array.

        Args:
            rows: ``[B]``, the records.
            starts: ``[B]``, first sample of each crop.
            leads: ``[k]``, the leads.
            out: ``[B, k, T]``; zeros follow the real samples.
        """
        from ecgkit.signal import compact_kernel  # numba is slow to import

        self.check(rows)
        compact_kernel.read_crops(
            self.as_int16, self._scale, self.lengths, self.shape[1], self.shape[2], rows, starts, leads, out
        )

    def take(
        self,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        leads: NDArray[np.int64],
        counts: NDArray[np.int16],
        scale: NDArray[np.float32],
    ) -> None:
        """Copy crops as counts; see `read`.

        Args:
            rows: ``[B]``, the records.
            starts: ``[B]``, first sample of each crop.
            leads: ``[k]``, the leads.
            counts: ``[B, k, T]``, is filled. What follows the end of a window is left as it is.
            scale: ``[B, k, 2]``, is filled with steps and offsets.
        """
        from ecgkit.signal import compact_kernel  # numba is slow to import

        self.check(rows)
        compact_kernel.take_crops(self.as_int16, self.shape[1], self.shape[2], rows, starts, leads, counts)
        scale[...] = self._scale[rows, : 2 * self.shape[1]].reshape(len(rows), -1, 2)[:, leads]

    def check(self, rows: NDArray[np.int64]) -> None:
        """Raise an error if a record is damaged; see `ecgkit.store.views.VerifiedRows`."""
