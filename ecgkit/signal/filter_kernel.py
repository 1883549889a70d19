"""The compiled inner loop of `ecgkit.signal.filters`: it runs the sections of a filter over many leads side by side.

Every number is computed with the operations, and in the order, of `scipy.signal.sosfiltfilt`: results are bit-equal.
"""

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled

Floats = NDArray[np.float64]


@compiled
def there_and_back(sections: Floats, steady: Floats, x: Floats) -> None:
    """Filter leads forwards and backwards, in place.

    Args:
        sections: ``[S, 6]``, numerator and denominator of each second-order section; each denominator begins with 1.
        steady: ``[S, 2]``, state of each section after a constant input of 1.
        x: ``[T, N]``, time first, so that each time step is a run of numbers that fills the processor's vectors.
    """
    T, N = x.shape
    state = np.empty((len(sections), 2, N))
    for backwards in (False, True):
        start = T - 1 if backwards else 0
        for s in range(len(sections)):
            state[s, 0], state[s, 1] = steady[s, 0] * x[start], steady[s, 1] * x[start]
        for step in range(T):
            row = x[T - 1 - step if backwards else step]
            for s in range(len(sections)):
                b0, b1, b2, a1, a2 = sections[s, 0], sections[s, 1], sections[s, 2], sections[s, 4], sections[s, 5]
                first, second = state[s, 0], state[s, 1]
                for n in range(N):  # direct form II transposed
                    value = row[n]
                    filtered = b0 * value + first[n]
                    first[n] = b1 * value - a1 * filtered + second[n]
                    second[n] = b2 * value - a2 * filtered
                    row[n] = filtered
