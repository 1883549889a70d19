"""The R peaks of a store. `read_peaks` is the only way to read them; loaders pass `Peaks.at` to models."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.parquet import LongTable, read_table, write_table
from ecgkit.store.products import StoreFolder, found_folder
from ecgkit.store.reader import Store

FOLDER, TABLE, ATTRIBUTES = "beats", "peaks.parquet", "beats.json"
FORMAT, VERSION = "ecgkit-beats", 1


@dataclass(frozen=True)
class Peaks:
    """R peaks of R records.

    Args:
        samples: Sample indices of all records, one after another, ascending within each.
        offsets: ``[R + 1]``; the peaks of record r are ``samples[offsets[r] : offsets[r + 1]]``.
        fs: ``[R]``, sampling rate in Hz of each record, at which its indices count.
        flags: ``[R]``, reason why a record's peaks are doubtful; empty if they are not.
        attributes: How the peaks were found; see `ecgkit.beats.detector.Detector.describe`.
    """

    samples: NDArray[np.int64]
    offsets: NDArray[np.int64]
    fs: NDArray[np.float64]
    flags: NDArray[np.str_]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.fs)

    def of(self, row: int) -> NDArray[np.int64]:
        """Return the peaks of one record."""
        return self.samples[self.offsets[row] : self.offsets[row + 1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """``[R]``, number of peaks of each record."""
        return np.diff(self.offsets)

    def summary(self) -> "PeaksSummary":
        """Return counts of records, beats and flags."""
        flags, records = np.unique(self.flags[self.flags != ""], return_counts=True)
        counts = self.counts
        spread = (int(counts.min()), float(np.median(counts)), int(counts.max())) if len(counts) else (0, 0.0, 0)
        flagged = {str(flag): int(n) for flag, n in zip(flags, records, strict=True)}
        return PeaksSummary(len(self), len(self.samples), spread, flagged, self.attributes)

    def at(self, rows: NDArray[np.integer], starts: NDArray[np.integer], samples: int, fs: float) -> NDArray[np.int64]:
        """Return the peaks of a batch as positions inside its crops.

        Args:
            rows: ``[B]``, rows of the records.
            starts: ``[B]``, start of each crop, in samples at `fs`.
            samples: Length of a crop.
            fs: Sampling rate of the crops in Hz.

        Returns:
            ``[B, P]``, ascending, then -1. P is the largest number of peaks in the batch. Peaks outside the crop are
            left out.
        """
        rows = np.asarray(rows)
        count = self.counts[rows]
        record = np.repeat(np.arange(len(rows)), count)
        first = np.repeat(self.offsets[rows] - (np.cumsum(count) - count), count)
        peaks = self.samples[first + np.arange(len(record))]
        # Round half up, so that equal distances stay equal from record to record.
        position = np.floor(peaks * (fs / self.fs[rows])[record] + 0.5).astype(np.int64) - np.asarray(starts)[record]
        inside = (position >= 0) & (position < samples)
        record, position = record[inside], position[inside]
        count = np.bincount(record, minlength=len(rows))
        column = np.arange(len(record)) - np.repeat(np.cumsum(count) - count, count)
        out = np.full((len(rows), int(count.max(initial=0))), -1, np.int64)
        out[record, column] = position
        return out


@dataclass(frozen=True)
class PeaksSummary:
    """Counts of R peaks.

    Args:
        records: Number of records.
        beats: Number of beats of all records.
        beats_per_record: The fewest, the median, and the most beats of a record.
        flagged: Number of doubtful records by reason.
        attributes: How the peaks were found; see `ecgkit.beats.detector.Detector.describe`.
    """

    records: int
    beats: int
    beats_per_record: tuple[int, float, int]
    flagged: dict[str, int]
    attributes: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the counts with detector, library, leads and rate as plain values."""
        how = {name: self.attributes[name] for name in ("detector", "library", "leads", "fs")}
        return {
            **how,
            "records": self.records,
            "beats": self.beats,
            "beats_per_record": list(self.beats_per_record),
            "flagged": self.flagged,
        }


def _folder(store: StoreFolder) -> Path:
    return found_folder(store.path, store.content_hash, FOLDER)


def has_peaks(store: StoreFolder) -> bool:
    """Return whether a store has peaks. `read_peaks` checks whether they belong to it."""
    return _folder(store).is_dir()


def read_peaks(store: Store) -> Peaks:
    """Read the R peaks that ``ecgkit beats`` put into a store.

    Raises:
        StoreError: The store has no peaks, its peaks are damaged, or they were found in other signals.
    """
    attributes = _attributes_of(store)
    try:
        table = read_table(_folder(store) / TABLE, ["record_id", "rpeaks", "flag"]).combine_chunks()
        peaks = _peaks_of(table, store.table["fs"].to_numpy(np.float64), attributes)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(store, type(error).__name__) from None
    if table["record_id"].to_pylist() != store.table["record_id"].tolist():
        raise _damaged(store, "other records")
    return peaks


class PeakTable:
    """The R peaks of a store, one record at a time; see `ecgkit.parquet.LongTable`.

    Args:
        store: The store.

    Raises:
        StoreError: The store has no peaks, its peaks are damaged, or they were found in other signals.
    """

    def __init__(self, store: StoreFolder) -> None:
        self._store = store
        self.detector = str(_attributes_of(store)["detector"])
        try:
            self._table = LongTable(_folder(store) / TABLE)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(store, type(error).__name__) from None

    def of(self, row: int, record_id: str) -> tuple[NDArray[np.int64], str]:
        """Return the peaks of a record as sample indices, and why they are doubtful; empty if they are not.

        Raises:
            StoreError: The row belongs to another record, or cannot be read.
        """
        try:
            found = self._table.take(np.array([row])).to_pylist()[0]
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self._store, type(error).__name__) from None
        if found["record_id"] != record_id:
            raise _damaged(self._store, "other records")
        return np.asarray(found["rpeaks"], np.int64), str(found["flag"])


def _attributes_of(store: StoreFolder) -> dict[str, Any]:
    """Return the attributes of a store's peaks, after checking that they are there and belong to it."""
    command = f"Find them with: ecgkit beats {store.path}"
    if not has_peaks(store):
        raise StoreError(f"{store.path} has no R peaks", remedy=command)
    attributes = read_attributes(store)
    if attributes.get("store_sha256") != store.content_hash:
        raise StoreError(f"the R peaks of {store.path} were found in other signals", remedy=command)
    return attributes


def read_attributes(store: StoreFolder) -> dict[str, Any]:
    """Return the attributes that are stored beside a store's peaks.

    Raises:
        StoreError: They cannot be read, or have another format.
    """
    try:
        attributes = json.loads((_folder(store) / ATTRIBUTES).read_text(encoding="utf-8"))
        known = attributes["format"] == FORMAT and attributes["version"] == VERSION
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise _damaged(store, ATTRIBUTES)
    return dict(attributes)


def write_peaks(folder: Path, table: pa.Table, attributes: Mapping[str, Any]) -> None:
    """Write peaks into a folder. Equal peaks give equal bytes.

    Args:
        folder: An empty folder.
        table: Columns ``record_id``, ``rpeaks`` (lists of int32) and ``flag``, one row per record of the store.
        attributes: Attributes for `read_attributes`.
    """
    write_table(folder / TABLE, table)
    text = json.dumps({"format": FORMAT, "version": VERSION, **attributes}, indent=2)
    (folder / ATTRIBUTES).write_text(f"{text}\n", encoding="utf-8")


def _peaks_of(table: pa.Table, fs: NDArray[np.float64], attributes: Mapping[str, Any]) -> Peaks:
    if not len(table):
        return Peaks(np.empty(0, np.int64), np.zeros(1, np.int64), fs, np.empty(0, np.str_), attributes)
    lists = table["rpeaks"].chunk(0)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    samples = lists.values.to_numpy().astype(np.int64)
    return Peaks(samples, offsets, fs, np.asarray(table["flag"].to_pylist(), np.str_), attributes)


def _damaged(store: StoreFolder, what: str) -> StoreError:
    remedy = f"Find them again with: ecgkit beats {store.path} --overwrite"
    return StoreError(f"the R peaks of {store.path} cannot be read ({what})", f"{FORMAT} version {VERSION}", remedy)
