"""Intended changes of a store's record table, with a log: labels, reports, patients, folds and other facts.

The hash of a store covers its table, so a table that was edited by other means is refused (`Store.table`). A change
made here gives the store a new hash, under which results name it, and one line in its log::

    STORE/changes.jsonl           one JSON object per change: time, columns, records, hashes before and after, source
    STORE/.records.new.parquet    the changed table, while it replaces the earlier one

Waveforms, ids, leads and rates cannot be changed. Products that were made from what has not changed stay valid.
"""

import datetime
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import ecgkit
from ecgkit.atomic import atomic_file, sync, telling_of_a_full_disk
from ecgkit.errors import StoreError
from ecgkit.lock import hold
from ecgkit.parquet import read_frame
from ecgkit.store import format as fmt
from ecgkit.store.assembly import json_lines
from ecgkit.store.reader import Store

# Columns that say what the waveform is, not what it means.
FIXED = frozenset(
    (
        "record_id",
        "path",
        "slot",
        "start",
        "fs",
        "samples",
        "leads",
        "derived_leads",
        "source_leads",
        "other_signals",
        "unit",
        "clipped_samples",
        "rpeaks",
        "sha256",
        "flags",
        "limb_fault",
        fmt.STEPS,
        fmt.OFFSETS,
    )
)
REPORT = "report"
FOLDS = range(1, 11)
LOCK = ".relabel.lock"


@dataclass(frozen=True)
class Change:
    """One change of a record table, as the log keeps it.

    Args:
        at: Time, in UTC.
        columns: Number of records whose value changed, by column.
        records: Number of records in which any value changed.
        source: Name and SHA-256 of the file that the values came from.
        ecgkit: Version of ecgkit.
        before: Content hash of the store before the change.
        after: Content hash of the store after it.
    """

    at: str
    columns: dict[str, int]
    records: int
    source: dict[str, str]
    ecgkit: str
    before: str
    after: str


def changeable(store: Store) -> tuple[str, ...]:
    """Return the columns of a store that can be changed."""
    return tuple(name for name in pq.read_schema(store.path / fmt.RECORDS).names if name not in FIXED)


def changes(store: Path) -> list[dict[str, Any]]:
    """Return the log of a store, the oldest change first.

    Raises:
        StoreError: The log is damaged.
    """
    log = store / fmt.LOG
    try:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    except ValueError:
        raise StoreError(f"{log} cannot be read", "one JSON object per line", "Restore it from a backup.") from None


def relabel_store(path: Path, values: Mapping[str, Mapping[str, Any]], source: Mapping[str, str]) -> Change:
    """Change values of a store's record table.

    Args:
        path: The store.
        values: New values by column and record id; other records keep theirs. A list of labels, a number or a text, as
            the column holds; None for no value.
        source: Name and SHA-256 of the file that they come from, for the log.

    Raises:
        StoreError: A record or column is unknown, a value does not fit its column, or a patient would be in two folds.
        LockedError: Another process changes the store.
        OutputError: The store cannot be written.
    """
    lock = path / LOCK
    Store(path)
    with hold(lock, path, "changed"), telling_of_a_full_disk(path):
        try:
            _complete(path)
            store = Store(path)
            _check_records(store, values)
            staged = path / fmt.NEW_RECORDS
            counts, after = _write_changed(path, values, staged)
            _check_folds(store, staged, values)
            if counts["records"]:
                change = Change(
                    at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                    columns={name: counts[name] for name in values},
                    records=counts["records"],
                    source=dict(source),
                    ecgkit=ecgkit.__version__,
                    before=store.content_hash,
                    after=after,
                )
                _take_place(path, staged, change)
            else:
                staged.unlink()
                change = Change("", dict.fromkeys(values, 0), 0, dict(source), ecgkit.__version__, after, after)
        finally:
            lock.unlink()
    return change


def _check_records(store: Store, values: Mapping[str, Mapping[str, Any]]) -> None:
    known = set(store.table["record_id"])
    unknown = sorted({record for column in values.values() for record in column} - known)
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        ids = ", ".join(store.table["record_id"].head(3))
        raise StoreError(f"{store.path} has no record {', '.join(map(repr, unknown[:3]))}{more}", f"ids such as {ids}")
    allowed = changeable(store)
    for name in values:
        if name not in allowed:
            raise StoreError(f"column {name!r} of {store.path} cannot be changed", f"one of {', '.join(allowed)}")


def _write_changed(path: Path, values: Mapping[str, Mapping[str, Any]], staged: Path) -> tuple[dict[str, int], str]:
    """Write the changed table; return the number of changed values by column and of records, and its hash."""
    counts: dict[str, int] = defaultdict(int)
    digest = hashlib.sha256()
    try:
        # A row group is a part of the ingest, as the hash of an ingest goes over the parts.
        with (
            pq.ParquetFile(path / fmt.RECORDS, page_checksum_verification=True) as file,
            pq.ParquetWriter(staged, file.schema_arrow, write_page_checksum=True) as writer,
        ):
            for group in range(file.num_row_groups):
                table = _changed(file.read_row_group(group), values, counts)
                writer.write_table(table)
                digest.update(json_lines(table))
        sync(staged)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    return counts, digest.hexdigest()


def _changed(table: pa.Table, values: Mapping[str, Mapping[str, Any]], counts: dict[str, int]) -> pa.Table:
    ids = table["record_id"].to_pylist()
    touched: set[str] = set()
    for name, new in values.items():
        old = table[name].to_pylist()
        now = [new.get(record, value) for record, value in zip(ids, old, strict=True)]
        at = table.column_names.index(name)
        try:
            column = pa.array(now, table.schema.field(name).type)
        except (pa.ArrowException, TypeError, ValueError) as error:
            kind = table.schema.field(name).type
            raise StoreError(f"a value of column {name!r} is no {kind} ({str(error)[:80]})") from None
        different = {record for record, a, b in zip(ids, old, column.to_pylist(), strict=True) if a != b}
        counts[name] += len(different)
        touched |= different
        table = table.set_column(at, table.schema.field(name), column)
    counts["records"] += len(touched)
    return table


def _check_folds(store: Store, staged: Path, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a fold that is none, and a patient whose records are moved into several folds."""
    try:
        if not {"fold", "patient_id"} & set(values):
            return
        table = read_frame(staged, ["record_id", "patient_id", "fold"])
        wrong = table[~table["fold"].isin(FOLDS)]
        if len(wrong):
            raise StoreError(f"record {wrong['record_id'].iloc[0]} would have no fold from 1 to 10")
        touched = {record for name in ("fold", "patient_id") for record in values.get(name, ())}
        known = table[table["patient_id"].notna()]
        moved = set(known.loc[known["record_id"].isin(touched), "patient_id"])
        folds = known[known["patient_id"].isin(moved)].groupby("patient_id")["fold"].nunique()
        split = folds[folds > 1]
        if len(split):
            raise StoreError(
                f"patient {split.index[0]} of {store.path} would be in {split.iloc[0]} folds",
                remedy="Give the column fold too, with one fold for all records of a patient.",
            )
    except StoreError:
        staged.unlink(missing_ok=True)
        raise


def _take_place(path: Path, staged: Path, change: Change) -> None:
    """Let the changed table replace the earlier one. Killed in between, a reader takes the table that fits the hash."""
    meta = json.loads((path / fmt.META).read_text(encoding="utf-8"))
    meta["attributes"] |= {"content_sha256": change.after, "records_sha256": fmt.file_hash(staged)}
    log = changes(path)
    while log and log[-1]["after"] != change.before:  # a change that was killed before it took effect
        log.pop()
    with atomic_file(path / fmt.LOG) as file:
        file.write_text("".join(f"{json.dumps(line)}\n" for line in (*log, asdict(change))), encoding="utf-8")
    with atomic_file(path / fmt.META) as file:
        file.write_text(json.dumps(meta, indent=2), encoding="utf-8")
    _complete(path)


def _complete(path: Path) -> None:
    """Take the last steps of a change, or remove what a killed one has left before it took effect."""
    for file in path.glob(".*.partial.*"):
        file.unlink()  # of `atomic_file`, in a process that was killed
    staged = path / fmt.NEW_RECORDS
    if not staged.is_file():
        return
    meta = json.loads((path / fmt.META).read_text(encoding="utf-8"))
    if fmt.file_hash(staged) != meta["attributes"].get("records_sha256"):
        staged.unlink()
        return
    _rebind(path, Change(**changes(path)[-1]))
    os.replace(staged, path / fmt.RECORDS)
    sync(path)


def _rebind(path: Path, change: Change) -> None:
    """Give products the new hash that were made from what has not changed."""
    products = [path / "beats" / "beats.json"]
    if REPORT not in change.columns or not change.columns[REPORT]:
        products += path.glob("knowledge/*/zarr.json")
    for product in products:
        if product.is_file() and change.before in (text := product.read_text(encoding="utf-8")):
            with atomic_file(product) as file:
                file.write_text(text.replace(change.before, change.after), encoding="utf-8")


def as_column(name: str, kind: pa.DataType, cell: str | None, codes: Any) -> Any:
    """Return the text of a table's cell as a value of a column.

    Args:
        name: Name of the column, for errors.
        kind: Its type.
        cell: The text; None for an empty cell.
        codes: Splits a text into codes.

    Raises:
        StoreError: The text is no such value.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return list(codes(cell or ""))
    if cell is None or not cell.strip():
        return None
    try:
        if pa.types.is_integer(kind):
            return int(pd.to_numeric(cell))
        if pa.types.is_floating(kind):
            return float(cell)
    except (ValueError, TypeError):
        raise StoreError(f"column {name!r} holds {cell[:40]!r}", "a number, or an empty cell") from None
    if pa.types.is_boolean(kind):
        return cell.strip().lower() in ("1", "true", "yes")
    return cell
