"""Signal quality measures per record and lead, and flags for those that pass a threshold.

Measured on the stored int16 samples of records of one rate and one length, all at once. Nothing here changes or drops a
signal. The thresholds are ours; each is a constant below, with its reason.

| measure | unit | definition |
| --- | --- | --- |
| `missing` | share | missing samples |
| `flat` | s | longest run of equal samples; runs below 0.2 s read 0 |
| `saturated` | share | samples in runs of 3 or more at the lead's own extreme, if 0.5 mV or more from its mean |
| `range` | mV | largest minus smallest sample |
| `hum50`, `hum60` | mV | amplitude at 50 and 60 Hz: median over segments of 1 s under a Hann window |
| `r_wave` | ratio | largest change within 20 ms, median over windows of 2 s, divided by the mean of such changes |
| `residual` | ratio | III, aVR, aVL, aVF: RMS of the lead minus its value from I and II, divided by the RMS of that
value |
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import DERIVED

Measures = dict[str, NDArray[np.float32]]

MEASURES = ("missing", "flat", "saturated", "range", "hum50", "hum60", "r_wave", "residual")
HUM = {"hum50": 50.0, "hum60": 60.0}  # Hz, the two mains frequencies in use

SHORTEST_FLAT = 0.2  # s; shorter runs are common in quiet signals of coarse resolution
RAIL_RUN = 3  # samples; two equal samples at a peak may be chance
RAIL_DISTANCE = 0.5  # mV from the mean; below it the extreme may be the baseline itself
STEP = 0.02  # s; the steepest part of a QRS complex fits into it
R_WINDOW = 2.0  # s, one beat at 30 per minute
SEGMENT = 1.0  # s; resolves 2 Hz under the window, so that mains 0.5 Hz off still count
NYQUIST_SHARE = 0.45  # of the sampling rate; a hum above it is not measured

MISSING_SHARE = 0.0  # any missing sample
FLAT_SECONDS = 1.0  # longer than any true pause between two beats' waves
SATURATED_SHARE = 0.01  # 0.1 s of a record of 10 s; the rounded peak of a coarse signal holds its top for less
LEAD_OFF_RANGE = 0.05  # mV peak to peak: half a millimetre of paper, where no deflection can be read
LEAD_OFF_SHARE = 0.8  # of the record missing, or one run of equal samples
HUM_AMPLITUDE = 0.025  # mV: 50 uV peak to peak, half a millimetre of paper
# Gaussian noise gives about 4 and a sine 1.6, at any amplitude.
R_WAVE_RATIO = 5.0
RESIDUAL = 0.2  # far above the effect of rounding and separate filters, far below that of a swap or an inversion

FLAGS: dict[str, str] = {
    "missing": "samples are missing",
    "flat": f"a run of equal samples lasts {FLAT_SECONDS:g} s or more",
    "saturated": f"{SATURATED_SHARE:.0%} of the samples or more are held at an extreme",
    "lead-off": f"less than {LEAD_OFF_RANGE:g} mV from peak to peak, or {LEAD_OFF_SHARE:.0%} flat or missing",
    "mains-hum": f"{HUM_AMPLITUDE:g} mV or more at 50 or 60 Hz",
    "no-r-wave": "no steep deflection stands out",
    "limb-leads": "a limb lead is far from its value computed from I and II",
}


def measure(stored: NDArray[np.int16], fs: float, leads: Sequence[str], units_per_mv: float = 1000.0) -> Measures:
    """Measure records of one rate and one length.

    Args:
        stored: int16 ``[R, L, T]``; -32768 for a missing sample, and for all samples of a lead that a record lacks.
        fs: Sampling rate in Hz.
        leads: Canonical names of the L rows.
        units_per_mv: Stored units per mV.

    Returns:
        Each of `MEASURES` as float32 ``[R, L]``; NaN if it cannot be measured.
    """
    from ecgkit.signal import quality_kernel  # numba is slow to import

    R, L, T = stored.shape
    stored = np.ascontiguousarray(stored)
    rows = stored.reshape(R * L, T)
    step, window = max(1, round(STEP * fs)), max(1, round(R_WINDOW * fs))
    hum = {name: hz for name, hz in HUM.items() if hz < NYQUIST_SHARE * fs}
    tables = _hum_tables(tuple(hum.values()), fs, min(T, round(SEGMENT * fs)), quality_kernel.TABLE_BITS)
    counts = np.zeros((R * L, 5), np.int64)
    steps = np.zeros((R * L, 1 + max(1, T // window)), np.int64)
    powers = np.zeros((R * L, len(hum), T // tables.shape[-1]))
    shortest = max(2, round(SHORTEST_FLAT * fs))
    distance = round(RAIL_DISTANCE * units_per_mv)
    quality_kernel.measure(rows, shortest, RAIL_RUN, distance, step, window, tables, counts, steps, powers)

    missing, flat, held, low, high = counts.T
    known = missing < T
    numbers = {
        "missing": missing / T,
        "flat": flat / fs,
        "saturated": held / np.maximum(T - missing, 1),
        "range": (high - low) / units_per_mv,
        **dict(zip(hum, np.sqrt(_median(powers)).T / units_per_mv, strict=True)),
        "r_wave": _share(_median(steps[:, 1:]), steps[:, 0] / max(1, T - step)),
    }
    for name in numbers.keys() - {"missing"}:
        numbers[name] = np.where(known, numbers[name], np.nan)
    shaped = {name: values.reshape(R, L).astype(np.float32) for name, values in numbers.items()}
    shaped["residual"] = _residuals(stored, leads)
    unknown = np.full((R, L), np.nan, np.float32)
    return {name: shaped.get(name, unknown) for name in MEASURES}


def flagged(
    measures: Mapping[str, NDArray[np.float32]], seconds: NDArray[np.floating], calibrated: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Compare measures with their thresholds.

    Args:
        measures: Measures as `measure` returns them; a lead that a record lacks is NaN throughout.
        seconds: ``[R]``, length of each record in s.
        calibrated: ``[R]``, which records are in mV. In others lead-off only means a constant lead, and hum is not
            judged.

    Returns:
        Each of `FLAGS` as bool ``[R, L]``.
    """
    missing, flat = measures["missing"], measures["flat"]
    millivolts = calibrated[:, None]
    with np.errstate(invalid="ignore"):  # comparisons with NaN are False, as they should be
        still = (missing >= LEAD_OFF_SHARE) | (flat >= LEAD_OFF_SHARE * seconds[:, None])
        return {
            "missing": missing > MISSING_SHARE,
            "flat": flat >= FLAT_SECONDS,
            "saturated": measures["saturated"] >= SATURATED_SHARE,
            "lead-off": still | (millivolts & (measures["range"] < LEAD_OFF_RANGE)),
            "mains-hum": millivolts & (np.fmax(measures["hum50"], measures["hum60"]) >= HUM_AMPLITUDE),
            "no-r-wave": measures["r_wave"] < R_WAVE_RATIO,
            "limb-leads": measures["residual"] > RESIDUAL,
        }


@lru_cache(maxsize=64)
def _hum_tables(hum: tuple[float, ...], fs: float, samples: int, bits: int) -> NDArray[np.int32]:
    """Return int32 ``[F, 2, samples]``: cosine and sine under a Hann window, as multiples of ``2 ** -bits``."""
    time = np.arange(samples) / fs
    hann = np.sin(np.pi * (np.arange(samples) + 0.5) / samples) ** 2
    waves = [[np.cos(2 * np.pi * hz * time), np.sin(2 * np.pi * hz * time)] for hz in hum]
    return np.rint(np.reshape(waves, (len(hum), 2, samples)) * hann * 2**bits).astype(np.int32)


def _residuals(stored: NDArray[np.int16], leads: Sequence[str]) -> NDArray[np.float32]:
    """Return the residuals of limb leads from Einthoven's and Goldberger's relations, ``[R, L]``, else NaN."""
    from ecgkit.signal import quality_kernel

    residuals = np.full(stored.shape[:2], np.nan, np.float32)
    there = [lead for lead in DERIVED if lead in leads]
    if not {"I", "II"} <= set(leads) or not there:
        return residuals
    limb = np.array([leads.index(lead) for lead in ("I", "II", *there)], np.int64)
    weights = np.array([DERIVED[lead] for lead in there]) * 2
    power = np.zeros((len(stored), len(there), 2))
    quality_kernel.limb_power(stored, limb, weights.astype(np.int64), power)
    derived = np.broadcast_to(power[..., 1].mean(1, keepdims=True), power.shape[:2])
    residuals[:, [leads.index(lead) for lead in there]] = np.sqrt(_share(power[..., 0], derived))
    return residuals


def _median(values: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the median over the last axis; for short axes several times as fast as `numpy.median`."""
    ordered, n = np.sort(values), values.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2


def _share(part: NDArray[np.floating], whole: NDArray[np.floating]) -> NDArray[np.floating]:
    """Divide, with NaN where the divisor is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
