"""Patients, labels, folds and reports from tables, paths and header comments; duplicates; bad tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ecgkit
from ecgkit.api.ingest import ingest
from ecgkit.datasets.comments import parse_age, parse_comments, split_codes
from ecgkit.datasets.people import codes_of
from ecgkit.errors import ConfigError, DatasetError
from ecgkit.ingestion import IngestReport
from ecgkit.store import format as store_format
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

LINES = (
    ("# age: 61 years", "# sex: female", "# Reason for admission: Myocardial infarction"),
    ("# age: 7 months", "# Reason for admission: Healthy control", "# fs: odd"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six WFDB records of three patients. Each patient has a folder, as in PTB Diagnostic; the names differ."""
    for n in range(6):
        name = f"e{n:04d}_x"
        below = tmp_path / "in" / f"person{n // 2:03d}"
        write_wfdb(below, name, synthetic_signal(400, seed=n))
        with (below / f"{name}.hea").open("a") as file:
            file.write("\n".join(LINES[n % 2]) + "\n")
    return tmp_path / "in"


def stored(src: Path, tmp_path: Path, **options: Any) -> tuple[IngestReport, pd.DataFrame]:
    out = tmp_path / "out.zarr"
    return ingest(src, out=out, overwrite=True, **options), Store(out).table.frame()


def folds_per_patient(table: pd.DataFrame) -> int:
    return int(table.groupby("patient_id")["fold"].nunique().max())


def test_unknown_patients_are_told(folder: Path, tmp_path: Path) -> None:
    report, table = stored(folder, tmp_path)
    assert report.unknown_patients == len(table) == 6
    assert Store(tmp_path / "out.zarr").attributes["unknown_patients"] == 6


def test_patients_from_paths(folder: Path, tmp_path: Path) -> None:
    report, table = stored(folder, tmp_path, patient_from=r"person(\d+)/")
    assert list(table["patient_id"]) == ["000", "000", "001", "001", "002", "002"]
    assert folds_per_patient(table) == 1 and not report.unknown_patients
    with pytest.raises(DatasetError, match="matches none of the paths .*person000/e0000_x"):
        stored(folder, tmp_path, patient_from=r"subject(\d+)")
    for pattern in ("patient", "(", r"patient\d+"):
        with pytest.raises(ConfigError, match="--patient-from"):
            stored(folder, tmp_path, patient_from=pattern)


def test_header_comments_become_columns_and_labels(folder: Path, tmp_path: Path) -> None:
    _, table = stored(folder, tmp_path, label_columns="reason for admission")
    assert list(table["Reason for admission"][:2]) == ["Myocardial infarction", "Healthy control"]
    assert [list(labels) for labels in table["labels"][:2]] == [["Myocardial infarction"], ["Healthy control"]]
    assert table["age"][0] == 61 and table["age"][1] == pytest.approx(7 / 12)
    assert table["comment_fs"][1] == "odd" and set(table["fs"]) == {500}
    with pytest.raises(DatasetError, match="--label-columns Diagnose.*Reason for admission"):
        stored(folder, tmp_path, label_columns="Diagnose")


def test_diagnoses_of_several_lines_and_separators() -> None:
    assert parse_comments(("Dx: 426783006,164934002", "Dx: 59118001")).labels == ("426783006", "164934002", "59118001")
    for text in ("1 2", "1;2", "1 | 2", "1/2", "1, 2,", "1 & 2"):
        assert split_codes(text) == ["1", "2"]
    assert split_codes("left axis; sinus rhythm") == ["left axis", "sinus rhythm"]
    ages = {
        "64": 64,
        "64 years": 64,
        "064Y": 64,
        "90+": 90,
        ">89": 89,
        "6 mo": 0.5,
        "63,5": 63.5,
        "73 weeks": 73 * 7 / 365.25,
    }
    for text, years in ages.items():
        assert parse_age(text) == pytest.approx(years), text
    for text in ("NaN", "unknown", "", "64 metres", "-3"):
        assert parse_age(text) is None


TABLE = {
    "ecg": [f"person{n // 2:03d}/e{n:04d}_x.dat" for n in range(6)],
    "Subject ID": ["p1", " p1", "p1 ", "p2", "p2", "p3"],
    "sex": ["male", "F", "", "M", "f", "?"],
    "age": ["61", "", "8 months", "90+", "40", "41"],
    "split": ["train", "train", "train", "val", "val", "test"],
    "report": ["Sinus rhythm.", "", "AF.", "", "", ""],
    "dx": ["['AFIB', 'LVH']", "{'NORM': 100.0}", "", "AFIB; LVH", "SR", "SR"],
    "fs": ["1", "2", "3", "4", "5", "6"],
    "device": ["A", "B", "", "", "", "C"],
}


def write_table(path: Path, table: dict[str, list[str]]) -> None:
    frame = pd.DataFrame(table)
    match path.suffix:
        case ".tsv":
            frame.to_csv(path, sep="\t", index=False)
        case ".parquet":
            frame.assign(age=[61.0, None, 8.0, 90.0, 40.0, 41.0]).to_parquet(path)
        case ".xlsx":
            frame.to_excel(path, index=False)
        case _:
            frame.to_csv(path, index=False)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.xlsx"])
def test_a_table_beside_the_files_is_found_and_told(folder: Path, tmp_path: Path, name: str) -> None:
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    write_table(folder / name, TABLE)
    report, table = stored(folder, tmp_path)
    told = "\n".join(report.findings)
    assert f"table {name}: 6 of 6 records, by column ecg" in told and "patient: Subject ID" in told
    assert "blanks around the patient ids of 2 records were removed" in told
    assert list(table["patient_id"]) == ["p1", "p1", "p1", "p2", "p2", "p3"]
    assert list(table["sex"])[:2] == ["M", "F"] and table["table_sex"][5] == "?"
    assert [list(labels) for labels in table["labels"]] == [
        ["AFIB", "LVH"], ["NORM"], [], ["AFIB", "LVH"], ["SR"], ["SR"],
    ]  # fmt: skip
    assert list(table["fold"][3:]) == [9, 9, 10] and set(table["fold"][:3]) <= set(range(1, 9))
    assert folds_per_patient(table) == 1
    assert table["report"][0] == "Sinus rhythm." and table["device"][0] == "A"
    assert set(table["fs"]) == {500} and table["table_fs"][3] == "4"


def test_named_columns_and_a_table_elsewhere(folder: Path, tmp_path: Path) -> None:
    rows = {
        "key": [f"e{n:04d}_x" for n in range(6)] + ["e9999_x"],
        "who": [*"aabbccz"],
        "k": [0, 0, 4, 4, 9, 9, 1],
        "AF": [1, 0, 1, 0, 0, 0, 0],
        "LBBB": [0, 0, 1, 0, 0, 1, 0],
    }
    path = tmp_path / "elsewhere.csv"
    pd.DataFrame(rows).to_csv(path, index=False, sep=";", encoding="cp1252")
    options = {"table": path, "patient_column": "who", "fold_column": "k", "label_columns": ["AF", "LBBB"]}
    report, table = stored(folder, tmp_path, **options)
    assert list(table["patient_id"]) == list("aabbcc") and list(table["fold"]) == [1, 1, 5, 5, 10, 10]
    assert [list(labels) for labels in table["labels"]] == [["AF"], [], ["AF", "LBBB"], [], [], ["LBBB"]]
    told = "\n".join(report.findings)
    assert "separated by semicolons" in told and "1 row without a record: e9999_x" in told
    with pytest.raises(DatasetError, match="--patient-column wha: elsewhere.csv has no .*Did you mean 'who'"):
        stored(folder, tmp_path, **{**options, "patient_column": "wha"})
    with pytest.raises(DatasetError, match="--record-column nix"):
        stored(folder, tmp_path, **{**options, "record_column": "nix"})


def test_ids_that_do_not_match_are_counted_on_both_sides(folder: Path, tmp_path: Path) -> None:
    pd.DataFrame({"ecg_id": ["x1", "x2"], "patient": ["a", "b"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DatasetError, match=r"of t.csv \(2 ids, such as 'x1', 'x2'\) names none of the 6 records"):
        stored(folder, tmp_path, table=tmp_path / "t.csv")
    (folder / "other.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    report, _ = stored(folder, tmp_path)
    (unused,) = [line for line in report.findings if line.startswith("not used")]
    assert "of other.csv (2 ids, such as 'x1', 'x2') names none of the 6 records (such as " in unused


def test_a_bad_row_costs_its_record_alone(folder: Path, tmp_path: Path) -> None:
    names = [f"e{n:04d}_x" for n in range(5)]
    rows = {
        "record": [*names, names[4]],
        "fold": ["", "eleven", "3", "12", "5", "5"],
    }
    write_table(folder / "t.csv", rows)
    report, table = stored(folder, tmp_path)
    reasons = {row.record_id.rpartition("/")[2]: row.reason for row in report.rejected}
    assert list(table["fold"]) == [3]
    expected = {
        "e0001": "eleven",
        "e0003": "12",
        "e0004": "more than once",
        "e0005": "not list",
    }
    assert all(text in reasons[f"{name}_x"] for name, text in expected.items())
    assert {row.stage for row in report.rejected} == {"table"}


def test_a_strange_age_costs_no_record(folder: Path, tmp_path: Path) -> None:
    ages = ["unknown", "-", "sixty", "NaN", "300", "45,5"]
    rows = {"record": [f"e{n:04d}_x" for n in range(6)], "age": ages, "patient_id": list("aabbcc")}
    write_table(folder / "t.csv", {**rows, "fold": list("111233"), "AF": list("010101")})
    report, table = stored(folder, tmp_path)
    assert not report.rejected
    assert list(table["age"]) == pytest.approx([61, 7 / 12, 61, 7 / 12, 90, 45.5])
    assert list(table["table_age"])[:3] == ["unknown", "-", "sixty"]
    assert "  2 cells of column age without an age: -, sixty" in report.findings
    assert "  columns of 0 and 1 become labels with --label-columns AF" in report.findings
    assert any("1 patient are in more than one fold" in line and ": b;" in line for line in report.findings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02\x03" * 50, "not a text"),
        (b"a,b\n1,2,3\n4,5,6\n", "more cells"),
        (b'a,b\n"1,2\n', "cannot be read"),
    ],
)
def test_what_is_no_table_is_told(folder: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        stored(folder, tmp_path, table=tmp_path / "t.csv")


def test_several_tables_that_fit_are_not_guessed_between(folder: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_table(folder / name, TABLE)
    report, table = stored(folder, tmp_path)
    assert "not used: a.csv, b.csv all name the records; choose one with --table" in report.findings
    assert table["patient_id"].isna().all()
    _, table = stored(folder, tmp_path, table=folder / "b.csv")
    assert table["patient_id"].notna().all()


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("['a', \"b c\"]", ["a", "b c"]),
        ("{'x': 1.0, 'y': 0}", ["x", "y"]),
        ("[1, 2]", ["1", "2"]),
        ("a|b", ["a", "b"]),
        ("[]", []),
        ("", []),
        ("Atrial fibrillation", ["Atrial fibrillation"]),
    ],
)
def test_lists_of_codes_in_a_cell(cell: str, codes: list[str]) -> None:
    assert codes_of(cell) == codes


def same_waves(folder: Path) -> None:
    """Records a to h, of which c, e and h have the waveform of a; f and g are silent."""
    for n, name in enumerate("abcdefgh"):
        silent, seed = name in "fg", 0 if name in "aceh" else n
        write_wfdb(folder, name, synthetic_signal(400, seed=seed) * (0 if silent else 1))


def test_duplicates_are_named_and_share_a_fold(tmp_path: Path) -> None:
    same_waves(tmp_path / "in")
    report, table = stored(tmp_path / "in", tmp_path)
    assert report.duplicates == [("a", "c", "e", "h")], "two silent records are no duplicates"
    folds = dict(zip(table["record_id"], table["fold"], strict=True))
    assert len({folds[name] for name in "aceh"}) == 1
    assert len(table) == 8


def test_duplicates_in_other_shards_share_a_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_format, "_CHUNK_RECORDS", 2)
    monkeypatch.setattr(store_format, "_SHARD_CHUNKS", 1)
    same_waves(tmp_path / "in")
    _, table = stored(tmp_path / "in", tmp_path)
    assert len(list((tmp_path / "out.zarr" / "signal" / "c").iterdir())) == 4, "two records each"
    assert table[table["record_id"].isin(list("aceh"))]["fold"].nunique() == 1


@pytest.mark.slow
def test_the_plain_way_from_files_without_patients_ends_in_a_probe(tmp_path: Path) -> None:
    """Duplicates and unknown patients stop neither the training nor the probe, and the probe says what is unknown."""
    for n in range(120):
        seed = n - 1 if n % 10 == 9 else n  # every tenth record is the one before it
        write_wfdb(tmp_path / "in", f"r{n:03d}", synthetic_signal(1000, seed=seed), fs=100)
    ids = [f"r{n:03d}" for n in range(120)]
    pd.DataFrame({"id": ids, "odd": [n // 2 % 2 for n in range(120)]}).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "task.yaml").write_text("title: Odd\ntable: {path: labels.csv, id: id, columns: [odd]}\n")
    report, table = stored(tmp_path / "in", tmp_path)
    assert len(report.duplicates) == 12 and report.unknown_patients == 120
    assert all(table[table["record_id"].isin(same)]["fold"].nunique() == 1 for same in report.duplicates)
    run = tmp_path / "run"
    ecgkit.pretrain(
        method="stmem",
        preset="tiny",
        settings={"recipe.batch_size": 16},
        workers=0,
        device="cpu",
        data=tmp_path / "out.zarr",
        out=run,
        epochs=1,
    )
    results = tmp_path / "results"
    done = ecgkit.probe(run, data=tmp_path / "out.zarr", task=tmp_path / "task.yaml", device="cpu", out=results)
    ((_, row),) = done.rows
    assert 0 <= row.macro_auroc <= 1
    assert "patient" in " ".join(row.warnings)


def test_duplicates_do_not_move_known_patients(tmp_path: Path) -> None:
    same_waves(tmp_path / "in")
    pd.DataFrame({"record": list("abcdefgh"), "patient": ["", "", "p", "p", "q", "", "", ""]}).to_csv(
        tmp_path / "in" / "t.csv", index=False
    )
    _, table = stored(tmp_path / "in", tmp_path)
    folds = dict(zip(table["record_id"], table["fold"], strict=True))
    assert folds["c"] == folds["d"] == folds["a"] == folds["h"], "those without a patient follow the first one with one"
    assert folds_per_patient(table) == 1


def test_duplicates_can_be_left_out(tmp_path: Path) -> None:
    same_waves(tmp_path / "in")
    report, table = stored(tmp_path / "in", tmp_path, drop=["duplicates"])
    assert list(table["record_id"]) == ["a", "b", "d", "f", "g"] and report.taken == 5
    assert [(row.record_id, row.stage, row.reason) for row in report.rejected] == [
        (name, "dropped", "the same waveform as record a") for name in "ceh"
    ]
    assert report.failed == 0
    store = Store(tmp_path / "out.zarr")
    assert len(store.quality["flat"]) == 5
    for row in range(5):
        store.recording(row)


def test_windows_of_one_record_follow_their_duplicates_together(tmp_path: Path) -> None:
    long = synthetic_signal(1200, seed=1)
    write_wfdb(tmp_path / "in", "a", long)
    write_wfdb(tmp_path / "in", "b", np.concatenate([synthetic_signal(400, seed=9), long[:, 400:800]], axis=1))
    _, table = stored(tmp_path / "in", tmp_path, seconds=0.8, window="split")
    assert table["fold"].nunique() == 1 and len(table) == 5
