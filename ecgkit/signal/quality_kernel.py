"""The compiled inner loops of `ecgkit.signal.quality`.

All sums are over integers, so the numbers are the same on every machine and in every order. A missing sample is the
smallest int16 number. For steps and hum it is replaced by the sample before it; everywhere else it is left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled

Row = NDArray[np.int16]

GONE = -32768  # marks a missing sample
TABLE_BITS = 14  # bits of a factor in the hum tables


@compiled
def measure(
    stored: NDArray[np.int16],
    shortest_flat: int,
    rail_run: int,
    rail_distance: int,
    step: int,
    window: int,
    tables: NDArray[np.int32],
    counts: NDArray[np.int64],
    steps: NDArray[np.int64],
    hum: NDArray[np.float64],
) -> None:
    """Measure each row of a block.

    Args:
        stored: int16 ``[N, T]``, contiguous rows.
        shortest_flat: Smallest number of equal samples in a row that counts as a run.
        rail_run: Smallest number of equal samples at an extreme that counts as held there.
        rail_distance: Smallest distance of that extreme from the mean, in stored units.
        step: Distance in samples between the two samples of a step.
        window: Samples per window in which one R wave is expected.
        tables: int32 ``[F, 2, S]``, cosine and sine of each hum frequency under a window of S samples.
        counts: Output, ``[N, 5]``: missing samples, longest run of equal samples, samples held at a rail, smallest and
            largest sample (both 0 if there is none).
        steps: Output, ``[N, 1 + W]``: the sum of all steps, and the largest step of each window.
        hum: Output, ``[N, F, G]``: the squared amplitude, in stored units, in each segment of S samples.
    """
    held = np.empty(stored.shape[1], np.int16)
    for n in range(stored.shape[0]):
        row = stored[n]
        missing = _missing(row)
        counts[n, 0] = missing
        if missing == len(row):
            counts[n, 1:] = 0
            steps[n] = 0
            hum[n] = 0.0
            continue
        low, high, total = _extremes(row)
        mean = total // (len(row) - missing)
        counts[n, 1] = _longest_run(row, shortest_flat)
        counts[n, 2] = 0
        if high - mean >= rail_distance:
            counts[n, 2] += _held_at(row, high, rail_run)
        if mean - low >= rail_distance:
            counts[n, 2] += _held_at(row, low, rail_run)
        counts[n, 3], counts[n, 4] = low, high
        if missing:
            _hold(row, held)
            row = held
        _steps(row, step, window, steps[n])
        _hum(row, tables, hum[n])


@compiled
def limb_power(
    stored: NDArray[np.int16], limb: NDArray[np.int64], weights: NDArray[np.int64], power: NDArray[np.float64]
) -> None:
    """Sum the squares of limb leads that can be derived from two others.

    Args:
        stored: int16 ``[R, L, T]``, contiguous.
        limb: ``[2 + K]``: rows of I, II and the K derived leads.
        weights: int64 ``[K, 2]``: twice the weights of I and II in each of the K leads.
        power: Output, ``[R, K, 2]``: sums of squares of (recorded - derived) and of the derived lead, over the samples
            that all three leads have.
    """
    for r in range(stored.shape[0]):
        for k in range(len(weights)):
            one, two, lead = stored[r, limb[0]], stored[r, limb[1]], stored[r, limb[2 + k]]
            off, whole = _squares(one, two, lead, weights[k, 0], weights[k, 1])
            power[r, k, 0], power[r, k, 1] = off / 4.0, whole / 4.0


@compiled
def _squares(one: Row, two: Row, lead: Row, a: int, b: int) -> Any:
    off, whole = np.int64(0), np.int64(0)
    for t in range(len(lead)):
        there = (one[t] != GONE) & (two[t] != GONE) & (lead[t] != GONE)
        derived = np.int32(a * one[t] + b * two[t]) * np.int32(there)
        apart = np.int32(2 * np.int32(lead[t])) * np.int32(there) - derived
        off += np.int64(apart) * np.int64(apart)
        whole += np.int64(derived) * np.int64(derived)
    return off, whole


@compiled
def _missing(row: Row) -> Any:
    found = np.int32(0)
    for t in range(len(row)):
        found += np.int32(row[t] == GONE)
    return found


@compiled
def _extremes(row: Row) -> Any:
    """Return the smallest and the largest sample and the sum, without missing samples."""
    low, high, total = np.int16(32767), np.int16(-32767), np.int64(0)
    for t in range(len(row)):
        value = row[t]
        high = max(high, value)
        low = min(low, value if value != GONE else np.int16(32767))
        total += np.int32(value) if value != GONE else np.int32(0)
    return np.int64(low), np.int64(high), total


@compiled
def _longest_run(row: Row, shortest: int) -> int:
    """Return the length of the longest run of equal samples; 0 if none is as long as `shortest`.

    A run longer than the longest so far covers two probes at half that distance, which must then be equal. So almost
    all of the row can be skipped.
    """
    T, longest = len(row), shortest - 1
    stride = max(1, (longest + 1) // 2)
    t = stride
    while t < T:
        value = row[t]
        if value == row[t - stride] and value != GONE:
            first, last = t - stride, t
            while first > 0 and row[first - 1] == value:
                first -= 1
            same = True
            for s in range(t - stride, t):
                same = same and row[s] == value
            if same:
                while last + 1 < T and row[last + 1] == value:
                    last += 1
                if last - first + 1 > longest:
                    longest = last - first + 1
                    stride = max(1, (longest + 1) // 2)
                t = last
        t += stride
    return longest if longest >= shortest else 0


@compiled
def _held_at(row: Row, rail: int, shortest: int) -> int:
    """Return the number of samples in runs of `shortest` or more at `rail`."""
    at = np.int32(0)
    for t in range(len(row)):
        at += np.int32(row[t] == rail)
    if at < shortest:
        return 0
    held, run = 0, 0
    for t in range(len(row)):
        if row[t] == rail:
            run += 1
        else:
            held += run if run >= shortest else 0
            run = 0
    return held + (run if run >= shortest else 0)


@compiled
def _hold(row: Row, held: Row) -> None:
    """Copy a row, with each missing sample replaced by the one before it, and at the start by the first one present."""
    last = row[0]
    if last == GONE:
        t = 0
        while row[t] == GONE:
            t += 1
        last = row[t]
    for t in range(len(row)):
        if row[t] != GONE:
            last = row[t]
        held[t] = last


@compiled
def _steps(row: Row, step: int, window: int, out: NDArray[np.int64]) -> None:
    total = np.int64(0)
    for w in range(len(out) - 1):
        first, last = w * window, max(w * window, min((w + 1) * window, len(row) - step))
        part, out[1 + w] = _steps_between(row[first:last], row[first + step : last + step])
        total += part
    out[0] = total


@compiled
def _steps_between(before: Row, after: Row) -> Any:
    """Return the sum and the largest of the steps. It is a separate function so that the compiler vectorises it."""
    total, high = np.int64(0), np.int32(0)
    for t in range(len(before)):
        size = np.int32(abs(np.int32(np.int32(after[t]) - np.int32(before[t]))))
        high = max(high, size)
        total += size
    return total, high


@compiled
def _hum(row: Row, tables: NDArray[np.int32], out: NDArray[np.float64]) -> None:
    S = tables.shape[2]
    scale = (4.0 / S) ** 2 / 4.0**TABLE_BITS  # a sine of amplitude A sums to A S / 4 under a Hann window
    for g in range(out.shape[1]):
        for f in range(out.shape[0]):
            real, imaginary = _products(row[g * S : (g + 1) * S], tables[f, 0], tables[f, 1])
            out[f, g] = (np.float64(real) ** 2 + np.float64(imaginary) ** 2) * scale


@compiled
def _products(segment: Row, cosine: NDArray[np.int32], sine: NDArray[np.int32]) -> Any:
    real, imaginary = np.int64(0), np.int64(0)
    for s in range(len(segment)):
        value = np.int32(segment[s])
        real += np.int32(value * cosine[s])
        imaginary += np.int32(value * sine[s])
    return real, imaginary
