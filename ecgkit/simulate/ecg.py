"""One synthetic 12-lead ECG: rhythm and beats, projected to the leads, with noise, measurements and report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import STANDARD_LEADS
from ecgkit.simulate.difficulty import STANDARD, Difficulty
from ecgkit.simulate.dipole import INDEPENDENT_LEADS, Array, Loop, project, twelve_leads
from ecgkit.simulate.findings import check_findings, codes, labels, record_findings
from ecgkit.simulate.heart import Heart, ectopic_heart, sinus_heart
from ecgkit.simulate.measure import Measurements, measure
from ecgkit.simulate.noise import HUMMING, draw_gaps, draw_levels, draw_loose_lead, draw_mixed_noise, draw_noise
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
        findings: Keys of `findings.FINDINGS` that the signal shows.
        recorded: Keys of the findings that label and report tell; the same ones unless labels have errors.
        measurements: Intervals and axes.
        report: Lines of the machine's report.
        loose_lead: The flat lead, if there is one.
        mains: Whether there is mains hum.
        arms_reversed: Whether the two arm electrodes are exchanged.
    """

    signal: Array
    clean: Array
    dipole: Array
    fs: float
    rpeaks: NDArray[np.int64]
    ectopic: NDArray[np.bool_]
    findings: frozenset[str]
    recorded: frozenset[str]
    measurements: Measurements
    report: tuple[str, ...]
    loose_lead: str | None = None
    mains: bool = False
    arms_reversed: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Abbreviations of the recorded findings."""
        return labels(self.recorded)

    @property
    def codes(self) -> tuple[str, ...]:
        """SNOMED CT codes of the recorded findings."""
        return codes(self.recorded)

    @property
    def snr(self) -> float:
        """Power of the clean leads around their mean over that of the noise, in dB: I, II and V1-V6, whole leads."""
        rows = [STANDARD_LEADS.index(name) for name in INDEPENDENT_LEADS if name != self.loose_lead]
        noise = self.signal[rows] - self.clean[rows]
        return float(10 * np.log10(np.var(self.clean[rows], axis=1).mean() / np.nanvar(noise, axis=1).mean()))


def simulate_ecg(
    findings: frozenset[str],
    body: Body,
    rng: np.random.Generator,
    *,
    fs: float = 500.0,
    seconds: float = 10.0,
    difficulty: Difficulty = STANDARD,
) -> SimulatedECG:
    """Simulate one ECG.

    Args:
        findings: Keys of `findings.FINDINGS`, among them one rhythm.
        body: The patient's body, from `patient.draw_body`.
        rng: Random generator; equal generators give equal ECGs.
        fs: Sampling rate in Hz.
        seconds: Length in s.
        difficulty: How hard the ECG is to read, and how often its labels are wrong.

    Raises:
        ConfigError: The findings are unknown, or no ECG can show them together.
    """
    check_findings(findings)
    samples = round(seconds * fs)
    sinus = sinus_heart(body, findings)
    ectopic = ectopic_heart(body) if "PVC" in findings else None
    rhythm = draw_rhythm(findings, body.resting_rate, body.qtc, seconds, rng, difficulty)
    dipole = _dipole(rhythm, sinus, ectopic, samples, fs, rng, difficulty.fibrillation_size)
    leads = project(dipole) * body.lead_gain[:, None]
    arms_reversed = bool(difficulty.reversed_arms and rng.random() < difficulty.reversed_arms)
    if arms_reversed:
        leads = _with_arms_reversed(leads)
    noise, mains, loose_lead = _noise(leads, fs, difficulty, rng)
    signal = twelve_leads(leads + noise)
    if loose_lead:
        signal[STANDARD_LEADS.index(loose_lead)] = 0.0
    signal[draw_gaps(len(signal), samples, fs, rng)] = np.nan
    rpeaks, kinds = _rpeaks(rhythm, dipole, fs)
    recorded = record_findings(findings, difficulty, rng)
    return SimulatedECG(
        signal=signal,
        clean=twelve_leads(leads),
        dipole=dipole,
        fs=fs,
        rpeaks=rpeaks,
        ectopic=kinds,
        findings=findings,
        recorded=recorded,
        measurements=measure(sinus, rhythm.mean_rr),
        report=write_report(recorded, rhythm.rate, loose_lead, rng),
        loose_lead=loose_lead,
        mains=mains,
        arms_reversed=arms_reversed,
    )


def _noise(leads: Array, fs: float, difficulty: Difficulty, rng: np.random.Generator) -> tuple[Array, bool, str | None]:
    """Draw the noise of the eight independent leads ``[8, T]`` in mV, whether it has hum, and the loose lead."""
    if difficulty.snr is None:
        levels, loose_lead = draw_levels(rng), draw_loose_lead(rng)
        return draw_noise(levels, leads.shape[1], fs, rng), levels.mains > 0, loose_lead
    mean, spread = difficulty.snr
    snr = mean + float(np.clip(spread.sd * rng.standard_normal(), -spread.most, spread.most))
    mains, loose_lead = bool(rng.random() < HUMMING), draw_loose_lead(rng)
    return draw_mixed_noise(leads, fs, snr, mains, rng), mains, loose_lead


def _with_arms_reversed(leads: Array) -> Array:
    """Return the independent leads ``[8, T]`` with the arm electrodes exchanged: I turns over, II becomes III."""
    return np.vstack([-leads[:1], leads[1:2] - leads[:1], leads[2:]])


def _dipole(
    rhythm: Rhythm,
    sinus: Heart,
    ectopic: Heart | None,
    samples: int,
    fs: float,
    rng: np.random.Generator,
    fibrillation: tuple[float, float],
) -> Array:
    """Return the heart's dipole ``[3, T]`` in mV."""
    dipole = _fibrillation(samples, fs, rng, fibrillation) if rhythm.fibrillating else np.zeros((3, samples))
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


def _fibrillation(
    samples: int, fs: float, rng: np.random.Generator, sizes: tuple[float, float] = STANDARD.fibrillation_size
) -> Array:
    """Return the dipole ``[3, T]`` in mV of fibrillating atria: waves that change in rate and size all the time."""
    time = np.arange(samples) / fs
    dipole = np.zeros((3, samples))
    for vector in FIBRILLATION * rng.uniform(*sizes):
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
