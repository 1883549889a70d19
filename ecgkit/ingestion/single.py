"""Read the only record of a file, as an ingest would."""

from dataclasses import replace
from pathlib import Path

from ecgkit.datasets.base import settle
from ecgkit.errors import DatasetError, RecordError
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.part import fit
from ecgkit.ingestion.source import find_dataset
from ecgkit.recording import Recording

# Columns that only a record of a store has.
_NOT_FACTS = frozenset(("fold", "path", "likelihoods", "labels"))


def read_single(file: Path, options: IngestOptions) -> Recording:
    """Return the record of a file: in mV, leads by name and in order, missing limb leads derived.

    Args:
        file: The file.
        options: As for an ingest; the same layouts read the file.

    Raises:
        DatasetError: No layout reads the file, it holds several records, or its rate, leads or unit are unknown.
        RecordError: The record cannot be read.
    """
    dataset = find_dataset(file, options.dataset, options.fs, options.given)
    sources = settle(dataset.sources())
    if len(sources) != 1:
        raise DatasetError(f"{file} holds {len(sources)} records", "one", "Make a store of it with ecgkit.ingest.")
    (source,) = sources
    if source.problem:
        raise RecordError(source.problem)
    dataset.check(sources)
    header = dataset.header(source)
    recording = dataset.read(source, header)
    row = options.identity.row(dataset.row(source, recording))
    facts = {name: value for name, value in row.items() if value is not None and name not in _NOT_FACTS}
    return replace(fit(recording, options), facts=facts)
