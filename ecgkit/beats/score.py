"""Scores of a detector: its peaks are compared with reference annotations, or with those of another detector.

A reference beat and a detection within a tolerance of each other make a pair; each is used once (ANSI/AAMI EC57 takes
150 ms). Sensitivity is the share of reference beats that are paired, PPV the share of detections that are paired, and
F1 their harmonic mean. The whole record counts, without the learning period that EC57 allows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.beats.detector import Detector
from ecgkit.beats.reference import Reference, read_reference
from ecgkit.datasets.base import Dataset, settle
from ecgkit.datasets.header import Header
from ecgkit.errors import DatasetError, EcgkitError
from ecgkit.ingestion import find_dataset
from ecgkit.progress import Advance
from ecgkit.recording import Recording

Peaks = NDArray[np.int64]

TOLERANCES = (150.0, 50.0)  # ms


@dataclass(frozen=True)
class Score:
    """Counts at one tolerance.

    Args:
        tolerance: The tolerance in ms.
        paired: Number of reference beats that were found.
        missed: Number of reference beats that were not found.
        extra: Number of detections without a reference beat.
    """

    tolerance: float
    paired: int = 0
    missed: int = 0
    extra: int = 0

    @property
    def sensitivity(self) -> float:
        """Share of the reference beats that were found; NaN if there are none."""
        return _share(self.paired, self.paired + self.missed)

    @property
    def ppv(self) -> float:
        """Share of the detections that are beats; NaN if there are none."""
        return _share(self.paired, self.paired + self.extra)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and PPV."""
        return _share(2 * self.paired, 2 * self.paired + self.missed + self.extra)

    def to_dict(self) -> dict[str, float]:
        """Return counts and scores by name."""
        names = ("tolerance", "paired", "missed", "extra", "sensitivity", "ppv", "f1")
        return {name: getattr(self, name) for name in names}

    def __add__(self, other: "Score") -> "Score":
        return Score(self.tolerance, self.paired + other.paired, self.missed + other.missed, self.extra + other.extra)


@dataclass(frozen=True)
class RecordScore:
    """Scores of one record.

    Args:
        record: Id of the record.
        reference: Name of the annotator or detector that it was compared with.
        scores: One score per tolerance.
        expected: Number of beats of the reference.
        found: Number of detections that were compared.
        errors: Detection minus reference in ms, for each pair at the widest tolerance, nearest to nearest.
    """

    record: str
    reference: str
    scores: tuple[Score, ...]
    expected: Peaks = field(compare=False)
    found: Peaks = field(compare=False)
    errors: NDArray[np.float64] = field(compare=False)

    @property
    def median_error(self) -> float:
        """Median of the absolute errors in ms; NaN if there is no pair."""
        return _median(self.errors)


@dataclass(frozen=True)
class Report:
    """Scores of a detector on a folder.

    Args:
        records: Scores of the records.
        unread: Records that could not be read, with the reason.
        without: Records without such a reference.
        detector: The detector; see `ecgkit.beats.detector.Detector.describe`.
    """

    records: list[RecordScore]
    unread: dict[str, str]
    without: list[str]
    detector: dict[str, Any] = field(default_factory=dict)

    def pooled(self) -> list[Score]:
        """Return the counts over all records, one score per tolerance."""
        return [_sum(scores) for scores in zip(*(record.scores for record in self.records), strict=True)]

    def errors(self) -> NDArray[np.float64]:
        """Return the errors of all records in ms."""
        return np.concatenate([record.errors for record in self.records])

    @property
    def median_error(self) -> float:
        """Median of the absolute errors of all records in ms; NaN if there is no pair."""
        return _median(self.errors())

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain values, pooled and of each record."""
        records = [
            {
                "record": record.record,
                "reference": record.reference,
                "scores": [score.to_dict() for score in record.scores],
                "median_absolute_error_ms": record.median_error,
            }
            for record in self.records
        ]
        return {
            "detector": self.detector,
            "pooled": [score.to_dict() for score in self.pooled()],
            "median_absolute_error_ms": self.median_error,
            "records": records,
            "without_reference": self.without,
            "unread": self.unread,
        }

    def worst(self) -> list[RecordScore]:
        """Return the records that are not perfect at the widest tolerance, those with the most errors first."""
        wrong = [record for record in self.records if record.scores[0].missed + record.scores[0].extra]
        return sorted(wrong, key=lambda record: -(record.scores[0].missed + record.scores[0].extra))


def pair(reference: Peaks, found: Peaks, tolerance: int) -> tuple[int, int, int]:
    """Count pairs, missed reference beats and extra detections.

    Taking the earliest detection that fits gives the largest number of pairs, since all windows have the same width.

    Args:
        reference: Ascending sample indices.
        found: Ascending sample indices.
        tolerance: Tolerance in samples.
    """
    i = j = pairs = 0
    while i < len(reference) and j < len(found):
        if found[j] < reference[i] - tolerance:
            j += 1
        elif found[j] > reference[i] + tolerance:
            i += 1
        else:
            pairs, i, j = pairs + 1, i + 1, j + 1
    return pairs, len(reference) - pairs, len(found) - pairs


def errors_of(reference: Peaks, found: Peaks, tolerance: int) -> NDArray[np.int64]:
    """Return the nearest detection minus the reference beat, in samples, if it is within the tolerance."""
    if not len(reference) or not len(found):
        return np.empty(0, np.int64)
    after = np.searchsorted(found, reference).clip(0, len(found) - 1)
    before = (after - 1).clip(0)
    ahead, behind = found[after] - reference, found[before] - reference
    nearest = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
    return nearest[np.abs(nearest) <= tolerance]


def score_record(
    record: str, name: str, reference: Reference, found: Peaks, fs: float, tolerances: Sequence[float] = TOLERANCES
) -> RecordScore:
    """Score the peaks of one record.

    Args:
        record: Id of the record.
        name: Name of the reference.
        reference: The reference.
        found: Detections as sample indices.
        fs: Sampling rate in Hz of all indices.
        tolerances: Tolerances in ms, the widest first.
    """
    judged = reference.judged(found)
    widths = [int(tolerance * fs / 1000 + 1e-9) for tolerance in tolerances]
    scores = [Score(ms, *pair(reference.beats, judged, w)) for ms, w in zip(tolerances, widths, strict=True)]
    errors = errors_of(reference.beats, judged, widths[0]) * 1000 / fs
    return RecordScore(record, name, tuple(scores), reference.beats, judged, errors)


def score_folder(
    src: Path,
    detector: Detector,
    *,
    annotators: Sequence[str] = ("atr",),
    against: Detector | None = None,
    tolerances: Sequence[float] = TOLERANCES,
    dataset: str = "",
    progress: Advance | None = None,
) -> Report:
    """Score a detector on every record of a folder.

    Args:
        src: Folder of the dataset.
        detector: The detector.
        annotators: Suffixes of the annotations to compare with, each on its own.
        against: Another detector to compare with instead of annotations.
        tolerances: Tolerances in ms.
        dataset: Layout of the folder. By default it is detected.
        progress: Called with records done and records in total.

    Raises:
        DatasetError: The folder has no record with such a reference.
    """
    layout = find_dataset(src, dataset)
    sources = [source for source in settle(layout.sources()) if not source.problem]
    report = Report([], {}, [], detector.describe())
    widest = tuple(sorted(tolerances, reverse=True))
    for done, source in enumerate(sources, 1):
        try:
            header = layout.header(source)
            references = None if against else dict(_references(layout, source.path, annotators, header))
            if references is not None and not references:
                report.without.append(source.record_id)
            else:
                recording = layout.read(source, header)
                _judge(report, source.record_id, recording, detector, references, against, widest)
        except EcgkitError as error:
            report.unread[source.record_id] = str(error)
        if progress:
            progress(done, len(sources))
    if not report.records:
        raise _nothing_scored(src, len(sources), annotators, report)
    return report


def _nothing_scored(src: Path, records: int, annotators: Sequence[str], report: Report) -> DatasetError:
    first = next(iter(report.unread.items()), None)
    why = f"; record {first[0]}: {first[1]}" if first else ""
    return DatasetError(f"none of the {records} records of {src} has annotations {', '.join(annotators)}{why}")


def _references(
    layout: Dataset, path: str, annotators: Iterable[str], header: Header
) -> Iterator[tuple[str, Reference]]:
    for annotator in annotators:
        reference = read_reference(layout.root, path, annotator, samples=header.samples, fs=header.fs)
        if reference is not None:
            yield annotator, reference


def _judge(
    report: Report,
    record: str,
    recording: Recording,
    detector: Detector,
    references: dict[str, Reference] | None,
    against: Detector | None,
    tolerances: Sequence[float],
) -> None:
    """Detect once, and compare with each reference."""
    if references is None:
        assert against is not None
        other = detect_in(recording, against)
        references = {against.name: Reference(other, np.array([[0, recording.signal.shape[-1]]]))}
    found = detect_in(recording, detector)
    for name, reference in references.items():
        report.records.append(score_record(record, name, reference, found, recording.fs, tolerances))


def detect_in(recording: Recording, detector: Detector) -> Peaks:
    """Return the R peaks of one recording; no peaks if the detector fails."""
    leads = detector.choose_leads(recording.leads)
    if not leads:
        return np.empty(0, np.int64)
    chosen = recording.only(leads)
    return detector.find(chosen.signal[None], recording.fs, leads)[0][0]


def _sum(scores: Sequence[Score]) -> Score:
    total = Score(scores[0].tolerance)
    for score in scores:
        total += score
    return total


def _median(errors: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(errors))) if len(errors) else float("nan")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
