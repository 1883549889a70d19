"""Decimation as `scipy.signal.decimate` does it, written as fixed linear maps: it runs in batches on any device.

A Chebyshev filter of order 8 runs forwards and backwards, then every q-th sample is kept. Inside a series that is a
convolution with the filter's zero-phase response. Near the ends, where scipy extends the series, it is a small matrix.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

ORDER, RIPPLE = 8, 0.05  # of the filter; ripple in dB
TOLERANCE = 1e-8  # of the response: what is smaller is cut off


class Decimation(nn.Module):
    """Keeps every q-th sample of a series behind an anti-aliasing filter.

    Args:
        samples: Length of the series.
        factor: q.

    Raises:
        ValueError: The series is too short for the filter.
    """

    response: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, samples: int, factor: int) -> None:
        super().__init__()
        self.samples, self.factor = samples, factor
        for name, value in zip(("response", "left", "right"), _maps(samples, factor), strict=True):
            self.register_buffer(name, torch.from_numpy(value).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, samples] -> [B, ceil(samples / q)]``."""
        inside = F.conv1d(x[:, None], self.response[None, None], stride=self.factor, padding=len(self.response) // 2)
        first, last = (
            x[:, : self.left.shape[1]] @ self.left.mT,
            x[:, x.shape[1] - self.right.shape[1] :] @ self.right.mT,
        )
        return torch.cat([first, inside[:, 0, len(self.left) : -len(self.right)], last], dim=1)


@cache
def _maps(samples: int, factor: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the response, and the matrices of the outputs near both ends."""
    import scipy.signal  # slow to import

    b, a = scipy.signal.cheby1(ORDER, RIPPLE, 0.8 / factor)

    def filtered(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(scipy.signal.filtfilt(b, a, x, axis=-1))

    half = 200 * factor
    impulse = np.zeros(2 * half + 1)
    impulse[half] = 1
    response = filtered(impulse)
    reach = half - int(np.flatnonzero(np.abs(response) > TOLERANCE)[0])
    reach = -(-reach // factor) * factor
    # An output this near to an end sees the extension: it is read off unit impulses near that end.
    near, seen = 2 * reach, 3 * reach
    if samples < seen + near:
        raise ValueError(f"{samples} samples are too few to be decimated by {factor}; at least {seen + near}")
    left = filtered(np.eye(seen, seen + near))[:, :near:factor].T
    kept = np.arange(0, samples, factor)
    kept = kept[kept >= samples - near] - (samples - seen - near)
    right = filtered(np.eye(seen, seen + near, near))[:, kept].T
    # Copied, for scipy's arrays may run backwards in memory, which torch does not take.
    return response[half - reach : half + reach + 1].copy(), left.copy(), right.copy()
