"""Features of any records, written into one file or folder with a table of the records.

The features are those of `ecgkit.load`: pooled, per lead, per token or per layer, averaged over the evaluation crops of
the signal contract; tokens of all crops follow each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import ecgkit
from ecgkit.arrays.encoder import TrainedEncoder, load
from ecgkit.atomic import check_suffix
from ecgkit.config import fingerprint, to_dict
from ecgkit.errors import ConfigError, RunError, did_you_mean
from ecgkit.inference.containers import WRITERS, Contents
from ecgkit.inference.features import Reader, features_of_block, readable
from ecgkit.inference.notes import summary
from ecgkit.inference.records import RecordSource, StoreRecords, open_records
from ecgkit.inference.work import Call, MadePart, ledger_of, make_all, read_parts, write_ledger, write_part
from ecgkit.ingestion.options import IngestOptions
from ecgkit.knowledge.extractions import chosen_extraction, extractions
from ecgkit.knowledge.labels import read_labels
from ecgkit.parts import made_again_if_damaged
from ecgkit.progress import Progress, silent
from ecgkit.store.reader import Store
from ecgkit.store.writer import LedgerRow
from ecgkit.training.run import WEIGHTS
from ecgkit.training.weights import file_sha256
from ecgkit.training.workers import Workers
from ecgkit.unfinished import Unfinished

KIND = "embeddings"
FEATURES = ("pooled", "per_lead", "tokens", "layers", "logits")
# Columns that stay out unless they are named: the text of the report, and what belongs to the store's own files.
LEFT_OUT = ("report", "slot", "rpeaks", "source_leads", "amplitude_steps", "amplitude_offsets")
NOTES, ENTITY = "notes", "entity_"


@dataclass(frozen=True)
class Wanted:
    """What is to be written of each record.

    Args:
        features: Names of the features.
        leads: Leads that the model is given; empty for all of its contract.
        columns: Columns of the record table; None for all but `LEFT_OUT`.
        extraction: Name of the extraction whose entities become columns; empty for the only one of the store.
    """

    features: tuple[str, ...] = ("pooled",)
    leads: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    extraction: str = ""


@dataclass(frozen=True)
class EmbedJob:
    """What all parts share.

    Args:
        source: The records.
        run: The run folder.
        wanted: What is to be written.
        devices: Devices that the parts take in turn.
        folder: Folder of the parts.
    """

    source: RecordSource
    run: Path
    wanted: Wanted
    devices: tuple[str, ...]
    folder: Path


@lru_cache(maxsize=8)
def _encoder(run: Path, device: str) -> TrainedEncoder:
    return load(run, device)


def _reader(run: Path, device: str, wanted: Wanted) -> Reader:
    """Return the encoder of a run with what it is given.

    Raises:
        RunError: The run is not finished, or the encoder lacks a feature.
        ConfigError: There is no such feature, or the contract has none of the leads.
    """
    encoder = _encoder(run, device)
    has = (*encoder.features, *(["layers"] if "layers" in encoder.entry.features else []))
    for name in wanted.features:
        if name not in FEATURES:
            raise ConfigError(f"no features {name!r}", f"some of {', '.join(has)}", did_you_mean(name, has))
        if name not in has:
            raise RunError(f"{encoder.name} gives no {name} features", f"some of {', '.join(has)}")
    leads = tuple(lead for lead in encoder.spec.leads if not wanted.leads or lead in wanted.leads)
    if not leads:
        raise ConfigError(f"leads {', '.join(wanted.leads)}", f"some of the model's {', '.join(encoder.spec.leads)}")
    return Reader(encoder.name, encoder.encoder, encoder.spec, leads, wanted.features)


def embed_part(job: EmbedJob, call: Call) -> None:
    """Encode one block of records, and write its part."""
    index, records = call
    reader = _reader(job.run, job.devices[index % len(job.devices)], job.wanted)
    block = job.source.read(records)
    at, texts, rejected = readable(block, [reader])
    arrays: dict[str, NDArray[Any]] = {}
    if len(at):
        found = features_of_block(block, at, reader)
        arrays = {**found.fields, "present": found.present}
    if isinstance(job.source, StoreRecords):
        rows: list[Any] = (at + records[0]).tolist()
    else:
        rows = [{str(name): _plain(value) for name, value in row.items()} for row in _chosen_rows(block.table, at)]
    write_part(job.folder, index, arrays, rejected, rows=rows, notes=texts)


def _chosen_rows(table: pd.DataFrame, at: NDArray[np.int64]) -> list[dict[Any, Any]]:
    return table.iloc[at].to_dict("records") if len(at) else []


def _plain(value: Any) -> Any:
    """Return a cell in JSON's types, with None for a missing one."""
    if isinstance(value, float) and np.isnan(value):
        return None
    return value


@dataclass(frozen=True)
class Embedded:
    """Features that were written.

    Args:
        records: Number of records.
        shapes: Shape of each array, by name.
        columns: Columns of the table.
        rejected: Records that gave no features, with the reason.
        notes: Number of records with each kind of note.
        ledger: File that lists the rejected records; None if there are none.
        remarks: What else is to be said, one line each.
    """

    records: int
    shapes: dict[str, tuple[int, ...]]
    columns: tuple[str, ...]
    rejected: list[LedgerRow] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    ledger: Path | None = None
    remarks: tuple[str, ...] = ()


def embed(
    run: Path,
    data: Path,
    out: Path,
    wanted: Wanted,
    *,
    options: IngestOptions,
    workers: Workers,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Embedded:
    """Write the features of all records of a store, folder or file.

    Args:
        run: Finished run folder.
        data: The store, folder or file.
        out: ``.parquet``, ``.npz``, ``.h5`` or ``.zarr``.
        wanted: What is to be written of each record.
        options: What files do not say of their records.
        workers: Where the work runs.
        overwrite: Replace an earlier output.
        progress: Called with the stage, records done and records in total.

    Raises:
        RunError: The run is not finished, or its encoder lacks a feature.
        ConfigError: A feature, lead or column does not exist.
        DatasetError: No record can be read.
        OutputError: `out` exists or cannot be written.
    """
    check_suffix(out, *WRITERS)
    suffix = out.suffix.lower()
    unfinished = Unfinished(out, KIND, overwrite=overwrite, is_file=suffix != ".zarr")
    unfinished.check_free()
    workers.check()
    devices = workers.devices
    _encoder.cache_clear()  # a run may have been made again since
    reader = _reader(run.absolute(), devices[0], wanted)
    source = open_records(data, options, reader.spec.window)
    if isinstance(source, StoreRecords):
        _check_columns(Store(source.path).table.columns, wanted.columns)
    with unfinished.open():
        what, state = source.identity
        unfinished.begin(fingerprint(what, file_sha256(run / WEIGHTS), to_dict(wanted), suffix), state)
        job = EmbedJob(source.without_list(), run.absolute(), wanted, devices, unfinished.parts)
        make_all(unfinished, source, partial(embed_part, job), [reader.spec], workers, progress)
        with made_again_if_damaged(unfinished):
            made = _write(unfinished, source, reader, wanted, run)
        unfinished.finish()
    ledger = write_ledger(out, made.rejected)
    return Embedded(made.records, made.shapes, made.columns, made.rejected, made.notes, ledger, made.remarks)


def _write(unfinished: Unfinished, source: RecordSource, reader: Reader, wanted: Wanted, run: Path) -> Embedded:
    """Put the parts together into the output."""
    folder, out = unfinished.parts, unfinished.out
    rows: list[Any] = []
    notes: list[str] = []
    rejected: list[LedgerRow] = []
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, np.dtype[Any]] = {}
    for part in read_parts(folder):
        rows += part.facts["rows"]
        notes += part.facts["notes"]
        rejected += part.rejected
        for name, values in part.arrays.items():
            dtypes[name] = values.dtype
            # The number of tokens may differ between lead sets.
            own = values.shape[1:]
            shapes[name] = tuple(map(max, shapes.get(name, own), own))
    rejected = ledger_of(unfinished, source, rejected, len(rows))
    table, remarks = _table(source, rows, wanted)
    table[NOTES] = notes
    about = {
        "run": reader.name,
        "checkpoint_sha256": file_sha256(run / WEIGHTS),
        "leads": list(reader.spec.leads),
        "given": list(reader.leads),
        "contract": to_dict(reader.spec),
        "features": {name: list(shape) for name, shape in shapes.items()},
        "ecgkit": ecgkit.__version__,
    }
    contents = Contents(table, shapes, dtypes, about, partial(_blocks, folder, shapes))
    suffix = out.suffix.lower()
    WRITERS[suffix](unfinished.made if suffix == ".zarr" else unfinished.made / out.name, contents)
    whole = {name: contents.whole(name) for name in shapes}
    return Embedded(len(table), whole, tuple(table.columns), rejected, summary(notes), None, remarks)


def _blocks(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, NDArray[Any]]]:
    for part in read_parts(folder):
        if part.arrays:
            yield {name: _padded(part, name, shape) for name, shape in shapes.items()}


def _padded(part: MadePart, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = part.arrays[name]
    if values.shape[1:] == shape:
        return values
    wider = np.zeros((len(values), *shape), values.dtype)
    wider[tuple(slice(n) for n in values.shape)] = values
    return wider


def _table(source: RecordSource, rows: Sequence[Any], wanted: Wanted) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table of the records that have features, and what is to be said of it."""
    if not isinstance(source, StoreRecords):
        table = pd.DataFrame(rows)
        _check_columns(table.columns.tolist(), wanted.columns)
        return table[_chosen(table.columns.tolist(), wanted.columns)].copy(), ()
    store = Store(source.path)
    at = np.array(rows, np.int64)
    table = store.table[_chosen(store.table.columns, wanted.columns)].iloc[at].reset_index(drop=True)
    found = extractions(store)
    if not found or (len(found) > 1 and not wanted.extraction):
        several = f"entities are left out: the store holds {', '.join(found)}; name one with --extraction"
        return table, (several,) if found else ()
    entities = read_labels(store, chosen_extraction(store, wanted.extraction, "--extraction"))
    values = {
        f"{ENTITY}{name}": pd.Series(column).astype("Int8").mask(~entities.complete[at])
        for name, column in zip(entities.names, entities.values[at].T, strict=True)
    }
    return pd.concat([table, pd.DataFrame(values)], axis=1), ()


def _check_columns(known: Sequence[str], wanted: Sequence[str] | None) -> None:
    for name in wanted or ():
        if name not in known:
            raise ConfigError(f"no column {name!r}", f"some of {', '.join(known)}", did_you_mean(name, list(known)))


def _chosen(known: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the columns that the output has, the id of the record first."""
    chosen = [name for name in known if name not in LEFT_OUT] if wanted is None else wanted
    return ["record_id", *(name for name in chosen if name != "record_id")]
