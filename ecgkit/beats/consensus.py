"""The detector ``consensus``: many records at once, and several leads that vote on every beat.

Each lead becomes an envelope: the slope of its QRS band, integrated over about one complex. Divided by its own height
in a beat, which is tracked over some seconds, every lead speaks in the same unit, and counts by how far its beats
stand out. At every sample the leads' mean decides, without the highest and the lowest of three or more. So a lead
that is flat, noisy or full of artefacts neither hides nor invents a beat as long as two others are sound; with two
leads the clearer one prevails, and with one there is nobody to ask.

Ours; the parts are old: slope energy, refractory time, T-wave rule and search back of Pan and Tompkins (IEEE Trans.
Biomed. Eng. 32:230, 1985), fused over leads with a trimmed mean. `ecgkit.beats.kernels` holds the loops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FS = 200.0  # Hz; envelopes are computed at the lowest rate from here on that divides the signal's
LEAST_FOR_SPIKES = 250.0  # Hz; below, three samples are as long as a narrow R wave


@dataclass(frozen=True)
class ConsensusSettings:
    """What the detector was tuned to; times in s, heights in units of a usual beat.

    Args:
        smooth: Moving mean, twice, against noise.
        baseline: Moving mean that is taken off, against P and T waves and drift.
        slope: Over which the slope is taken.
        integrate: Over which squared slopes are averaged: about one QRS complex.
        block: In which levels are estimated.
        around: Blocks on either side whose beats make the usual beat.
        spike: Pulses narrower than this are a pacemaker's.
        stand_out: A lead shows beats where its envelope rises this many times above its resting height.
        agree: The same for the votes: noise of many leads has no height in common.
        floor: Least resting height in mV, so that the last bit of a flat lead is no beat.
        cap: Highest vote of a lead.
        round_off: Moving mean of the votes, whose top would else be flat.
        power: A lead's weight is its excess of beats over rest to this power.
        clearest: Ratio of beat to rest above which a lead gets no more weight.
        low: Least height of a beat that searching back may find.
        high: Least height of any other beat.
        refractory: Shortest interval between two beats.
        t_reach: A candidate so soon after a beat is its T wave if it is lower than `t_share` of it.
        t_share: See `t_reach`.
        late: Searching back starts where an interval is this many times the usual.
        reach: How far the R peak may be from where the vote is highest.
        edge: Stretch on either side beyond `reach` whose mean is the baseline of the peak.
        blur: Half width of the moving mean in which the peak is looked for.
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

    The position is the sample at which the voting leads together are farthest from their baseline, so all leads of a
    record share one list of peaks.

    Args:
        signal: ``[B, L, T]`` in mV (or any unit in which a QRS complex is far above 0.01), NaN where a sample is
            missing.
        fs: Sampling rate in Hz.
        leads: Names of the L rows; they all count alike.
        settings: See `ConsensusSettings`.

    Returns:
        For each record ascending sample indices at `fs`.
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
    """Return the block, the widths and the limits as `ecgkit.beats.kernels.detect` takes them."""
    halves = [round(width * rate / 2) for width in (s.smooth, s.baseline, s.slope, s.integrate)]
    halves[2] = max(1, halves[2])
    spike = max(1, round(s.spike * fs)) if fs >= LEAST_FOR_SPIKES else 0
    peak = [s.reach * fs, max(1, s.edge * fs), s.blur * fs]
    times = [s.refractory * rate, s.t_reach * rate, spike, *peak, s.around, s.round_off * rate / 2]
    limits = [s.stand_out, s.floor, s.cap, s.power, s.clearest, s.low, s.high, s.t_share, s.late, s.agree]
    return max(1, round(s.block * rate)), np.array([*halves, *map(round, times)], np.int64), np.array(limits)
