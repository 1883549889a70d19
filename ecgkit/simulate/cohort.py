"""A folder of synthetic ECGs in the layout of MIMIC-IV-ECG 1.0 (Gow et al., 2023, doi 10.13026/4nqg-sb35).

``files/pNNNN/pXXXXXXXX/sZZZZZZZZ/ZZZZZZZZ.{hea,dat,atr}`` with ``record_list.csv`` and
``machine_measurements.csv``. Beyond what MIMIC has, headers carry age, sex and SNOMED CT codes, and ``.atr``
files the true R peaks. The folder is a pure function of the number of records, the seed, the rate, the
length and the difficulty. If labels have errors, ``truth.csv`` holds the findings that the signals show.
"""

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.errors import ConfigError
from ecgkit.simulate.difficulty import Difficulty, find_difficulty
from ecgkit.simulate.ecg import SimulatedECG, simulate_ecg
from ecgkit.simulate.files import quantise, write_beats, write_record
from ecgkit.simulate.findings import codes, count_labels, draw_findings
from ecgkit.simulate.patient import Patient, draw_patient
from ecgkit.simulate.report import MOST_LINES

RECORD_LIST = "record_list.csv"
MEASUREMENTS = "machine_measurements.csv"
TRUTH = "truth.csv"
TRUTH_COLUMNS = ("subject_id", "study_id", "path", "true_codes", "snr_db", "arms_reversed")
# MIMIC's ids: subjects from 10000000, studies from 40000000; both have eight digits.
SUBJECT_IDS, STUDY_IDS = (10_000_000, 20_000_000), (40_000_000, 50_000_000)
CARTS = 40
NO_VALUE = 29999  # value that MIMIC's carts print for a missing interval
INTERVALS = (
    "rr_interval",
    "p_onset",
    "p_end",
    "qrs_onset",
    "qrs_end",
    "t_end",
    "p_axis",
    "qrs_axis",
    "t_axis",
)
LIST_COLUMNS = ("subject_id", "study_id", "file_name", "ecg_time", "path")
MEASUREMENT_COLUMNS = (
    *("subject_id", "study_id", "cart_id", "ecg_time"),
    *(f"report_{line}" for line in range(MOST_LINES)),
    *("bandwidth", "filtering", *INTERVALS),
)

# Independent random streams, so that draws for one purpose do not change the draws for another.
_IDS, _PATIENTS, _RECORDS = range(3)


@dataclass(frozen=True)
class CohortSummary:
    """Counts of a cohort.

    Args:
        records: Number of ECGs.
        patients: Number of subjects.
        labels: Number of ECGs labelled with each finding, by the Challenges' abbreviation.
    """

    records: int
    patients: int
    labels: dict[str, int]


@dataclass(frozen=True)
class _Visit:
    """One ECG to simulate: the `number`-th of a patient."""

    patient: Patient
    index: int
    number: int
    subject_id: int
    study_id: int

    @property
    def time(self) -> datetime:
        return self.patient.times[self.number]

    @property
    def path(self) -> str:
        subject = str(self.subject_id)
        return f"files/p{subject[:4]}/p{subject}/s{self.study_id}/{self.study_id}"


def simulate_cohort(
    out: Path,
    *,
    records: int,
    seed: int = 0,
    fs: float = 500.0,
    seconds: float = 10.0,
    difficulty: str = "standard",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CohortSummary:
    """Write a cohort of synthetic ECGs.

    Args:
        out: Folder to make; it appears whole or not at all.
        records: Number of ECGs.
        seed: Random seed. The same seed and arguments give the same bytes.
        fs: Sampling rate in Hz.
        seconds: Length of each ECG in s.
        difficulty: ``standard`` or ``hard``: see `ecgkit.simulate.difficulty`.
        overwrite: Whether an existing cohort may be replaced.
        progress: Called with ECGs done and ECGs in total.

    Raises:
        ConfigError: A number is out of range.
        OutputError: `out` exists and may not be replaced.
    """
    _check(records, seed, fs, seconds)
    chosen = find_difficulty(difficulty)
    check_output(out, "simulated cohort", overwrite=overwrite, option="OUT")
    visits = _plan(records, seed, chosen)
    recorded, measurements, truth = [], [], []
    with atomic_folder(out, "simulated cohort") as folder:
        for done, visit in enumerate(visits, start=1):
            rng = np.random.default_rng([seed, _RECORDS, visit.index, visit.number])
            ecg = _simulate(visit, rng, fs, seconds, chosen)
            _write_files(folder, visit, ecg)
            recorded.append(ecg.recorded)
            measurements.append(_measurement_row(visit, ecg, cart=int(rng.integers(CARTS))))
            truth.append(_truth_row(visit, ecg))
            if progress:
                progress(done, records)
        _write_table(folder / RECORD_LIST, LIST_COLUMNS, map(_list_row, visits))
        _write_table(folder / MEASUREMENTS, MEASUREMENT_COLUMNS, measurements)
        if not chosen.true_labels:
            _write_table(folder / TRUTH, TRUTH_COLUMNS, truth)
    return CohortSummary(records, len({visit.index for visit in visits}), count_labels(recorded))


def _check(records: int, seed: int, fs: float, seconds: float) -> None:
    """Check the numbers of a cohort."""
    if records < 1:
        raise ConfigError(f"{records} records", "at least 1", "Ask for more with --records.")
    if seed < 0:
        raise ConfigError(f"seed {seed}", "0 or more")
    if not 50 <= fs <= 2000:
        raise ConfigError(f"a rate of {fs:g} Hz", "50 to 2000 Hz, where a QRS complex can be drawn")
    if not 2 <= seconds <= 3600:
        raise ConfigError(f"a length of {seconds:g} s", "2 to 3600 s")


def _plan(records: int, seed: int, difficulty: Difficulty) -> list[_Visit]:
    """Draw patients until they have as many ECGs as asked for."""
    drawn = list(itertools.islice(_patients(seed, difficulty), records))
    rng = np.random.default_rng([seed, _IDS])
    subjects = np.sort(_draw_ids(SUBJECT_IDS, drawn[-1][0] + 1, rng))
    studies = _draw_ids(STUDY_IDS, records, rng)
    return [
        _Visit(patient, index, number, int(subjects[index]), int(study))
        for (index, patient, number), study in zip(drawn, studies, strict=True)
    ]


def _patients(seed: int, difficulty: Difficulty) -> Iterator[tuple[int, Patient, int]]:
    """Yield (index of the patient, patient, number of the ECG) without end."""
    index = 0
    while True:
        patient = draw_patient(np.random.default_rng([seed, _PATIENTS, index]), difficulty)
        yield from ((index, patient, number) for number in range(len(patient.times)))
        index += 1


def _draw_ids(limits: tuple[int, int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return limits[0] + rng.choice(limits[1] - limits[0], size=count, replace=False)


def _simulate(
    visit: _Visit, rng: np.random.Generator, fs: float, seconds: float, difficulty: Difficulty
) -> SimulatedECG:
    findings = draw_findings(visit.patient.conditions, rng, episodes=not difficulty.rates)
    body = visit.patient.body.with_electrodes_moved(rng)
    return simulate_ecg(findings, body, rng, fs=fs, seconds=seconds, difficulty=difficulty)


def _write_files(folder: Path, visit: _Visit, ecg: SimulatedECG) -> None:
    path = folder / visit.path
    path.parent.mkdir(parents=True)
    comments = (
        f"<subject_id>: {visit.subject_id}",
        f"Age: {visit.patient.age_at(visit.time)}",
        f"Sex: {'Female' if visit.patient.body.female else 'Male'}",
        f"Dx: {','.join(ecg.codes)}",
    )
    write_record(path, quantise(ecg.signal), fs=ecg.fs, time=visit.time, comments=comments)
    write_beats(path, ecg.rpeaks, ecg.ectopic)


def _list_row(visit: _Visit) -> tuple[object, ...]:
    return visit.subject_id, visit.study_id, visit.study_id, visit.time, visit.path


def _truth_row(visit: _Visit, ecg: SimulatedECG) -> tuple[object, ...]:
    true = ",".join(codes(ecg.findings))
    return visit.subject_id, visit.study_id, visit.path, true, f"{ecg.snr:.2f}", int(ecg.arms_reversed)


def _measurement_row(visit: _Visit, ecg: SimulatedECG, cart: int) -> tuple[object, ...]:
    lines = (*ecg.report, *[""] * (MOST_LINES - len(ecg.report)))
    # A record has hum only if no notch filter removed it.
    filtering = "Baseline filter" if ecg.mains else "60 Hz notch Baseline filter"
    values = (getattr(ecg.measurements, name) for name in INTERVALS)
    intervals = (NO_VALUE if value is None else value for value in values)
    who = (visit.subject_id, visit.study_id, 6_840_000 + cart, visit.time)
    return (*who, *lines, "0.005-150 Hz", filtering, *intervals)


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
