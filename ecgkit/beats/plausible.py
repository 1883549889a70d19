"""Check whether a record's peaks are plausible. A doubtful record keeps its peaks and gets a flag."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Limits:
    """Limits of plausible peaks; all limits are ours.

    Args:
        slowest: Mean rate in beats per minute below which a record is flagged.
        fastest: Mean rate in beats per minute above which a record is flagged.
        shortest: Shortest plausible RR interval in s; no ventricle beats faster.
        spread: Longest plausible RR interval, in units of the median one. A longer one means missed beats or a long
            pause.
    """

    slowest: float = 25.0
    fastest: float = 250.0
    shortest: float = 0.2
    spread: float = 5.0

    def flag(self, peaks: NDArray[np.integer], fs: float, samples: int) -> str:
        """Return the reason why peaks are implausible; empty if they are plausible.

        Args:
            peaks: Ascending sample indices.
            fs: Sampling rate in Hz.
            samples: Length of the record.
        """
        if not len(peaks):
            return "none found"
        if len(peaks) == 1:  # no interval: the record is longer than two of the longest that may be
            return self._slow(60 * fs / samples * 2) if samples / fs > 120 / self.slowest else ""
        rr = np.diff(peaks) / fs
        rate = 60 / float(rr.mean())
        if rate > self.fastest:
            return f"rate above {self.fastest:g}/min"
        if rr.min() < self.shortest:
            return f"RR below {1000 * self.shortest:g} ms"
        if rr.max() > self.spread * np.median(rr):
            return f"longest RR above {self.spread:g} times the median"
        return self._slow(rate)

    def _slow(self, rate: float) -> str:
        return f"rate below {self.slowest:g}/min" if rate < self.slowest else ""
