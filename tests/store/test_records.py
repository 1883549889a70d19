"""The record table that is read in parts says what the whole store says, and refuses what is damaged."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ecgkit.errors import StoreError
from ecgkit.parquet import HEAD, LongTable, read_frame, write_frame
from ecgkit.store.format import META, RECORDS, shard_path
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable


def test_a_record_is_the_stores(cohort_store: Path) -> None:
    whole, parts = Store(cohort_store), RecordTable(cohort_store)
    assert (len(parts), parts.content_hash, parts.leads) == (len(whole), whole.content_hash, whole.leads)
    for row in (0, 7, len(whole) - 1):
        one, other = whole.recording(row), parts.recording(row)
        assert np.array_equal(one.signal, other.signal, equal_nan=True)
        assert (one.leads, one.fs, one.unit, one.derived) == (other.leads, other.fs, other.unit, other.derived)
        assert np.array_equal(one.rpeaks, other.rpeaks)
        for table in (parts, RecordTable(cohort_store)):  # one has compared the record with its hash already
            stretch = table.recording(row, 700, 1900)
            assert np.array_equal(stretch.signal, one.signal[:, 700:1900], equal_nan=True)
            assert np.array_equal(stretch.rpeaks, one.part(700, 1900).rpeaks)


def test_columns_and_items_are_those_of_the_frame(cohort_store: Path) -> None:
    table, parts = Store(cohort_store).table, RecordTable(cohort_store)
    pd.testing.assert_series_equal(parts.series("age"), table["age"])
    pd.testing.assert_series_equal(parts.series("patient_id"), table["patient_id"])
    labels = parts.items("labels")
    assert labels.counts == table["labels"].explode().value_counts().to_dict()
    for name in labels.names:
        assert np.array_equal(labels.has(name), [name in held for held in table["labels"]])
    word = table["report"].iloc[3].split()[0].upper()
    assert np.array_equal(parts.containing("report", word), table["report"].str.upper().str.contains(word, regex=False))


def test_few_rows_do_not_need_the_whole_file(tmp_path: Path) -> None:
    write_frame(tmp_path / "long.parquet", pd.DataFrame({"n": range(5 * HEAD)}))
    table = LongTable(tmp_path / "long.parquet")
    assert table.take(np.array([HEAD - 1, 0]))["n"].to_pylist() == [HEAD - 1, 0]
    assert not table.is_read
    assert table.take(np.array([5 * HEAD - 1]))["n"].to_pylist() == [5 * HEAD - 1]
    assert table.is_read


def test_damage_is_an_error(cohort_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "copy.zarr"
    shutil.copytree(cohort_store, store)
    (store / shard_path(0)).unlink()
    with pytest.raises(StoreError, match="is damaged in .*the file does not exist"):
        RecordTable(store).recording(0)
    with (store / RECORDS).open("ab") as file:
        file.write(b" ")
    with pytest.raises(StoreError, match="cannot be read|changed since"):
        RecordTable(store).read()


def test_the_columns_of_a_store_are_those_of_its_file(cohort_store: Path) -> None:
    table, frame = Store(cohort_store).table, read_frame(cohort_store / RECORDS)
    assert (list(table), len(table)) == (list(frame), len(frame))
    assert "age" in table and "no such column" not in table
    pd.testing.assert_series_equal(table["labels"], frame["labels"])
    pd.testing.assert_frame_equal(table[["sex", "age"]], frame[["sex", "age"]])
    pd.testing.assert_frame_equal(table.frame(), frame)
    with pytest.raises(KeyError, match="no such column"):
        table["no such column"]
    assert len(table[[]]) == len(frame)


def test_a_store_reads_the_columns_that_are_asked_for(cohort_store: Path, tmp_path: Path) -> None:
    """Each page has a checksum, so a column that is damaged shows whether it was read."""
    store = tmp_path / "copy.zarr"
    shutil.copytree(cohort_store, store)
    frame = read_frame(store / RECORDS).assign(feature=lambda table: np.arange(len(table)) / 7)
    write_frame(store / RECORDS, frame)
    about = json.loads((store / META).read_text())
    del about["attributes"]["records_sha256"]  # a store of an earlier release, whose table is not compared as a whole
    (store / META).write_text(json.dumps(about))
    group = pq.read_metadata(store / RECORDS).row_group(0)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "feature")
    with (store / RECORDS).open("r+b") as file:
        file.seek((chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))
    opened = Store(store)
    assert opened.recording(3).leads and opened.patients[0] and opened.table["fold"].between(1, 10).all()
    with pytest.raises(StoreError, match=r"records\.parquet cannot be read"):
        opened.table["feature"]


def test_columns_that_are_read_later_are_of_the_table_that_was_opened(cohort_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "copy.zarr"
    shutil.copytree(cohort_store, store)
    opened, frame = Store(store), read_frame(store / RECORDS)
    write_frame(tmp_path / "new.parquet", frame.assign(age=1.0))
    os.replace(tmp_path / "new.parquet", store / RECORDS)
    pd.testing.assert_series_equal(opened.table["age"], frame["age"])
