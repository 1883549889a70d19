"""The record table that is read in parts says what the whole store says, and refuses what is damaged."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.errors import StoreError
from ecgkit.parquet import HEAD, LongTable, write_frame
from ecgkit.store.format import RECORDS, shard_path
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
