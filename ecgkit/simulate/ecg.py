"""One synthetic 12-lead ECG: rhythm and beats, projected to the leads, with noise, measurements and report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import STANDARD_LEADS
from ecgkit.simulate.dipole import Array, Loop, project, twelve_leads
from ecgkit.simulate.findings import check_findings, codes, labels
from ecgkit.simulate.heart import Heart, ectopic_heart, sinus_heart
from ecgkit.simulate.measure import Measurements, measure
from ecgkit.simulate.noise import draw_gaps, draw_levels, draw_loose_lead, draw_noise
from ecgkit.simulate.patient import Body
from ecgkit.simulate.report import write_report
from ecgkit.simulate.rhythm import Rhythm, draw_rhythm

FIBRILLATION_HZ = (4.5, 8.5)
# Ours: the atria's dipole in mV when they fibrillate; V1 lies nearest, II sees some.
FIBRILLATION = np.array([(-0.015, 0.035, -0.045), (-0.010, 0.015, -0.040), (0.010, 0.030, -0.015)])
BEAT_CHANGE = 0.02  # part by which QRS and T swell from beat to beat, as the lungs fill
NEAR = 1.0  # s before and after the record in which a beat may still reach into it
PEAK_SEARCH = 0.06  # s on either side of a beat's nominal time


@dataclass(frozen=True)
class SimulatedECG:
    """A synthetic ECG and its ground truth.

    Args:
        signal: ``[12, T]`` in mV, standard lead order; NaN where a sample is missing.
        clean: ``[12, T]`` in mV, the signal without noise, loose lead or gaps.
        dipole: ``[3, T]`` in mV, the heart's dipole from which `clean` is computed.
        fs: Sampling rate in Hz.
        rpeaks: Sample index of each R peak, at which the dipole's magnitude in the QRS is largest.
        ectopic: For each of `rpeaks`, True for a premature ventricular beat.
        findings: Keys of `findings.FINDINGS`.
        measurements: Intervals and axes.
        report: Lines of the machine's report.
        loose_lead: The flat lead, if there is one.
        mains: Whether there is mains hum.
    """

    signal: Array
    clean: Array
    dipole: Array
    fs: float
    rpeaks: NDArray[np.int64]
    ectopic: NDArray[np.bool_]
    findings: frozenset[str]
    measurements: Measurements
    report: tuple[str, ...]
    loose_lead: str | None = None
    mains: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Abbreviations of the findings."""
        return labels(self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """SNOMED CT codes of the findings."""
        return codes(self.findings)


def simulate_ecg(
    findings: frozenset[str],
    body: Body,
    rng: np.random.Generator,
    *,
    fs: float = 500.0,
    seconds: float = 10.0,
) -> SimulatedECG:
    """Simulate one ECG.

    Args:
        findings: Keys of `findings.FINDINGS`, among them one rhythm.
        body: The patient's body, from `patient.draw_body`.
        rng: Random generator; equal generators give equal ECGs.
        fs: Sampling rate in Hz.
        seconds: Length in s.

    Raises:
        ConfigError: The findings are unknown, or no ECG can show them together.
    """
    check_findings(findings)
    samples = round(seconds * fs)
    sinus = sinus_heart(body, findings)
    ectopic = ectopic_heart(body) if "PVC" in findings else None
    rhythm = draw_rhythm(findings, body.resting_rate, body.qtc, seconds, rng)
    dipole = _dipole(rhythm, sinus, ectopic, samples, fs, rng)
    leads = project(dipole) * body.lead_gain[:, None]
    levels, loose_lead = draw_levels(rng), draw_loose_lead(rng)
    signal = twelve_leads(leads + draw_noise(levels, samples, fs, rng))
    if loose_lead:
        signal[STANDARD_LEADS.index(loose_lead)] = 0.0
    signal[draw_gaps(len(signal), samples, fs, rng)] = np.nan
    rpeaks, kinds = _rpeaks(rhythm, dipole, fs)
    return SimulatedECG(
        signal=signal,
        clean=twelve_leads(leads),
        dipole=dipole,
        fs=fs,
        rpeaks=rpeaks,
        ectopic=kinds,
        findings=findings,
        measurements=measure(sinus, rhythm.mean_rr),
        report=write_report(findings, rhythm.rate, loose_lead, rng),
        loose_lead=loose_lead,
        mains=levels.mains > 0,
    )


def _dipole(
    rhythm: Rhythm, sinus: Heart, ectopic: Heart | None, samples: int, fs: float, rng: np.random.Generator
) -> Array:
    """Return the heart's dipole ``[3, T]`` in mV."""
    dipole = _fibrillation(samples, fs, rng) if rhythm.fibrillating else np.zeros((3, samples))
    swelling = 1 + BEAT_CHANGE * rng.standard_normal(len(rhythm.times)).clip(-2, 2)
    near = (rhythm.times > -NEAR) & (rhythm.times < samples / fs + NEAR)
    for beat in np.flatnonzero(near):
        heart = ectopic if rhythm.ectopic[beat] and ectopic else sinus
        loop = heart.beat(float(rhythm.rr[beat])).louder(float(swelling[beat]))
        _add_beat(dipole, loop, float(rhythm.times[beat]), fs)
    return dipole


def _add_beat(dipole: Array, beat: Loop, time: float, fs: float) -> None:
    """Add a beat whose R peak is at `time` in s, where it is not negligible."""
    first, last = beat.reach
    start = max(0, int((time + first) * fs))
    stop = min(dipole.shape[1], int((time + last) * fs) + 1)
    if start < stop:
        dipole[:, start:stop] += beat.at(np.arange(start, stop) / fs - time)


def _fibrillation(samples: int, fs: float, rng: np.random.Generator) -> Array:
    """Return the dipole ``[3, T]`` in mV of fibrillating atria: waves that change in rate and size all the time."""
    time = np.arange(samples) / fs
    dipole = np.zeros((3, samples))
    for vector in FIBRILLATION * rng.uniform(0.6, 1.2):
        mean = rng.uniform(*FIBRILLATION_HZ)
        # A frequency that sways by up to 1 Hz: its integral is the phase.
        sway = np.cumsum(np.sin(2 * np.pi * (rng.uniform(0.2, 0.6) * time + rng.random()))) / fs
        phase = 2 * np.pi * (mean * time + sway + rng.random())
        size = 1 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.3, 0.9) * time + rng.random()))
        dipole += vector[:, None] * size * (np.sin(phase) + 0.35 * np.sin(2 * phase))
    return dipole


def _rpeaks(rhythm: Rhythm, dipole: Array, fs: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the sample of each R peak within the record, and whether the beat is ectopic."""
    magnitude, reach = np.linalg.norm(dipole, axis=0), round(PEAK_SEARCH * fs)
    nominal = np.rint(rhythm.times * fs).astype(np.int64)
    inside = (nominal >= 0) & (nominal < dipole.shape[1])
    peaks = []
    for sample in nominal[inside]:
        start = max(0, int(sample) - reach)
        peaks.append(start + int(magnitude[start : int(sample) + reach + 1].argmax()))
    return np.array(peaks, dtype=np.int64), rhythm.ectopic[inside]
