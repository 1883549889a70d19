"""Cut off the calibration pulse that Philips devices append to a recording.

The recording stops before the end of the file; then follow zeros, a pulse of 1 mV and 0.2 s in all leads, and zeros.
Taken as a signal, the pulse is a beat of 1 mV that contradicts the limb leads.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_HEIGHT, _TOLERANCE = 1.0, 0.02  # mV
_FEWEST_LEADS = 3


def samples_before_calibration(millivolts: Sequence[NDArray[np.floating]]) -> int:
    """Return the number of samples before the pulse; all samples if there is none.

    Args:
        millivolts: The leads, ``[T]`` each.
    """
    size = len(millivolts[0])
    if len(millivolts) < _FEWEST_LEADS or any(len(lead) != size for lead in millivolts):
        return size
    leads = np.stack(millivolts)
    differing = np.flatnonzero((leads != leads[0]).any(0))
    end = int(differing[-1]) + 1 if len(differing) else size
    tail = leads[0, end:]
    levels = np.unique(tail)
    is_pulse = len(levels) == 2 and levels[0] == 0 and abs(levels[1] - _HEIGHT) < _TOLERANCE
    return end if is_pulse else size
