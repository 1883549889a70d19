"""The second pass of an ingest: read, fit and store the records of one shard. An executor runs one call per shard."""

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from ecgkit.datasets.base import Dataset
from ecgkit.datasets.budget import alarms, memory_budget, time_budget
from ecgkit.errors import LeadError, RecordError, SignalError
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.plan import Item, Slots
from ecgkit.leads import DERIVED
from ecgkit.recording import Recording
from ecgkit.signal.quality import measure
from ecgkit.signal.resample import resample_with_gaps
from ecgkit.store.format import Layout
from ecgkit.store.writer import LedgerRow, PartWriter, open_part


def warm_up() -> None:
    """Load what `make_part` needs, including compiled code, so that a new process is ready when work arrives."""
    measure(np.zeros((1, 3, 2), np.int16), 500.0, ("I", "II", "III"))


@dataclass(frozen=True)
class Job:
    """What all parts of an ingest share.

    Args:
        dataset: The dataset to read from.
        options: Options of the ingest.
        layout: Layout of the store.
        folder: Folder for the parts.
    """

    dataset: Dataset
    options: IngestOptions
    layout: Layout
    folder: Path


def make_part(job: Job, call: tuple[int, Slots]) -> None:
    """Read a shard's records and write its part.

    Args:
        job: What all parts share.
        call: The part's number, and its slots.
    """
    index, slots = call
    with alarms(), open_part(job.layout, job.folder, index, job.options.dropped_flags) as writer:
        for _, windows in groupby(slots.items(), key=lambda item: item.source.record_id):
            _take(job, list(windows), writer)


def _take(job: Job, windows: list[Item], writer: PartWriter) -> None:
    """Read one record and append its windows, or note in the ledger why that failed."""
    source, header, first = windows[0].source, windows[0].header, windows[0].start
    try:
        with memory_budget(job.options.max_record_mb), time_budget(job.options.max_record_seconds):
            recording = job.dataset.read_part(source, header, first, windows[-1].stop)
        row = job.options.identity.row(job.dataset.row(source, recording))
    except RecordError as error:
        writer.reject(LedgerRow(source.record_id, source.path, "signal", str(error)), slots=len(windows))
        return
    for item in windows:
        try:
            fitted = fit(recording.part(item.start - first, item.stop - first), job.options)
        except LeadError as error:
            writer.reject(LedgerRow(item.record_id, source.path, "leads", str(error)))
        except SignalError as error:
            writer.reject(LedgerRow(item.record_id, source.path, "signal", str(error)))
        else:
            writer.append(fitted, {**row, "record_id": item.record_id, "start": item.start / header.fs})


def fit(recording: Recording, options: IngestOptions) -> Recording:
    """Resample a recording and derive its missing limb leads, as the options say."""
    fs = options.fs or recording.fs
    if fs != recording.fs:
        signal = resample_with_gaps(recording.signal, recording.fs, fs)
        rpeaks = recording.rpeaks
        if rpeaks is not None:
            rpeaks = (rpeaks * fs / recording.fs).round().astype(int)
            rpeaks = rpeaks[rpeaks < signal.shape[-1]]
        recording = replace(recording, amplitudes=signal, fs=fs, rpeaks=rpeaks, scaling=None)
    # If no lead can be derived, the order of leads does not matter here: the store puts them into its own order.
    complete = recording if set(DERIVED) <= set(recording.leads) else recording.with_derived_leads()
    return complete.only(options.leads) if options.leads else complete
