"""The detector ``consensus``: many records at once, and several leads that vote on every beat.

Each lead becomes an envelope: the slope of its QRS band, integrated over about one complex. It is divided by its own
height in a beat, which is tracked over some seconds, so all leads have the same unit. A lead's weight grows with how
far its beats stand out. At every sample the weighted mean of the leads decides; with three or more leads, the highest
and the lowest are left out. So a lead that is flat, noisy or full of artefacts neither hides nor adds a beat as long
as two other leads are sound. With two leads the clearer one prevails; with one lead there is no vote.

The combination is ours. Its parts are known: slope energy, refractory time, T-wave rule and search back of Pan and
Tompkins (IEEE Trans. Biomed. Eng. 32:230, 1985), fused over leads with a trimmed mean. `ecgkit.beats.kernels` holds the
loops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FS = 200.0  # Hz; envelopes use the lowest rate from here on that divides the signal's rate
LEAST_FOR_SPIKES = 250.0  # Hz; below this rate, three samples are as long as a narrow R wave


@dataclass(frozen=True)
class ConsensusSettings:
    """Settings of the detector; times in s, heights in units of a usual beat.

    Args:
        smooth: Width of a moving mean, applied twice, against noise.
        baseline: Width of a moving mean that is subtracted, against P and T waves and drift.
        slope: Time over which the slope is taken.
        integrate: Time over which squared slopes are averaged: about one QRS complex.
        block: Length of the blocks in which levels are estimated.
        around: Number of blocks on either side whose beats define the usual beat.
        spike: Pulses narrower than this are treated as pacemaker spikes.
        stand_out: A lead shows beats if its envelope rises this many times above its resting height.
        agree: The same for the votes; noise of several leads does not rise together.
        floor: Smallest resting height in mV, so that the last bit of a flat lead is not taken for a beat.
        cap: Highest vote of a lead.
        round_off: Width of a moving mean of the votes, whose top would otherwise be flat.
        power: A lead's weight is the excess of its ratio of beat to rest over 1.5, to this power.
        clearest: Ratio of beat to rest above which a lead gets no more weight.
        low: Smallest height of a beat that the search back may find.
        high: Smallest height of any other beat.
        refractory: Shortest interval between two beats.
        t_reach: A candidate within this time after a beat is its T wave if it is lower than `t_share` of the beat.
        t_share: See `t_reach`.
        late: The search back starts if an interval is this many times the usual one.
        reach: Largest distance of the R peak from the highest vote.
        edge: Length of the stretches on either side beyond `reach` whose mean is the baseline of the peak.
        blur: Half width of the moving mean in which the peak is located.
    """

    smooth: float = 0.015
    baseline: float = 0.12
    slope: float = 0.02
    integrate: float = 0.10
    block: float = 1.0
    around: int = 5
    spike: float = 0.010
    stand_out: float = 3.0
    agree: float = 2.5
    floor: float = 0.002
    cap: float = 1.5
    round_off: float = 0.05
    power: float = 1.5
    clearest: float = 40.0
    low: float = 0.2
    high: float = 0.35
    refractory: float = 0.25
    t_reach: float = 0.36
    t_share: float = 0.5
    late: float = 1.5
    reach: float = 0.06
    edge: float = 0.04
    blur: float = 0.008


def detect(
    signal: NDArray[np.floating],
    fs: float,
    leads: Sequence[str],
    settings: ConsensusSettings = ConsensusSettings(),
) -> list[NDArray[np.int64]]:
    """Find the R peaks of a batch.

    The position is the sample at which the voting leads together are farthest from their baseline. All leads of a
    record share one list of peaks.

    Args:
        signal: ``[B, L, T]`` in mV (or any unit in which a QRS complex is far above 0.01), NaN for a missing sample.
        fs: Sampling rate in Hz.
        leads: Names of the L rows; all leads are treated alike.
        settings: See `ConsensusSettings`.

    Returns:
        Ascending sample indices at `fs`, for each record.
    """
    from ecgkit.beats.kernels import detect as find

    B, _, T = signal.shape
    step = max(1, int(fs // LEAST_FS))
    if step > T:
        return [np.empty(0, np.int64) for _ in range(B)]
    block, widths, limits = _in_samples(settings, fs, fs / step)
    peaks = np.empty((B, T // step // max(1, int(widths[4])) + 2), np.int64)
    counts = np.empty(B, np.int64)
    signal = np.ascontiguousarray(signal, np.float32)
    find(signal, np.isfinite(signal).all(-1), step, block, widths, limits, peaks, counts)
    return [row[:count].copy() for row, count in zip(peaks, counts, strict=True)]


def _in_samples(s: ConsensusSettings, fs: float, rate: float) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Return the block, the widths and the limits in the units of `ecgkit.beats.kernels.detect`."""
    halves = [round(width * rate / 2) for width in (s.smooth, s.baseline, s.slope, s.integrate)]
    halves[2] = max(1, halves[2])
    spike = max(1, round(s.spike * fs)) if fs >= LEAST_FOR_SPIKES else 0
    peak = [s.reach * fs, max(1, s.edge * fs), s.blur * fs]
    times = [s.refractory * rate, s.t_reach * rate, spike, *peak, s.around, s.round_off * rate / 2]
    limits = [s.stand_out, s.floor, s.cap, s.power, s.clearest, s.low, s.high, s.t_share, s.late, s.agree]
    return max(1, round(s.block * rate)), np.array([*halves, *map(round, times)], np.int64), np.array(limits)
