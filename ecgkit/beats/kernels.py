"""The compiled inner loops of `ecgkit.beats.consensus`. They process one record at a time and make no choices.

Every step is a running sum or one pass, so the cost of a lead is linear in its length and does not depend on the
widths of the filters. All filters are centred moving means: linear phase, no delay, the same at every sampling rate.
Each record of a batch is processed alone, so other records and their order cannot change a result.

`detect` takes twelve widths. In samples of the envelope: half widths of smoothing, baseline, slope and integration;
refractory time; reach of a T wave. In samples of the signal: reach of a spike; reach, edge and smoothing of `localise`.
Then the blocks on either side for `levels`, and in samples of the envelope the half width of smoothing for votes. It
takes ten limits: `ratio`, `floor`, `cap`, `power` of the weights, best ratio that counts, `low`, `high`, `t_share`,
`late`, `agree`.

Importing this module imports numba and compiles (the first time on a machine) or loads (afterwards) the loops.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MISSING = -1.0  # envelope value of a missing sample


@compiled
def bridge(x: Floats, out: Floats, missing: Bools) -> bool:
    """Copy a lead ``[T]`` with straight lines over its gaps, and mark the gaps. Return False if all is missing."""
    n = len(x)
    last = -1
    for i in range(n):
        missing[i] = not np.isfinite(x[i])
        if missing[i]:
            continue
        out[i] = x[i]
        if last < 0:
            out[:i] = x[i]
        elif i - last > 1:
            for j in range(last + 1, i):
                out[j] = x[last] + (x[i] - x[last]) * (j - last) / (i - last)
        last = i
    if last >= 0:
        out[last + 1 :] = x[last]
    return last >= 0


@compiled
def despike(x: Floats, reach: int, out: Floats) -> None:
    """Remove pulses narrower than `reach` samples, such as a pacemaker's spike, and keep slopes.

    Each sample becomes the median of itself and its two neighbours at a distance of `reach`. Samples at the ends stay.
    """
    out[:] = x
    left, right, middle = x[: len(x) - 2 * reach], x[2 * reach :], out[reach:]
    for i in range(len(right)):  # slices from 0, so that no index can be negative and the loop becomes SIMD
        a, b, c = left[i], middle[i], right[i]
        low, high = min(a, b), max(a, b)
        middle[i] = max(low, min(high, c))


@compiled
def moving_mean(x: Floats, half: int, out: Floats) -> None:
    """Write the centred mean over ``2 * half + 1`` samples. Beyond an end, the end sample is repeated."""
    n, share = len(x), 1.0 / (2 * half + 1)
    total = half * float(x[0])
    for i in range(half + 1):
        total += x[min(i, n - 1)]
    rising, falling = min(half, n), max(n - half - 1, min(half, n))
    for i in range(rising):  # three loops, so that the long one need not check for the ends
        out[i] = total * share
        total += x[min(i + half + 1, n - 1)] - x[0]
    ahead, behind, middle = x[rising + half + 1 :], x[rising - half :], out[rising:falling]
    for i in range(len(middle)):
        middle[i] = total * share
        total += ahead[i] - behind[i]
    for i in range(falling, n):
        out[i] = total * share
        total += x[n - 1] - x[max(i - half, 0)]


@compiled
def thin(x: Floats, step: int, out: Floats) -> None:
    """Reduce the sampling rate by `step`: write the means of `step` samples."""
    for i in range(len(out)):
        out[i] = x[i * step]
    for j in range(1, step):
        for i in range(len(out)):
            out[i] += x[i * step + j]
    for i in range(len(out)):
        out[i] /= step


@compiled
def thin_gaps(missing: Bools, step: int, e: Floats) -> None:
    """Mark the envelope's samples for which any of their `step` signal samples is missing."""
    for i in range(len(e)):
        if missing[i * step : (i + 1) * step].any():
            e[i] = MISSING


@compiled
def envelope(x: Floats, halves: Ints, work: Floats, out: Floats) -> None:
    """Write how steeply a lead changes in the band of the QRS complex, in mV, smoothed over about one complex.

    Args:
        x: Lead ``[n]`` in mV.
        halves: Half widths in samples of smoothing, baseline, slope and integration.
        work: Scratch array ``[2, n]``.
        out: Output ``[n]``.
    """
    n, (smooth, base, slope, integrate) = len(x), (halves[0], halves[1], halves[2], halves[3])
    moving_mean(x, smooth, work[0])
    moving_mean(work[0], smooth, work[1])
    moving_mean(work[1], base, work[0])
    work[1] -= work[0]
    work[0] = 0.0
    ahead, squares = work[1, 2 * slope :], work[0, slope:]
    for i in range(len(ahead)):
        step = ahead[i] - work[1, i]
        squares[i] = step * step
    moving_mean(work[0], integrate, out)
    for i in range(n):
        out[i] = np.sqrt(max(out[i], 0.0))  # running sums of squares may end slightly below 0


@compiled
def sort(values: Floats) -> None:
    """Sort a few values in place, by insertion: faster than a general sort up to a hundred."""
    for i in range(1, len(values)):
        v, j = values[i], i
        while j > 0 and values[j - 1] > v:
            values[j] = values[j - 1]
            j -= 1
        values[j] = v


@compiled
def median(values: Floats) -> float:
    """Sort a few values in place and return their median."""
    sort(values)
    n = len(values)
    return float(0.5 * (values[(n - 1) // 2] + values[n // 2]))


@compiled
def levels(e: Floats, block: int, reach: int, ratio: float, floor: float, level: Floats, rest: Floats) -> None:
    """Estimate, for each block, how high a lead's envelope rises in a beat, and how low it is between beats.

    `rest` is the median of the blocks' 20th percentiles around a block. `level` is the median of the maxima of pairs of
    blocks, using only pairs that rise above `ratio` times `rest`, so that pairs without a beat and single artefacts do
    not count. If no pair rises so high, `level` is 0: the lead shows no beats there.
    """
    n, K = len(e), len(level)
    highest, lowest = np.zeros(K), np.full(K, np.nan)
    values = np.empty(max(n // max(1, block // 50), 2 * reach + 1) + 2)
    for k in range(K):
        count, stop = 0, n if k == K - 1 else (k + 1) * block
        for i in range(k * block, stop):
            highest[k] = max(highest[k], e[i])
        for i in range(k * block, stop, max(1, block // 50)):
            if e[i] >= 0:
                values[count] = e[i]
                count += 1
        if count:
            sort(values[:count])
            lowest[k] = values[(count - 1) // 5]
    for k in range(K):
        first, stop = max(0, k - reach), min(K, k + reach + 1)
        count = 0
        for j in range(first, stop):
            if not np.isnan(lowest[j]):
                values[count] = lowest[j]
                count += 1
        rest[k] = max(floor, median(values[:count])) if count else floor
        count = 0
        for j in range(first, max(first + 1, stop - 1)):
            peak = max(highest[j], highest[min(j + 1, K - 1)])
            if peak > ratio * rest[k]:
                values[count] = peak
                count += 1
        level[k] = median(values[:count]) if count else 0.0


@compiled
def fuse(e: Floats, block: int, level: Floats, weight: Floats, cap: float, out: Floats) -> None:
    """Combine the leads' votes: write the weighted mean of their envelopes in units of a beat, without the extremes.

    With three or more leads, the highest and the lowest lead at a sample are left out, so no single lead can add or
    hide a beat.

    Args:
        e: Envelopes ``[L, n]``.
        block: Samples per block.
        level: ``[L, K]``, from `levels`.
        weight: ``[L, K]``, 0 for a lead without a vote.
        cap: Highest vote of a lead.
        out: Output ``[n]``, about 1 at a beat.
    """
    L, n = e.shape
    K = level.shape[1]
    for i in range(n):
        k = min(i // block, K - 1)
        votes, weights, voters = 0.0, 0.0, 0
        top, top_weight, bottom, bottom_weight = -1.0, 0.0, 1e30, 0.0
        for lead in range(L):
            w = weight[lead, k]
            if w <= 0 or e[lead, i] < 0:
                continue
            vote = min(e[lead, i] / level[lead, k], cap)
            votes, weights, voters = votes + w * vote, weights + w, voters + 1
            if vote > top:
                top, top_weight = vote, w
            if vote < bottom:
                bottom, bottom_weight = vote, w
        if voters >= 3:
            votes -= top * top_weight + bottom * bottom_weight
            weights -= top_weight + bottom_weight
        out[i] = votes / weights if weights > 0 else 0.0


@compiled
def candidates(d: Floats, low: float, refractory: int, out: Ints) -> int:
    """Write the local maxima of `d` above `low`, only the highest of those within `refractory`. Return how many."""
    count = 0
    for i in range(len(d)):
        v = d[i]
        if v < low or (i > 0 and d[i - 1] > v) or (i < len(d) - 1 and d[i + 1] >= v):
            continue
        if count and i - out[count - 1] < refractory:
            if v > d[out[count - 1]]:
                out[count - 1] = i
        else:
            out[count] = i
            count += 1
    return count


@compiled
def choose(d: Floats, where: Ints, high: float, t_reach: float, t_share: float, late: float) -> Bools:
    """Choose the beats among the candidates `where`.

    1. Candidates that rise above `high`, except a weak one so soon after a strong one that it is the T wave.
    2. Search back (Pan and Tompkins, 1985): if an interval is `late` times the median of those around it, add the
       highest candidate within it that keeps a distance from both ends; repeat until nothing changes.
    """
    n = len(where)
    keep = np.empty(n, np.bool_)
    before = -1
    for i in range(n):
        keep[i] = d[where[i]] >= high
        soon = before >= 0 and where[i] - where[before] < t_reach
        if keep[i] and soon and d[where[i]] < t_share * d[where[before]]:
            keep[i] = False
        if keep[i]:
            before = i
    for _ in range(8):
        beats = np.flatnonzero(keep)
        if len(beats) < 3:
            break
        rr = np.diff(where[beats]).astype(np.float64)
        changed = False
        for k in range(len(rr)):
            usual = np.median(rr[max(0, k - 4) : k + 5])
            if rr[k] <= late * usual:
                continue
            best = -1
            for i in range(beats[k] + 1, beats[k + 1]):
                apart = min(where[i] - where[beats[k]], where[beats[k + 1]] - where[i])
                if apart >= 0.4 * usual and (best < 0 or d[where[i]] > d[where[best]]):
                    best = i
            if best >= 0:
                keep[best] = changed = True
        if not changed:
            break
    return keep


@compiled
def localise(
    x: Floats,
    missing: Bools,
    share: Floats,
    around: int,
    reach: int,
    edge: int,
    smooth: int,
    work: Floats,
) -> int:
    """Return the sample near `around` at which the leads together are farthest from their baseline.

    Args:
        x: ``[L, T]`` at the record's own rate, without spikes.
        missing: ``[L, T]``.
        share: ``[L]``, weight of each lead's amplitude.
        around: Position at which the beat was found.
        reach: Largest distance of the peak from `around`.
        edge: Width of the two stretches beyond `reach` whose mean is the baseline.
        smooth: Half width of a moving mean, against remains of spikes.
        work: Scratch array ``[>= 2 * reach + 1]``.
    """
    T = x.shape[1]
    first, stop = max(0, around - reach), min(T, around + reach + 1)
    work[: stop - first] = 0.0
    for lead in range(x.shape[0]):
        if share[lead] <= 0:
            continue
        total, count = 0.0, 0
        for i in range(max(0, first - edge), first):
            total, count = total + x[lead, i], count + 1
        for i in range(stop, min(T, stop + edge)):
            total, count = total + x[lead, i], count + 1
        base = total / count if count else 0.0
        total = 0.0
        for i in range(first - smooth, first + smooth + 1):
            total += x[lead, min(max(i, 0), T - 1)]
        for i in range(first, stop):
            if not missing[lead, i]:
                work[i - first] += share[lead] * abs(total / (2 * smooth + 1) - base)
            total += x[lead, min(i + smooth + 1, T - 1)] - x[lead, max(i - smooth, 0)]
    return first + int(np.argmax(work[: stop - first]))


@compiled
def clean_lead(x: Floats, whole: bool, spike: int, filled: Floats, missing: Bools, out: Floats) -> bool:
    """Write a lead ``[T]`` without gaps and spikes, and mark the gaps. Return whether any sample is present.

    Args:
        x: ``[T]`` in mV, NaN for a missing sample.
        whole: Whether no sample is missing.
        spike: Reach of `despike`.
        filled: ``[T]``, scratch.
        missing: ``[T]``, the gaps.
        out: ``[T]``.
    """
    missing[:] = False
    if whole:
        despike(x, spike, out)
    elif bridge(x, filled, missing):
        despike(filled, spike, out)
    else:
        return False
    return True


@compiled
def weigh(level: Floats, rest: Floats, clearest: float, power: float, weight: Floats) -> None:
    """Write the weight of a lead's vote in each block ``[K]``. It grows with how far beats stand out from the rest."""
    for k in range(len(level)):
        if level[k] > 0:
            weight[k] = max(min(level[k] / rest[k], clearest) - 1.5, 0.0) ** power


@compiled
def silence(votes: Floats, block: int, level: Floats) -> None:
    """Set the votes ``[n]`` to 0 in those of the K blocks in which `level` finds no beats."""
    K = len(level)
    for k in range(K):
        if level[k] <= 0:
            votes[k * block : len(votes) if k == K - 1 else (k + 1) * block] = 0.0


@compiled
def localise_all(
    clean: Floats,
    missing: Bools,
    level: Floats,
    weight: Floats,
    found: Ints,
    step: int,
    block: int,
    near: Ints,
    share: Floats,
    work: Floats,
    out: Ints,
) -> int:
    """Write the R peak of each beat of a record, ascending and without repeats. Return how many there are.

    Args:
        clean: ``[L, T]`` from `clean_lead`.
        missing: ``[L, T]``.
        level: ``[L, K]`` from `levels`.
        weight: ``[L, K]`` from `weigh`.
        found: Positions of the beats, in samples of the envelope.
        step: Samples of the signal per sample of the envelope.
        block: Samples of the envelope per block.
        near: Reach, edge and smoothing of `localise`.
        share: ``[L]``, scratch.
        work: Scratch of `localise`.
        out: ``[P]``, sample indices.
    """
    count, last = 0, -1
    for beat in found:
        k = min(beat // block, level.shape[1] - 1)
        for lead in range(len(share)):
            share[lead] = weight[lead, k] / level[lead, k] if weight[lead, k] > 0 else 0.0
        at = localise(clean, missing, share, beat * step + step // 2, near[0], near[1], near[2], work)
        if at > last:
            out[count] = last = at
            count += 1
    return count


@compiled
def detect(
    signal: Floats, whole: Bools, step: int, block: int, widths: Ints, limits: Floats, out: Ints, counts: Ints
) -> None:
    """Find the R peaks of every record.

    Args:
        signal: ``[B, L, T]`` in mV, NaN for a missing sample.
        whole: ``[B, L]``, whether a lead has no missing sample.
        step: Samples of the signal per sample of the envelope.
        block: Samples of the envelope per block of `levels`.
        widths: See the module's docstring.
        limits: See the module's docstring.
        out: ``[B, P]``, sample indices.
        counts: ``[B]``, number of peaks per record.
    """
    B, L, T = signal.shape
    n = T // step
    K = max(1, n // block)
    clean, missing = np.zeros((L, T), np.float32), np.zeros((L, T), np.bool_)
    filled, thinned, work = np.empty(T, np.float32), np.empty(n), np.empty((2, max(n, T)))
    e, votes, where = np.zeros((L, n)), np.empty(n), np.empty(n + 1, np.int64)
    level, weight, share = np.zeros((L, K)), np.zeros((L, K)), np.zeros(L)
    rest, level_of_votes = np.empty(K), np.empty(K)
    for b in range(B):
        weight[:] = 0.0
        for lead in range(L):
            if not clean_lead(signal[b, lead], whole[b, lead], widths[6], filled, missing[lead], clean[lead]):
                continue
            thin(clean[lead], step, thinned)
            envelope(thinned, widths[:4], work[:, :n], e[lead])
            if not whole[b, lead]:
                thin_gaps(missing[lead], step, e[lead])
            levels(e[lead], block, widths[10], limits[0], limits[1], level[lead], rest)
            weigh(level[lead], rest, limits[4], limits[3], weight[lead])
        fuse(e, block, level, weight, limits[2], work[0, :n])
        moving_mean(work[0, :n], widths[11], votes)  # a mean over one complex has a flat top
        levels(votes, block, widths[10], limits[9], 0.0, level_of_votes, rest)
        silence(votes, block, level_of_votes)
        found = where[: candidates(votes, limits[5], widths[4], where)]
        beats = found[choose(votes, found, limits[6], widths[5], limits[7], limits[8])]
        counts[b] = localise_all(
            clean, missing, level, weight, beats, step, block, widths[7:10], share, work[0], out[b]
        )
