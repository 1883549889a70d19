"""`ingest --verify`: what differs from the publisher's list costs its own records, and a table costs the whole."""

import hashlib
import json
from pathlib import Path

import pytest

import ecgkit
from ecgkit.errors import DatasetError
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

LIST = "SHA256SUMS.txt"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three records and a table in PTB-XL's layout, with the list of their checksums."""
    folder = tmp_path / "ptb-xl"
    rows = []
    for number in (1, 2, 3):
        write_wfdb(folder / "records500", f"0000{number}_hr", synthetic_signal(500, seed=number), fs=500)
        rows.append(f"{number},{number}.0,{{'NORM': 100.0}},{number},records500/0000{number}_hr")
    (folder / "ptbxl_database.csv").write_text("\n".join(("ecg_id,patient_id,scp_codes,strat_fold,filename_hr", *rows)))
    (folder / "LICENSE.txt").write_text("a licence")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.relative_to(folder)}\n" for file in files]
    (folder / LIST).write_text("".join(lines))
    return folder


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


def test_a_right_download_is_said_to_be_right(source: Path, tmp_path: Path) -> None:
    report = ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True)
    assert report.findings == [f"8 of 8 files are as {LIST} says"] and not report.rejected


def test_a_changed_record_goes_to_the_ledger_and_the_others_are_taken(source: Path, tmp_path: Path) -> None:
    flip(source / "records500" / "00002_hr.hea")  # still a readable header
    report = ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True)
    assert [(row.record_id, row.stage) for row in report.rejected] == [("2", "verify")]
    assert report.rejected[0].reason == f"records500/00002_hr.hea differs from {LIST}: its SHA-256 is another"
    assert (report.found, report.failed) == (3, 1)
    assert Store(tmp_path / "s.zarr").table["record_id"].tolist() == ["1", "3"]
    assert report.findings == [f"7 of 8 files are as {LIST} says, 1 differ"]


def test_a_changed_table_stops_before_anything_is_written(source: Path, tmp_path: Path, ecgkit) -> None:
    flip(source / "ptbxl_database.csv")
    done = ecgkit("ingest", source, "--out", tmp_path / "s.zarr", "--verify")
    assert done.code == 2
    assert "ptbxl_database.csv" in done.err and LIST in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ptb-xl"]


def test_missing_files_are_counted_and_named(source: Path, tmp_path: Path, ecgkit) -> None:
    (source / "LICENSE.txt").unlink()
    done = ecgkit("ingest", source, "--out", tmp_path / "s.zarr", "--verify", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["findings"] == [f"7 of 8 files are as {LIST} says, 1 are not there (LICENSE.txt)"]


def test_only_files_of_the_wanted_records_are_read(source: Path, tmp_path: Path) -> None:
    flip(source / "records500" / "00003_hr.dat")
    report = ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True, limit=2)
    assert report.findings == [f"6 of 6 files are as {LIST} says"] and not report.rejected


def test_without_a_list_the_records_are_compared(source: Path, tmp_path: Path) -> None:
    (source / LIST).unlink()
    with pytest.raises(DatasetError, match=f"has no {LIST} to verify it with"):
        ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True)
    (source / "RECORDS").write_text("records500/00001_hr\nrecords500/00009_hr\n")
    report = ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True)
    assert report.findings == [f"1 of 2 records of RECORDS are there; not records500/00009_hr; there is no {LIST}"]


def test_a_list_that_leads_out_of_the_folder_is_refused(source: Path, tmp_path: Path) -> None:
    (source / LIST).write_text(f"{'0' * 64} ../secret\n")
    with pytest.raises(DatasetError, match="leads out of the dataset's folder"):
        ecgkit.ingest(source, out=tmp_path / "s.zarr", verify=True)
