"""Stores joined into one: every record keeps what it is, ids stay apart, and nothing leads out of the folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgkit.datasets.base import RESERVED
from ecgkit.errors import DatasetError
from ecgkit.ingestion import find_dataset, ingest
from ecgkit.store.reader import Store
from ecgkit.store.summary import overlap
from tests.conftest import Outcome, synthetic_signal, write_wfdb


@pytest.fixture
def stores(cohort_store: Path, tmp_path: Path) -> Path:
    """A folder of two stores: a cohort with labels and reports, and two records of other leads and another rate."""
    for n in (1, 2):
        write_wfdb(tmp_path / "wfdb", f"r{n}", synthetic_signal(900, 2, seed=n), ("I", "II"), fs=300)
    (tmp_path / "stores").mkdir()
    shutil.copytree(cohort_store, tmp_path / "stores" / "cohort.zarr")
    ingest(tmp_path / "wfdb", tmp_path / "stores" / "other.zarr")
    return tmp_path / "stores"


def test_every_record_keeps_signal_rate_fold_and_columns(stores: Path, tmp_path: Path) -> None:
    ingest(stores, tmp_path / "joined.zarr")
    joined, parts = Store(tmp_path / "joined.zarr"), [Store(stores / name) for name in ("cohort.zarr", "other.zarr")]
    assert len(joined) == sum(map(len, parts))
    assert joined.attributes["dataset"] == "stores" and joined.code_system == "mixed"
    at, table = 0, joined.table.frame()
    for part in parts:
        dataset, kept = part.attributes["dataset"], table.iloc[at : at + len(part)].reset_index(drop=True)
        assert kept["record_id"].tolist() == [f"{dataset}:{i}" for i in part.table["record_id"]]
        for column in ("fs", "samples", "unit", "fold", "sha256", "report", "age"):
            same = kept[column].eq(part.table[column]) | (kept[column].isna() & part.table[column].isna())
            assert same.all(), column
        assert kept["labels"].map(list).tolist() == part.table["labels"].map(list).tolist()
        for row in (0, len(part) - 1):
            ours, theirs = joined.recording(at + row), part.recording(row)
            assert ours.leads == theirs.leads and ours.derived == theirs.derived
            np.testing.assert_array_equal(ours.stored, theirs.stored)
        at += len(part)


def test_a_column_that_is_empty_in_a_store_is_not_joined(stores: Path, tmp_path: Path) -> None:
    ingest(stores, tmp_path / "joined.zarr")
    table = Store(stores / "cohort.zarr").table
    empty = {name for name in table if name not in RESERVED and table[name].isna().all()}
    assert "note_id" in empty, "the cohort has no notes"
    joined = Store(tmp_path / "joined.zarr").table
    assert not empty & set(joined) and set(table) - empty <= set(joined)


def test_a_joined_store_shares_patients_and_waveforms_with_what_it_was_joined_of(stores: Path, tmp_path: Path) -> None:
    ingest(stores, tmp_path / "joined.zarr")
    whole, part = Store(tmp_path / "joined.zarr"), Store(stores / "cohort.zarr")
    both = overlap(whole, part)
    assert both.comparable and len(both.patients) == part.table["patient_id"].nunique()
    assert len(both.waveforms) >= len(part)


def test_one_code_system_is_kept(cohort_store: Path, tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    shutil.copytree(cohort_store, tmp_path / "stores" / "cohort.zarr")
    assert find_dataset(tmp_path / "stores").code_system == Store(cohort_store).code_system


def test_a_record_in_two_of_the_stores_is_refused(
    cohort_store: Path, tmp_path: Path, ecgkit: Callable[..., Outcome]
) -> None:
    for name in ("a.zarr", "b.zarr"):
        shutil.copytree(cohort_store, tmp_path / "stores" / name)
    outcome = ecgkit("ingest", tmp_path / "stores", "--out", tmp_path / "joined.zarr")
    assert outcome.code == 2 and "is listed twice" in outcome.err
    assert not (tmp_path / "joined.zarr").exists()


def test_a_link_to_a_store_elsewhere_is_not_followed(cohort_store: Path, tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    (tmp_path / "stores" / "cohort.zarr").symlink_to(cohort_store)
    with pytest.raises(DatasetError, match="out of the dataset"):
        find_dataset(tmp_path / "stores").sources()


def test_a_damaged_record_goes_to_the_ledger(stores: Path, tmp_path: Path) -> None:
    shard = next((stores / "other.zarr" / "signal").rglob("c/0/0/0"))
    data = bytearray(shard.read_bytes())
    data[40] ^= 255
    shard.write_bytes(bytes(data))
    report = ingest(stores, tmp_path / "joined.zarr")
    assert {row.stage for row in report.rejected} == {"signal"}
    assert report.taken + len(report.rejected) == report.found


def test_a_probe_knows_patients_of_a_joined_pretraining_again(stores: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from ecgkit.entries import MethodEntry
    from ecgkit.evaluation.features.encoder import untrained_encoder
    from ecgkit.evaluation.probe.leaks import find_leak
    from ecgkit.methods import method_config
    from ecgkit.plugins import host
    from ecgkit.store.identity import qualified

    ingest(stores, tmp_path / "joined.zarr")
    joined, part = Store(tmp_path / "joined.zarr"), Store(stores / "cohort.zarr")
    entry = host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, *method_config(entry, "tiny"), weights="random-init", seed=0)
    seen = joined.table["patient_id"].dropna().iloc[:5]
    encoder = replace(encoder, seen_patients=frozenset(qualified("stores", seen)))
    leak = find_leak(encoder, part, np.arange(len(part)))
    assert leak.found and leak.patients == seen.nunique() and leak.records == 0
