"""Ingest, checked against the source files by an independent path: wfdb and pandas."""

import ast
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgkit.datasets.base import hashed_fold
from ecgkit.datasets.paths import open_folder
from ecgkit.entries import DatasetEntry
from ecgkit.errors import ConfigError, DatasetError, OutputError, PluginError, SignalError
from ecgkit.ingestion import IngestOptions, find_dataset, ingest, part
from ecgkit.ingestion.options import read_patients
from ecgkit.leads import STANDARD_LEADS
from ecgkit.plugins import host as plugin_host
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb


@pytest.mark.slow
def test_every_ptb_xl_sample_equals_wfdb_to_half_a_microvolt(shared: Path, ptbxl_store: Path) -> None:
    source, store = shared / "data" / "ptb-xl", Store(ptbxl_store)
    table = pd.read_csv(source / "ptbxl_database.csv")
    assert len(store) == len(table) == 500
    stored = store.stored(0, 500)
    for row, file in enumerate(table["filename_hr"]):
        record = wfdb.rdrecord(str(source / file))
        order = [[name.upper() for name in record.sig_name].index(lead.upper()) for lead in store.leads]
        np.testing.assert_array_less(np.abs(stored[row] - 1000 * record.p_signal.T[order]), 0.5)


def test_every_ptb_xl_label_and_column_equals_the_table(shared: Path, ptbxl_store: Path) -> None:
    store = Store(ptbxl_store).table
    table = pd.read_csv(shared / "data" / "ptb-xl" / "ptbxl_database.csv")
    assert store["record_id"].tolist() == table["ecg_id"].astype(str).tolist()
    assert store["patient_id"].tolist() == table["patient_id"].astype(int).astype(str).tolist()
    assert store["fold"].tolist() == table["strat_fold"].tolist()
    assert store["report"].fillna("").tolist() == table["report"].fillna("").tolist()
    assert store["sex"].tolist() == table["sex"].map({0: "M", 1: "F"}).tolist()
    np.testing.assert_array_equal(store["age"], table["age"].clip(upper=90))
    for codes, likelihoods, cell in zip(store["labels"], store["likelihoods"], table["scp_codes"], strict=True):
        assert dict(zip(codes, likelihoods, strict=True)) == ast.literal_eval(cell)
    kept = {"ecg_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr"} ^ set(table.columns)
    assert kept <= set(store.columns)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "fs", "records", "leads", "unit"),
    [
        ("ptb-xl", 100.0, 500, 12, "mV"),
        ("ptb-xl-100hz-zscored", None, 1420, 12, "NU"),
        ("mit-bih", None, 22, 4, "mV"),
        ("ludb", None, 100, 12, "mV"),
        ("norwegian-athletes", None, 28, 12, "mV"),
        ("cinc2021", None, 50, 12, "mV"),
        ("cpsc2018", None, 10, 12, "mV"),
    ],
)
def test_real_folders_ingest_with_the_counts_they_state(shared, tmp_path, folder, fs, records, leads, unit) -> None:
    limit = 60 if records > 100 else None  # the counts come from the plan, so a few signals are enough
    report = ingest(shared / "data" / folder, tmp_path / "s.zarr", IngestOptions(fs=fs, limit=limit))
    assert report.rejected == []
    assert report.taken == min(records, limit or records)
    store = Store(tmp_path / "s.zarr")
    assert len(store.leads) == leads
    assert set(store.table["unit"]) == {unit}
    assert not fs or set(store.table["fs"]) == {fs}


def test_simulated_cohort_keeps_reports_labels_and_peaks(cohort: Path, cohort_store: Path) -> None:
    store = Store(cohort_store)
    records = pd.read_csv(cohort / "record_list.csv")
    assert store.leads == STANDARD_LEADS
    assert len(store) == len(records) == 120
    for row in (0, 57, 119):
        path = cohort / records["path"][row]
        record = wfdb.rdrecord(str(path))
        assert record.sig_name[4:6] == ["aVF", "aVL"], "the files are in MIMIC's order"
        recording = store.recording(row)
        expected = record.p_signal[:, [record.sig_name.index(lead) for lead in STANDARD_LEADS]].T
        np.testing.assert_allclose(recording.signal, expected, atol=0.501e-3, equal_nan=True)
        assert recording.rpeaks is not None
        assert recording.rpeaks.tolist() == wfdb.rdann(str(path), "atr").sample.tolist()
        dx = next(line for line in record.comments if line.startswith("Dx"))
        assert list(store.table["labels"].iloc[row]) == dx.split(":")[1].strip().split(",")
    assert store.table["report"].notna().all()


def test_folds_go_by_patient_and_are_even() -> None:
    folds = [hashed_fold(str(patient)) for patient in range(20_000)]
    assert set(folds) == set(range(1, 11))
    assert np.bincount(folds)[1:].min() > 1800
    assert hashed_fold("10000032") == hashed_fold("10000032")


def test_fewer_leads_are_taken_completed_and_told(tmp_path: Path) -> None:
    full = synthetic_signal(500)
    write_wfdb(tmp_path / "src", "three", full[[0, 1, 7]], ("I", "II", "V2"))
    write_wfdb(tmp_path / "src", "twelve", full)
    write_wfdb(tmp_path / "src", "scaled", full[[0, 1, 7]], ("I", "II", "V2"), unit="NU")
    report = ingest(tmp_path / "src", tmp_path / "s.zarr")
    store = Store(tmp_path / "s.zarr")
    assert report.taken == 3
    assert report.derived == {("III", "aVR", "aVL", "aVF"): 1}
    three, scaled = store.recording(store.row("three")), store.recording(store.row("scaled"))
    assert three.leads == ("I", "II", "III", "aVR", "aVL", "aVF", "V2")
    assert three.derived == ("III", "aVR", "aVL", "aVF")
    assert three.source_leads == ("I", "II", "", "", "", "", "V2"), "one name a row"
    np.testing.assert_allclose(three.signal, full[[0, 1, 2, 3, 4, 5, 7]], atol=2e-3)
    assert scaled.leads == ("I", "II", "V2"), "without a unit the relations between leads need not hold"
    assert set(report.fewer_leads) == {three.leads, scaled.leads}


def test_leads_that_every_record_must_have(tmp_path: Path) -> None:
    full = synthetic_signal(500)
    write_wfdb(tmp_path / "src", "three", full[[0, 1, 7]], ("I", "II", "V2"))
    write_wfdb(tmp_path / "src", "twelve", full)
    report = ingest(tmp_path / "src", tmp_path / "s.zarr", IngestOptions(leads=("V6", "III")))
    assert Store(tmp_path / "s.zarr").leads == ("V6", "III")
    assert [(row.record_id, row.stage) for row in report.rejected] == [("three", "leads")]
    assert "V6" in report.rejected[0].reason


def test_cut_and_resampled_once(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "src", "a", synthetic_signal(2000))
    ingest(tmp_path / "src", tmp_path / "s.zarr", IngestOptions(fs=250, seconds=3))
    recording = Store(tmp_path / "s.zarr").recording(0)
    assert (recording.fs, recording.signal.shape) == (250, (12, 750))


def test_a_bad_record_goes_to_the_ledger_and_the_rest_is_taken(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_wfdb(tmp_path / "src", name, synthetic_signal(100))
    data = tmp_path / "src" / "b.dat"
    data.write_bytes(data.read_bytes()[:50])
    (tmp_path / "src" / "broken.hea").write_text("not a header\n")
    report = ingest(tmp_path / "src", tmp_path / "s.zarr")
    store = Store(tmp_path / "s.zarr")
    assert (report.found, report.taken) == (4, 2)
    assert store.table["record_id"].tolist() == ["a", "c"]
    assert set(zip(store.ledger["record_id"], store.ledger["stage"], strict=True)) == {
        ("b", "header"),
        ("broken", "header"),
    }


def test_nothing_to_read_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "src", "a", np.full((12, 50), np.nan))
    with pytest.raises(DatasetError, match="every sample"):
        ingest(tmp_path / "src", tmp_path / "s.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["src"]


def test_an_existing_store_is_kept_unless_asked(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "src", "a", synthetic_signal(100))
    ingest(tmp_path / "src", tmp_path / "s.zarr")
    with pytest.raises(OutputError, match="--overwrite"):
        ingest(tmp_path / "src", tmp_path / "s.zarr")
    write_wfdb(tmp_path / "src", "b", synthetic_signal(100))
    ingest(tmp_path / "src", tmp_path / "s.zarr", overwrite=True)
    assert len(Store(tmp_path / "s.zarr")) == 2


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_wfdb(tmp_path / "src", name, synthetic_signal(300, seed=ord(name)))
    files = []
    for out in ("one.zarr", "two.zarr"):
        ingest(tmp_path / "src", tmp_path / out)
        files.append(
            {p.relative_to(tmp_path / out): p.read_bytes() for p in (tmp_path / out).rglob("*") if p.is_file()}
        )
    assert files[0] == files[1]


def test_segments_are_not_records_of_their_own(shared: Path, tmp_path: Path) -> None:
    report = ingest(shared / "data" / "wfdb-odd" / "041s", tmp_path / "s.zarr")
    assert report.found == 1


def test_a_table_that_leads_out_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "secret", "r", synthetic_signal(100))
    source = tmp_path / "src"
    source.mkdir()
    (source / "record_list.csv").write_text("subject_id,study_id,path\n1,2,../secret/r\n")
    with pytest.raises(DatasetError, match="leads out of"):
        ingest(source, tmp_path / "s.zarr")


def test_two_records_of_one_id_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "src"
    write_wfdb(source, "r", synthetic_signal(100))
    (source / "record_list.csv").write_text("subject_id,study_id,path\n1,2,r\n1,2,r\n")
    with pytest.raises(DatasetError, match="'2' is listed twice"):
        ingest(source, tmp_path / "s.zarr")


def ledger_of(report) -> dict[str, tuple[str, str]]:
    return {row.record_id: (row.stage, row.reason) for row in report.rejected}


def unreadable(file: Path) -> None:
    file.write_text("r 1 500 10\n")
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything
        file.unlink()
        file.symlink_to(file)


ODD_HEADERS = {
    "traversal": lambda file: file.write_text("r/2 1 500 10\n../x 5\n/etc/passwd 5\n"),
    "directory": Path.mkdir,
    "unreadable": unreadable,
    "loop": lambda file: file.symlink_to(file),
    "no rate": lambda file: file.write_text("odd 1 0 10\na.dat 16 1000/mV 16 0 0 0 0 II\n"),
    "absurd length": lambda file: file.write_text("odd 1 500 900000000000\na.dat 16 1000/mV 16 0 0 0 0 II\n"),
    "absurd, packed": lambda file: file.write_text("odd 1 500 900000000000\na.dat 310 1000/mV 16 0 0 0 0 II\n"),
    "absurd, flac": lambda file: file.write_text("odd 1 500 900000000000\na.dat 516 1000/mV 16 0 0 0 0 II\n"),
    "absurd, no samples a frame": lambda file: file.write_text("odd 1 5 900000000000\na.dat 16x0 1/mV 16 0 0 0 0 II\n"),
    "unknown format": lambda file: file.write_text("odd 1 500 900000000000\na.dat 99 1000/mV 16 0 0 0 0 II\n"),
    "absurd gap": lambda file: file.write_text("odd/2 12 500 900000000000\na 100\n~ 899999999900\n"),
    "segments of itself": lambda file: file.write_text("odd/1 12 500 100\nodd 100\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD_HEADERS)
def test_one_odd_header_goes_to_the_ledger_and_never_stops_the_rest(tmp_path: Path, kind: str) -> None:
    write_wfdb(tmp_path / "src", "a", synthetic_signal(100))
    write_wfdb(tmp_path / "src", "whole", synthetic_signal(100))
    ODD_HEADERS[kind](tmp_path / "src" / "odd.hea")
    report = ingest(tmp_path / "src", tmp_path / "s.zarr")
    rejected = ledger_of(report)
    assert rejected.pop("odd")[0] == "header"
    assert (rejected, report.taken) == ({}, 1 if kind in ("absurd gap",) else 2)


def test_a_signal_that_cannot_be_fitted_goes_to_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write_wfdb(tmp_path / "src", name, synthetic_signal(100 if name == "a" else 120))
    real = part.resample_with_gaps

    def resample(signal, fs, fs_out):
        if signal.shape[-1] == 120:
            raise SignalError("an odd signal")
        return real(signal, fs, fs_out)

    monkeypatch.setattr(part, "resample_with_gaps", resample)
    report = ingest(tmp_path / "src", tmp_path / "s.zarr", IngestOptions(fs=50))
    assert ledger_of(report) == {"b": ("signal", "an odd signal")}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (IngestOptions(seconds=float("inf")), ConfigError, "--seconds is inf; expected a finite number"),
        (IngestOptions(seconds=float("nan")), ConfigError, "--seconds is nan"),
        (IngestOptions(fs=float("inf")), ConfigError, "--fs is inf"),
        (IngestOptions(fs=1, seconds=0.1), DatasetError, "less than one sample would be stored"),
    ],
)
def test_impossible_options_are_told(tmp_path: Path, options, error, message) -> None:
    write_wfdb(tmp_path / "src", "a", synthetic_signal(1000))
    with pytest.raises(error, match=message):
        ingest(tmp_path / "src", tmp_path / "s.zarr", options)


PTBXL_COLUMNS = "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_hr,device"


def ptbxl(folder: Path, rows: list[str]) -> Path:
    """Write a PTB-XL of these rows, and a record for each of r1, r2, ..."""
    for n in range(1, len(rows) + 1):
        write_wfdb(folder / "records500", f"r{n}", synthetic_signal(100))
    (folder / "ptbxl_database.csv").write_text("\n".join([PTBXL_COLUMNS, *rows]) + "\n")
    return folder


def test_published_folds_are_never_mixed_with_hashed_ones(tmp_path: Path) -> None:
    rows = [
        "1,7.0,50,0,{'NORM': 100.0},9,records500/r1,d",
        "2,7.0,50,0,{'NORM': 100.0},,records500/r2,d",  # takes that of its patient
        "3,8.0,50,0,{'NORM': 100.0},,records500/r3,d",
        "4,7.0,50,0,{'NORM': 100.0},0,records500/r4,d",
        "5,7.0,50,0,{'NORM': 100.0},11,records500/r5,d",
        "6,7.0,50,0,{'NORM': 100.0},2.5,records500/r6,d",
    ]
    report = ingest(ptbxl(tmp_path / "src", rows), tmp_path / "s.zarr")
    table = Store(tmp_path / "s.zarr").table
    assert dict(zip(table["record_id"], table["fold"], strict=True)) == {"1": 9, "2": 9}
    rejected = ledger_of(report)
    assert {stage for stage, _ in rejected.values()} == {"table"}
    assert "neither the record nor its patient has a published fold" in rejected["3"][1]
    assert "fold is 0; expected a whole number from 1 to 10" in rejected["4"][1]
    assert sorted(rejected) == ["3", "4", "5", "6"]


def test_an_unreadable_cell_costs_its_record_alone(tmp_path: Path) -> None:
    rows = [
        "1,7.0,63.0,0,{'NORM': 100.0},9,records500/r1,2.0",
        "2,7.0,90+,0,{'NORM': 100.0},9,records500/r2,x",
        "3,7.0,50,0,{'NORM,9,records500/r3,x",
        "4,7.0,50,0,NORM,9,records500/r4,x",
        "5,7.0,50,0,{'NORM': 100.0},9,,x",
        ",7.0,50,0,{'NORM': 100.0},9,records500/r6,x",
        ",7.0,50,0,{'NORM': 100.0},9,records500/r7,x",
        "8,7.0,50,0,{'NORM': 100.0},n/a?,records500/r8,x",
    ]
    report = ingest(ptbxl(tmp_path / "src", rows), tmp_path / "s.zarr")
    table = Store(tmp_path / "s.zarr").table
    assert table[["record_id", "patient_id", "age", "device"]].values.tolist() == [["1", "7", 63.0, "2"]]
    assert {row.stage for row in report.rejected} == {"table"}
    reasons = [row.reason for row in report.rejected]
    for reason, words in zip(
        reasons, ["age holds '90+'", "scp_codes", "scp_codes", "no path", "no id", "no id", "strat_fold"], strict=True
    ):
        assert words in reason


def test_ids_keep_every_digit_and_one_junk_id_costs_no_report(tmp_path: Path) -> None:
    studies = ["0001", "1", "9007199254740993", "9007199254740992", "junk"]
    for n in range(len(studies)):
        write_wfdb(tmp_path / "src", f"r{n}", synthetic_signal(100))
    records = [f"10,{study},r{n}" for n, study in enumerate(studies)]
    (tmp_path / "src" / "record_list.csv").write_text("\n".join(["subject_id,study_id,path", *records]) + "\n")
    # The same column without the junk, and after a gap, as pandas would read it as floats.
    measured = [f"{study},report of {study},{n}" for n, study in enumerate(studies[:4])]
    header = "study_id,report_0,rr_interval"
    (tmp_path / "src" / "machine_measurements.csv").write_text("\n".join([header, *measured, ",x,29999"]) + "\n")
    ingest(tmp_path / "src", tmp_path / "s.zarr")
    table = Store(tmp_path / "s.zarr").table
    assert table["record_id"].tolist() == studies
    assert table["report"].tolist()[:4] == [f"report of {study}" for study in studies[:4]]
    assert table["rr_interval"].tolist()[:4] == [0, 1, 2, 3]
    assert table["rr_interval"].dtype == np.float64


class BadLayout:
    @staticmethod
    def recognises(root: Path) -> bool:
        raise RuntimeError("boom")


@pytest.mark.parametrize("target", ["nowhere:X", "tests.test_ingest:BadLayout"])
def test_a_broken_layout_does_not_cost_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    host = plugin_host()
    broken = DatasetEntry(name="broken", summary="s", target=target, priority=99)
    entries = {"broken": broken, **host.entries(DatasetEntry)}
    monkeypatch.setitem(host._entries, "dataset", entries)
    write_wfdb(tmp_path / "src", "a", synthetic_signal(100))
    assert find_dataset(tmp_path / "src").name == "wfdb"
    with pytest.raises(PluginError, match="'?broken'?"):
        find_dataset(tmp_path / "src", "broken")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").touch()
    with pytest.raises(DatasetError, match=r"Not tried: broken \("):
        find_dataset(tmp_path / "other")


def test_a_long_record_is_cut_where_the_window_says(tmp_path: Path) -> None:
    signal = synthetic_signal(1050)
    write_wfdb(tmp_path / "src", "long", signal, fs=100)
    write_wfdb(tmp_path / "src", "short", signal[:, :200], fs=100)
    expected = {"first": {"long": 0}, "center": {"long": 325}, "split": {f"long#{k + 1}": 400 * k for k in range(3)}}
    for window, starts in expected.items():
        out = tmp_path / f"{window}.zarr"
        ingest(tmp_path / "src", out, IngestOptions(seconds=4, window=window))  # type: ignore[arg-type]
        store = Store(out)
        assert store.table["record_id"].tolist() == [*starts, "short"]
        for row, start in enumerate(starts.values()):
            np.testing.assert_allclose(store.recording(row).signal, signal[:, start : start + 400], atol=2e-3)
            assert store.table["start"].iloc[row] == start / 100
    with pytest.raises(ConfigError, match="--window split needs a length"):
        ingest(tmp_path / "src", tmp_path / "x.zarr", IngestOptions(window="split"))


def test_the_windows_of_a_record_share_its_patient_and_its_beats(shared: Path, tmp_path: Path) -> None:
    ingest(shared / "data" / "mit-bih", tmp_path / "s.zarr", IngestOptions(seconds=60, window="split", limit=1))
    store = Store(tmp_path / "s.zarr")
    assert store.table["record_id"].tolist() == [
        f"{store.table['record_id'].iloc[0][:-2]}#{n + 1}" for n in range(len(store))
    ]
    source = next((shared / "data" / "mit-bih").rglob(f"{store.table['path'].iloc[0].split('/')[-1]}.hea"))
    beats = wfdb.rdann(str(source.with_suffix("")), "atr")
    marked = {s for s, symbol in zip(beats.sample, beats.symbol, strict=True) if symbol in "NLRBAaJSVrFejnE/fQ?"}
    starts = (store.table["start"] * store.table["fs"]).round().astype(int)
    found = [s + p for s, peaks in zip(starts, store.table["rpeaks"], strict=True) for p in peaks]
    assert sorted(marked) == found
    assert store.table["patient_id"].nunique(dropna=False) == 1
    assert store.table["fold"].nunique() == 1


def test_only_the_patients_of_a_file_are_taken(tmp_path: Path) -> None:
    rows = [f"{n},{p}.0,50,0,{{'NORM': 100.0}},1,records500/r{n},d" for n, p in ((1, 7), (2, 8), (3, 7))]
    wanted = tmp_path / "patients.txt"
    wanted.write_text("7\n\n 99 \n")
    options = IngestOptions(patients=read_patients(wanted))
    report = ingest(ptbxl(tmp_path / "src", rows), tmp_path / "s.zarr", options)
    assert (report.found, Store(tmp_path / "s.zarr").table["record_id"].tolist()) == (2, ["1", "3"])
    wanted.write_text("\n")
    with pytest.raises(ConfigError, match="no patient id"):
        read_patients(wanted)


def test_flags_drop_nothing_unless_asked(tmp_path: Path) -> None:
    flat = synthetic_signal(2000)
    flat[7] = 0.3
    for name, signal in (("fine", synthetic_signal(2000)), ("flat", flat)):
        write_wfdb(tmp_path / "src", name, signal)
    report = ingest(tmp_path / "src", tmp_path / "all.zarr")
    assert (report.taken, report.flagged["lead-off"]) == (2, 1)
    report = ingest(tmp_path / "src", tmp_path / "some.zarr", IngestOptions(drop=("lead-off",)))
    assert (report.taken, report.failed) == (1, 0), "what was dropped could be read"
    assert ledger_of(report) == {"flat": ("dropped", "flagged lead-off in V2")}
    store = Store(tmp_path / "some.zarr")
    assert store.verified(0, 1).shape == (1, 12, 2000)
    assert len(store.quality["flat"]) == 1
    with pytest.raises(ConfigError, match="Did you mean 'lead-off'"):
        ingest(tmp_path / "src", tmp_path / "x.zarr", IngestOptions(drop=("lead-of",)))


def test_a_dataset_behind_a_url_gives_the_same_store(tmp_path: Path) -> None:
    import fsspec

    for name in ("a", "b"):
        write_wfdb(tmp_path / "src", name, synthetic_signal(300, seed=ord(name)))
    fsspec.filesystem("memory").put(str(tmp_path / "src"), "/ingest-test/", recursive=True)
    here = ingest(tmp_path / "src", tmp_path / "here.zarr")
    root = open_folder("memory://ingest-test/src")
    there = ingest(root, tmp_path / "there.zarr")
    assert there.content_hash == here.content_hash


def test_a_dataset_behind_a_server_gives_the_same_store(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    for number, name in enumerate(("g1/a", "g1/b", "g2/c")):
        write_wfdb(tmp_path / "src" / name.split("/")[0], name.split("/")[1], synthetic_signal(300, seed=number))
    here = ingest(tmp_path / "src", tmp_path / "here.zarr")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = ingest(open_folder(f"http://127.0.0.1:{server.server_port}/src"), tmp_path / "there.zarr")
        server.shutdown()
    assert (there.taken, there.content_hash) == (3, here.content_hash)
