"""Archives that a card declares: found by looking, with patients, labels, leads and comments."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgkit.datasets.base import settle
from ecgkit.datasets.people import introduce
from ecgkit.errors import DatasetError
from ecgkit.ingestion import find_dataset
from tests.conftest import synthetic_signal, write_wfdb


def rows_of(root: Path) -> dict[str, dict]:
    dataset = find_dataset(root)
    rows = [dataset.row(s, dataset.read(s, dataset.header(s))) for s in settle(dataset.sources())]
    return {row["record_id"]: row for row in rows}


def mark(root: Path, name: str, extension: str = "atr", symbol: str = "N") -> None:
    wfdb.wrann(name, extension, np.array([40, 90]), symbol=[symbol, symbol], write_dir=str(root))


def test_ptb_diagnostic_has_patients_and_diagnoses(tmp_path: Path) -> None:
    leads = ("i", "ii", "vx")
    for patient, name, reason in (
        ("patient001", "s0010_re", "Myocardial infarction"),
        ("patient001", "s0014lre", "n/a"),
        ("patient002", "s0015lre", "Healthy control"),
    ):
        comments = ("age: 81", "sex: female", "ECG date: 01/10/1990", "Diagnose:", f"Reason for admission: {reason}")
        comments += ("Acute infarction (localization): infero-latera",)
        write_wfdb(tmp_path / patient, name, synthetic_signal(200, 3), leads, fs=1000, comments=comments)
    rows = rows_of(tmp_path)
    assert find_dataset(tmp_path).name == "ptbdb"
    assert {name: row["patient_id"] for name, row in rows.items()} == {
        "s0010_re": "patient001",
        "s0014lre": "patient001",
        "s0015lre": "patient002",
    }
    assert rows["s0010_re"]["fold"] == rows["s0014lre"]["fold"]
    assert rows["s0010_re"]["labels"] == ["Myocardial infarction"]
    assert rows["s0014lre"]["labels"] == []
    assert (rows["s0015lre"]["age"], rows["s0015lre"]["sex"]) == (81, "F")
    assert rows["s0015lre"]["acute_infarction"] == "infero-latera"
    assert rows["s0015lre"]["ecg_date"] == "01/10/1990"


def test_records_named_like_an_archive_are_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("s0010_re", "s0014lre"):
        write_wfdb(tmp_path / "mine" / "ward3", name, synthetic_signal(200, 3), ("i", "ii", "vx"), fs=1000)
    assert find_dataset(tmp_path / "mine").name == "wfdb"  # no folder patient001


def test_a_table_beside_an_archive_says_more_of_its_records(tmp_path: Path) -> None:
    for patient, name in (("patient001", "s0010_re"), ("patient002", "s0015lre")):
        write_wfdb(tmp_path / patient, name, synthetic_signal(200, 3), ("i", "ii", "vx"), fs=1000)
    (tmp_path / "mine.csv").write_text("record,labels,reader\ns0010_re,MI; AF,b\ns0015lre,,c\n")
    dataset = find_dataset(tmp_path)
    rows = {s.record_id: dataset.row(s, dataset.read(s, dataset.header(s))) for s in settle(introduce(dataset))}
    assert dataset.name == "ptbdb"
    assert rows["s0010_re"]["labels"] == ["MI", "AF"] and rows["s0010_re"]["reader"] == "b"
    assert rows["s0010_re"]["patient_id"] == "patient001"  # the table names no patients
    assert "table mine.csv: 2 of 2 records" in " ".join(dataset.findings)


def test_a_table_that_an_archive_reads_itself_is_not_read_twice(tmp_path: Path) -> None:
    for n in (1, 2):
        write_wfdb(tmp_path, f"A0000{n}", synthetic_signal(200, 1), ("ECG",), fs=300)
    (tmp_path / "REFERENCE.csv").write_text("A00001,N\nA00002,A\n")
    dataset = find_dataset(tmp_path)
    sources = introduce(dataset)
    assert dataset.name == "cinc2017" and not dataset.described_by
    assert [source.labels for source in sources] == [("N",), ("A",)] and not any(s.problem for s in sources)


def test_incart_has_patients_and_diagnoses_in_comments(tmp_path: Path) -> None:
    for name, comment in (
        ("I01", "<age>: 65 <sex>: F <diagnoses> Coronary artery disease, arterial hypertension"),
        ("I02", "<age>: 65 <sex>: F"),
    ):
        write_wfdb(tmp_path, name, synthetic_signal(200), fs=257, comments=(comment, "patient 1", "PVCs, noise"))
        mark(tmp_path, name)
    rows = rows_of(tmp_path)
    assert find_dataset(tmp_path).name == "incartdb"
    assert rows["I01"]["patient_id"] == rows["I02"]["patient_id"] == "1"
    assert rows["I01"]["labels"] == ["Coronary artery disease", "arterial hypertension"]
    assert rows["I02"]["labels"] == []
    assert (rows["I01"]["age"], rows["I01"]["sex"]) == (65, "F")


@pytest.mark.parametrize(
    ("archive", "names", "extension", "leads"),
    [
        ("afdb", ("04015", "04043"), "atr", ("ECG1", "ECG2")),
        ("svdb", ("800", "801"), "atr", ("ECG1", "ECG2")),
        ("nsrdb", ("16265", "16272"), "atr", ("ECG1", "ECG2")),
        ("ltafdb", ("00", "100"), "qrs", ("ECG", "ECG")),
    ],
)
def test_families_whose_leads_are_not_stated(tmp_path: Path, archive: str, names, extension: str, leads) -> None:
    for name in names:
        write_wfdb(tmp_path, name, synthetic_signal(200, 2), ("ECG1", "ECG2"), fs=128)
        header = (tmp_path / f"{name}.hea").read_text()
        (tmp_path / f"{name}.hea").write_text(header.replace("ECG1", leads[0]).replace("ECG2", leads[1]))
        mark(tmp_path, name, extension)
    dataset = find_dataset(tmp_path)
    assert (dataset.name, dataset.archives) == (archive, (archive,))
    header = dataset.header(dataset.sources()[0])
    assert (header.leads, header.source_leads) == (("ECG1", "ECG2"), leads)
    patients = [None, None] if archive == "svdb" else sorted(names)  # SVDB does not say whose its records are
    assert [source.patient_id for source in dataset.sources()] == patients


def test_rhythm_marks_are_no_beats(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "04015", synthetic_signal(200, 2), ("ECG1", "ECG2"), fs=250)
    mark(tmp_path, "04015", symbol="+")
    dataset = find_dataset(tmp_path)
    source = dataset.sources()[0]
    assert dataset.read(source, dataset.header(source)).rpeaks is None


def test_cinc_2017_is_lead_one_with_labels_of_a_table(tmp_path: Path) -> None:
    for name in ("A00001", "A00002", "A00003"):
        write_wfdb(tmp_path / "training", name, synthetic_signal(300, 1), ("ECG",), fs=300)
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,N\nA00002,~\n")
    (tmp_path / "training" / "REFERENCE.csv").write_text("A00001,O\nA00003,A\n")
    rows = rows_of(tmp_path)
    assert find_dataset(tmp_path).name == "cinc2017"
    assert {name: row["labels"] for name, row in rows.items()} == {"A00001": ["N"], "A00002": ["~"], "A00003": []}
    dataset = find_dataset(tmp_path)
    assert dataset.header(dataset.sources()[0]).leads == ("I",)


def test_cinc_2017_with_validation_records_of_the_same_names(tmp_path: Path) -> None:
    for part in ("training", "validation"):
        write_wfdb(tmp_path / part, "A00001", synthetic_signal(300, 1), ("ECG",), fs=300)
    assert [s.record_id for s in find_dataset(tmp_path).sources()] == ["training/A00001", "validation/A00001"]


def test_the_real_records_of_cinc_2017(shared: Path) -> None:
    dataset = find_dataset(shared / "faults" / "02-cinc2017-real" / "in")
    first = dataset.sources()[0]
    header = dataset.header(first)
    assert (dataset.name, header.leads, header.fs, header.samples) == ("cinc2017", ("I",), 300, 9000)


def test_cpsc_2021_has_patients_in_names(tmp_path: Path) -> None:
    for name, comment in (("data_8_2", "non atrial fibrillation"), ("data_8_4", "paroxysmal atrial fibrillation")):
        write_wfdb(
            tmp_path / "Training_set_I", name, synthetic_signal(200, 2), ("I", "II"), fs=200, comments=(comment,)
        )
        mark(tmp_path / "Training_set_I", name)
    rows = rows_of(tmp_path)
    assert {row["patient_id"] for row in rows.values()} == {"8"}
    assert rows["data_8_4"]["labels"] == ["paroxysmal atrial fibrillation"]


def test_a_parent_folder_says_where_the_dataset_lies(tmp_path: Path, shared: Path) -> None:
    inner = tmp_path / "ptb-xl-1.0.3"
    write_wfdb(inner / "records100" / "00000", "00001_lr", synthetic_signal(200), fs=100)
    (inner / "ptbxl_database.csv").write_text("ecg_id,patient_id,scp_codes,strat_fold,filename_lr\n")
    with pytest.raises(DatasetError, match=r"layout ptb-xl lies in .*ptb-xl-1.0.3.*Name that folder"):
        find_dataset(tmp_path)
    assert find_dataset(tmp_path, "wfdb").name == "wfdb", "a user who names the layout is believed"
    site = tmp_path / "physionet.org" / "files" / "ptb-xl"  # as 'wget -r' leaves it
    site.mkdir(parents=True)
    inner.rename(site / "1.0.3")
    with pytest.raises(DatasetError, match=r"layout ptb-xl lies in .*physionet.org/files/ptb-xl/1.0.3"):
        find_dataset(tmp_path)
    with pytest.raises(DatasetError, match="layout ptb-xl lies in"):
        find_dataset(shared / "faults" / "05-parent-folder" / "in")


def test_the_parent_of_a_challenge_says_so(tmp_path: Path) -> None:
    for source, name in (("ningbo", "JS10647"), ("georgia", "E00001")):
        folder = tmp_path / "1.0.3" / "training" / source / "g1"
        write_wfdb(folder, name, synthetic_signal(200))
        (folder / f"{name}.mat").write_bytes(b"")
    assert find_dataset(tmp_path / "1.0.3").name == "cinc"
    with pytest.raises(DatasetError, match="layout cinc lies in"):
        find_dataset(tmp_path)


def test_an_unknown_folder_says_what_it_holds(tmp_path: Path) -> None:
    for name in ("a.xyz", "b.xyz", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DatasetError, match=r"holds 2 files \.xyz, 1 file \.txt"):
        find_dataset(tmp_path)
