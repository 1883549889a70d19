"""Whether a record's peaks can be a heart's. Nothing is dropped: a doubtful record keeps its peaks and gets a flag."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Limits:
    """What counts as plausible; all ours.

    Args:
        slowest: Mean rate in beats per minute below which a record is flagged.
        fastest: Above which it is.
        shortest: RR interval in s that no ventricle can follow.
        spread: Longest RR interval in units of the median one; a longer one means missed beats or a very long pause.
    """

    slowest: float = 25.0
    fastest: float = 250.0
    shortest: float = 0.2
    spread: float = 5.0

    def flag(self, peaks: NDArray[np.integer], fs: float, samples: int) -> str:
        """Return why peaks are implausible, or an empty string.

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
