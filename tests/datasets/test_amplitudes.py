"""The one pass over a record's counts gives what the definition gives, and leaves what does not fit to the slow way."""

import numpy as np
import pytest

from ecgkit.datasets.wfdb_kernel import to_microvolts
from ecgkit.signal.microvolts import LIMIT, MISSING


@pytest.mark.parametrize("top", [3, 100, 32767])
def test_counts_become_whole_microvolts(top: int) -> None:
    rng = np.random.default_rng(top)
    fitted = []
    for _ in range(40):
        counts = rng.integers(-top, top + 1, (3, 50)).astype(np.int16)
        baselines, steps = rng.integers(-20, 20, 3), rng.integers(-6, 7, 3)
        missing = rng.choice(counts.ravel(), 3).astype(np.int64)
        plain = [
            [int(MISSING) if c == gone else (c - base) * step for c in row]
            for row, base, step, gone in zip(
                counts.tolist(), *(v.tolist() for v in (baselines, steps, missing)), strict=True
            )
        ]
        fits = all(abs(value) <= LIMIT or value == int(MISSING) for row in plain for value in row)
        out = np.empty(counts.shape, np.int16)
        there = (np.array(plain) != MISSING) | (counts == missing[:, None])
        if not there.all():
            continue  # a sample of exactly the mark's value does not fit, and the reference cannot tell it
        assert to_microvolts(counts, baselines, steps, missing, LIMIT, int(MISSING), out) == fits
        fitted.append(fits)
        if fits:
            assert out.tolist() == plain
    assert fitted and (top < 32767 or not all(fitted))
