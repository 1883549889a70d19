"""Times of the heart beats: sinus rhythm with breathing, atrial fibrillation, and premature ventricular beats.

Times are in s from the first sample of the record; beats run from before it to after its end, so that no wave
is cut. Numbers without a source are ours, chosen within the ranges of clinical textbooks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.simulate.difficulty import STANDARD, Difficulty
from ecgkit.simulate.dipole import Array

# Heart rates in 1/min, kept clear of the limits 60 and 100 so that a label is never a matter of rounding.
RATES: dict[str, tuple[float, float]] = {
    "NSR": (62.0, 97.0),
    "SB": (40.0, 57.0),
    "STach": (104.0, 140.0),
    "AF": (62.0, 145.0),
}
MARGIN = 2.5  # s of beats before the first and after the last sample
COUPLING = (0.52, 0.66)  # a premature beat's distance from the beat before, as a part of RR
LATEST_COUPLING = 0.80  # above this part of RR nobody would call it premature
SHORTEST_RR = 0.30  # s, shortest RR in atrial fibrillation that the AV node lets through
PAUSE = 0.60  # s, shortest distance from a premature beat to the next


@dataclass(frozen=True)
class Rhythm:
    """The beats of a record.

    Args:
        times: ``[K]``, time of each R peak in s.
        rr: ``[K]``, the RR interval in s that sets the length of the beat's QT.
        ectopic: ``[K]``, True for a premature ventricular beat.
        mean_rr: The underlying mean RR in s, without the premature beats.
        fibrillating: Whether the atria fibrillate, and no beat has a P wave.
    """

    times: Array
    rr: Array
    ectopic: NDArray[np.bool_]
    mean_rr: float
    fibrillating: bool = False

    @property
    def rate(self) -> float:
        """Underlying heart rate in 1/min."""
        return 60.0 / self.mean_rr


def qt_interval(rr: float, qtc: float) -> float:
    """Return QT in s at an RR in s, after Fridericia, Acta Med. Scand. 53:469-486 (1920): QT = QTc * RR^(1/3)."""
    return float(qtc * np.cbrt(rr))


def rate_limits(margin: float | None) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest heart rate in 1/min of each rhythm.

    Args:
        margin: Distance from 60 and 100 in 1/min; None for that of `RATES`.
    """
    if margin is None:
        return RATES
    near = {"NSR": (60 + margin, 100 - margin), "SB": (40.0, 60 - margin), "STach": (100 + margin, 140.0)}
    return {**RATES, **near}


def draw_rate(
    findings: frozenset[str], resting: float, rng: np.random.Generator, difficulty: Difficulty = STANDARD
) -> float:
    """Draw a heart rate in 1/min that fits the findings; in normal sinus rhythm it is near the patient's own."""
    low, high = next(limits for key, limits in rate_limits(difficulty.rate_margin).items() if key in findings)
    if "NSR" in findings:
        return float(np.clip(resting + rng.normal(0.0, 5.0), low, high))
    if "PVC" in findings:
        high = min(high, 105.0)  # leaves room for a premature beat behind the T wave
    return float(rng.uniform(low, high))


def draw_rhythm(
    findings: frozenset[str],
    resting: float,
    qtc: float,
    seconds: float,
    rng: np.random.Generator,
    difficulty: Difficulty = STANDARD,
) -> Rhythm:
    """Draw the beats of a record.

    Args:
        findings: Findings of the record.
        resting: The patient's resting rate in 1/min.
        qtc: The patient's QT at a rate of 60/min, in s.
        seconds: Length of the record in s.
        rng: Random generator.
        difficulty: How near rates are to the limits, and how much RR intervals vary.
    """
    mean_rr = 60.0 / draw_rate(findings, resting, rng, difficulty)
    count = int((seconds + 2 * MARGIN) / mean_rr) + 2
    fibrillating = "AF" in findings
    draw_rr, depth = (
        (_fibrillation_rr, difficulty.fibrillation_depth) if fibrillating else (_sinus_rr, difficulty.sinus_depth)
    )
    rr = draw_rr(mean_rr, count, depth, rng)
    times = np.cumsum(rr) - rng.uniform(0.0, mean_rr) - MARGIN
    ectopic = np.zeros(count, dtype=bool)
    if "PVC" in findings:
        times, ectopic = _with_ectopy(times, qt_interval(mean_rr, qtc), seconds, rng)
    # QT follows the rate of the last minute more than the last interval.
    return Rhythm(times, 0.8 * mean_rr + 0.2 * rr, ectopic, mean_rr, fibrillating)


def _sinus_rr(mean_rr: float, count: int, depths: tuple[float, float], rng: np.random.Generator) -> Array:
    """Draw RR intervals ``[count]`` in s that follow breathing and the slower waves of blood pressure (0.1 Hz)."""
    nominal = mean_rr * np.arange(count)
    depth = rng.uniform(*depths) * min(mean_rr, 1.0)  # faster hearts vary less
    breathing = np.sin(2 * np.pi * (rng.uniform(0.18, 0.35) * nominal + rng.random()))
    pressure = np.sin(2 * np.pi * (0.1 * nominal + rng.random()))
    rr = 1 + depth * (breathing + 0.4 * pressure + 0.2 * rng.standard_normal(count))
    return mean_rr * rr / rr.mean()


def _fibrillation_rr(mean_rr: float, count: int, depths: tuple[float, float], rng: np.random.Generator) -> Array:
    """Draw RR intervals ``[count]`` in s without any order: gamma-distributed above the AV node's shortest."""
    variation = rng.uniform(*depths)
    spare = mean_rr - SHORTEST_RR
    shape = (spare / (variation * mean_rr)) ** 2
    return SHORTEST_RR + rng.gamma(shape, spare / shape, count)


def _with_ectopy(times: Array, qt: float, seconds: float, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Turn some beats into premature ventricular ones; the next beat keeps its time, which makes the pause."""
    times, ectopic = times.copy(), np.zeros(len(times), dtype=bool)
    for beat in _premature_beats(times, seconds, rng):
        rr = times[beat] - times[beat - 1]
        coupling = max(rng.uniform(*COUPLING) * rr, qt + 0.02)  # not on the T wave
        times[beat] = times[beat - 1] + min(coupling, LATEST_COUPLING * rr)
        times[beat + 1 :] += max(0.0, PAUSE - (times[beat + 1] - times[beat]))
        ectopic[beat] = True
    return times, ectopic


def _premature_beats(times: Array, seconds: float, rng: np.random.Generator) -> list[int]:
    """Choose the beats that come early: never two in a row, and after the longer intervals, where there is room."""
    rr = np.diff(times, prepend=times[0])
    # One second from the start and the end, as far as a short record allows, so that the label can be seen.
    edge = min(1.0, seconds / 4)
    inside = np.flatnonzero((times > edge) & (times < seconds - edge) & (rr >= np.median(rr[1:])))
    if not len(inside):
        inside = np.array([int(np.abs(times - seconds / 2).argmin())])
    chosen: list[int] = []
    for beat in rng.permutation(inside)[: int(rng.integers(1, 5))]:
        if all(abs(beat - other) > 1 for other in chosen):
            chosen.append(int(beat))
    return sorted(chosen)
