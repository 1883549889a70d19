"""Every layout: found by looking, and its labels, patients, reports and samples as an independent reading has them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import wfdb
from scipy.io import savemat

from ecgkit.datasets.base import Dataset, Source, settle
from ecgkit.datasets.code15 import strip_padding
from ecgkit.datasets.ludb import merge_peaks
from ecgkit.datasets.mimic_iv_ecg_ext_icd import parse_codes
from ecgkit.datasets.spool import Spool
from ecgkit.errors import DatasetError, RecordError
from ecgkit.ingestion import find_dataset
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from tests.conftest import synthetic_signal, write_wfdb

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def read(dataset: Dataset, source: Source) -> Recording:
    return dataset.read(source, dataset.header(source))


def rows_of(dataset: Dataset, step: int = 1) -> list[dict]:
    """The record table's rows of every so many records."""
    return [dataset.row(source, read(dataset, source)) for source in settle(dataset.sources())[::step]]


@pytest.mark.parametrize(
    ("folder", "name", "code_system", "records"),
    [
        ("ptb-xl", "ptb-xl", "scp", 500),
        ("ptb-xl-100hz-zscored", "ptb-xl", "scp", 1420),
        ("mit-bih", "mit-bih", "", 22),
        ("ludb", "ludb", "ludb", 100),
        ("norwegian-athletes", "norwegian-athletes", "", 28),
        ("cinc2021", "cinc", "snomed", 50),
        ("cinc2021-old-headers", "georgia", "snomed", 20),
        ("cpsc2018", "cpsc2018", "cpsc2018", 10),
        ("mimic-iv-ecg", "mimic-iv-ecg", "snomed", 1),
        ("wfdb-odd", "wfdb", "dx", 19),
    ],
)
def test_every_real_folder_is_recognised_as_itself(shared: Path, folder, name, code_system, records) -> None:
    dataset = find_dataset(shared / "data" / folder)
    listed = dataset.sources()
    assert (dataset.name, dataset.code_system, len(listed)) == (name, code_system, records)
    assert isinstance(listed, Spool), "the list is on disk"


@pytest.mark.parametrize("folder", ["cinc_scoring", "prompts", "reports", "splits"])
def test_folders_without_signals_are_no_dataset(shared: Path, folder: str) -> None:
    with pytest.raises(DatasetError, match="layout of .* is unknown"):
        find_dataset(shared / "data" / folder)


def test_ludb_keeps_diagnoses_and_the_marks_of_every_lead(shared: Path) -> None:
    folder = shared / "data" / "ludb"
    table = pd.read_csv(folder / "ludb.csv", dtype=str).apply(lambda column: column.str.strip()).set_index("ID")
    for row in rows_of(find_dataset(folder), 9):
        expected = table.loc[row["record_id"]]
        assert (row["sex"], row["patient_id"]) == (expected["Sex"], row["record_id"])
        assert row["age"] == float(expected["Age"])
        assert row["labels"] == [line for cell in expected[2:].dropna() for line in cell.splitlines()]
        assert row["Rhythms"] in row["labels"]
        for lead in ("II", "aVF", "V6"):
            marks = wfdb.rdann(str(folder / "data" / row["record_id"]), lead.lower())
            assert row[f"marks_{lead}"] == marks.sample.tolist()
            assert row[f"symbols_{lead}"] == "".join(marks.symbol)


def test_ludb_peaks_lie_where_every_lead_has_a_beat(shared: Path) -> None:
    folder = shared / "data" / "ludb"
    dataset = find_dataset(folder)
    for source in dataset.sources()[::9]:
        peaks = read(dataset, source).rpeaks
        assert peaks is not None
        for lead in ("i", "ii", "v2", "v5"):
            marks = wfdb.rdann(str(folder / source.path), lead)
            qrs = marks.sample[np.array(marks.symbol) == "N"]
            nearest = np.abs(qrs[:, None] - peaks).min(1)
            assert nearest.max() <= 0.1 * 500, "within a wide QRS complex"
            assert abs(len(qrs) - len(peaks)) <= 1


def test_peaks_are_merged_over_leads() -> None:
    leads = [np.array([100, 600]), np.array([104, 598, 900]), np.array([102, 640])]
    assert merge_peaks(leads, 500.0).tolist() == [102, 600]
    assert merge_peaks([], 500.0) is None


def test_athletes_keep_both_texts(shared: Path) -> None:
    rows = rows_of(find_dataset(shared / "data" / "norwegian-athletes"))
    assert len(rows) == 28
    first = rows[0]
    assert first["report"] == "Sinus arrhythmia,  Normal ECG"
    assert first["machine_report"].startswith("Sinus bradycardia with marked sinus arrhythmia")
    assert all(row["report"] and row["machine_report"] for row in rows)
    assert first["patient_id"] == first["record_id"] == "ath_001"


def test_mit_bih_has_patients_ages_and_beats(shared: Path) -> None:
    folder = shared / "data" / "mit-bih"
    dataset = find_dataset(folder)
    sources = {source.record_id: source for source in settle(dataset.sources())}
    assert sources["201"].patient_id == "201"
    recording = read(dataset, sources["114"])
    assert recording.leads == ("V5", "II")
    assert recording.stored is not None
    row = dataset.row(sources["114"], recording)
    assert (row["age"], row["sex"], row["labels"]) == (72, "F", [])
    reference = wfdb.rdann(str(folder / "114"), "atr")
    beats = [s for s, symbol in zip(reference.sample, reference.symbol, strict=True) if symbol not in "+~|\"'[]!x"]
    assert recording.rpeaks is not None and recording.rpeaks.tolist() == beats


def test_cinc_sources_and_labels(shared: Path) -> None:
    folder = shared / "data" / "cinc2021"
    rows = {row["record_id"]: row for row in rows_of(find_dataset(folder))}
    assert {row["source"] for row in rows.values()} == {"georgia", "ptb-xl", "ningbo"}
    for name, row in list(rows.items())[::6]:
        comments = dict(line.split(": ", 1) for line in wfdb.rdheader(str(folder / name)).comments)
        assert row["labels"] == comments["Dx"].split(",")
        assert row["age"] == float(comments["Age"])
        assert row["sex"] == comments["Sex"][0]
    old = rows_of(find_dataset(shared / "data" / "cinc2021-old-headers"), 5)
    assert all(row["labels"] == rows[row["record_id"]]["labels"] for row in old)


def test_cpsc_words(shared: Path) -> None:
    labels = [label for row in rows_of(find_dataset(shared / "data" / "cpsc2018")) for label in row["labels"]]
    assert pd.Series(labels).value_counts().to_dict() == {"AF": 4, "RBBB": 3, "Normal": 1, "PVC": 1, "STD": 1}


def write_challenge(folder: Path, name: str, dx: str) -> None:
    """A record as the Challenges have it: a Matlab file read as WFDB after 24 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.rint(synthetic_signal(60) * 1000).astype("<i2")
    savemat(folder / f"{name}.mat", {"val": counts}, format="4")
    lines = [
        f"{name}.mat 16+24 1000/mV 16 0 {row[0]} {int(row.sum())} 0 {lead}"
        for row, lead in zip(counts, STANDARD_LEADS, strict=True)
    ]
    text = [f"{name} 12 500 60", *lines, "# Age: NaN", "# Sex: Male", f"# Dx: {dx}"]
    (folder / f"{name}.hea").write_text("\n".join(text) + "\n")


@pytest.mark.parametrize(
    ("files", "name", "code_system"),
    [
        ({"training/georgia/g1/E00001": "1", "training/ptb/g1/S0001": "2"}, "cinc", "snomed"),
        ({"georgia/g1/E00001": "1", "georgia/g2/E01001": "2"}, "cinc", "snomed"),
        ({"g1/E00001": "1", "g2/E01001": "2"}, "georgia", "snomed"),
        ({"WFDBRecords/01/010/JS00001": "1", "WFDBRecords/02/020/JS20001": "1"}, "chapman-shaoxing-ningbo", "snomed"),
        ({"1.0.0/JS00001": "1"}, "chapman-shaoxing-ningbo", "snomed"),
        ({"g1/A0001": "59118001"}, "cpsc2018", "snomed"),
        ({"A0001": "RBBB,AF"}, "cpsc2018", "cpsc2018"),
        ({"A0001": "1", "Q0001": "1"}, "cinc", "snomed"),
        ({"I0001": "1"}, "cinc", "snomed"),
        ({"patient-7": "1"}, "wfdb", "dx"),
    ],
)
def test_challenge_folders_in_all_their_forms(tmp_path: Path, files: dict[str, str], name, code_system) -> None:
    for path, dx in files.items():
        write_challenge((tmp_path / path).parent, Path(path).name, dx)
    dataset = find_dataset(tmp_path)
    assert (dataset.name, dataset.code_system) == (name, code_system)
    rows = rows_of(dataset)
    assert [row["path"] for row in rows] == sorted(files)
    assert [",".join(row["labels"]) for row in rows] == [files[path] for path in sorted(files)]
    assert {row["age"] for row in rows} == {None}
    signal = read(dataset, dataset.sources()[0])
    assert signal.stored is not None
    np.testing.assert_array_equal(signal.stored, np.rint(synthetic_signal(60) * 1000))


def cpsc_mat(folder: Path, reference: str) -> Path:
    signals = folder / "TrainingSet1"
    signals.mkdir(parents=True)
    for number, samples in ((1, 80), (2, 120)):
        ecg = {"sex": "Female", "age": 60 + number, "data": synthetic_signal(samples, seed=number)}
        savemat(signals / f"A000{number}.mat", {"ECG": ecg})
    (folder / "REFERENCE.csv").write_text(reference)
    return folder


def test_the_original_files_of_cpsc(tmp_path: Path) -> None:
    table = "Recording,First_label,Second_label,Third_label\nA0001,5,,\nA0002,2,9,\nA0003,1,,\nA0004,10,,\n"
    dataset = find_dataset(cpsc_mat(tmp_path, table))
    assert (dataset.name, dataset.code_system) == ("cpsc2018-mat", "cpsc2018")
    one, two, absent, wrong = dataset.sources()
    assert (one.labels, two.labels) == (("RBBB",), ("AF", "STE"))
    np.testing.assert_array_equal(read(dataset, two).signal, synthetic_signal(120, seed=2))
    row = dataset.row(one, read(dataset, one))
    assert (row["age"], row["sex"], row["path"]) == (61, "F", "TrainingSet1/A0001.mat")
    assert dataset.header(two).samples == 120
    with pytest.raises(RecordError, match="FileNotFound"):
        dataset.header(absent)
    assert "a number from 1 to 9" in wrong.problem
    savemat(tmp_path / "TrainingSet1" / "A0001.mat", {"ECG": {"data": np.zeros((3, 4))}})
    with pytest.raises(RecordError, match="not a numeric array of shape"):
        dataset.header(one)
    (tmp_path / "TrainingSet1" / "A0001.mat").write_bytes(b"junk")
    with pytest.raises(RecordError, match="not readable"):
        dataset.header(one)


def code15(folder: Path) -> Path:
    folder.mkdir()
    tracings = np.zeros((4, 512, 12), np.float32)
    lengths = {0: (56, 456), 1: (0, 512), 2: (81, 430)}
    for row, (start, stop) in lengths.items():
        tracings[row, start:stop] = synthetic_signal(stop - start, seed=row).T + 0.001
    with h5py.File(folder / "exams_part0.hdf5", "w") as file:
        file["exam_id"] = np.array([11, 22, 33, 0])
        file["tracings"] = tracings
    columns = (
        "exam_id,age,is_male,nn_predicted_age,1dAVb,RBBB,LBBB,SB,ST,AF,patient_id,death,timey,normal_ecg,trace_file"
    )
    rows = [
        "11,38,True,40.1,True,False,False,False,False,True,7,False,2.1,False,exams_part0.hdf5",
        "22,73,False,67.0,False,False,False,False,False,False,8,,,True,exams_part0.hdf5",
        "33,50,True,51,False,False,False,False,False,False,8,,,True,exams_part0.hdf5",
        "44,50,True,51,False,False,False,False,False,False,9,,,True,exams_part0.hdf5",
        "55,50,True,51,False,False,False,False,False,False,9,,,True,exams_part1.hdf5",
        "66,50,True,51,perhaps,False,False,False,False,False,9,,,True,exams_part1.hdf5",
    ]
    (folder / "exams.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder


def test_code15_without_padding_and_dummies(tmp_path: Path) -> None:
    dataset = find_dataset(code15(tmp_path / "code"))
    assert (dataset.name, dataset.code_system) == ("code-15", "code")
    sources = dataset.sources()
    for source, seed, length in zip(sources[:3], range(3), (400, 512, 350), strict=False):
        recording = read(dataset, source)
        expected = (synthetic_signal(349 if seed == 2 else length, seed=seed) + 0.001).astype(np.float32)
        assert recording.fs == 400
        assert recording.leads == STANDARD_LEADS
        np.testing.assert_array_equal(recording.signal[:, : expected.shape[1]], expected)
    row = dataset.row(sources[0], read(dataset, sources[0]))
    assert (row["labels"], row["patient_id"], row["age"], row["sex"]) == (["1dAVb", "AF"], "7", 38, "M")
    assert (row["normal_ecg"], row["nn_predicted_age"]) == ("False", "40.1")
    for source, message in zip(sources[3:], ["has no exam 44", "FileNotFound", ""], strict=True):
        if message:
            with pytest.raises(RecordError, match=message):
                dataset.header(source)
        else:
            assert "True or False" in source.problem


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((3, 13), (3, 13)),
        ((3, 12), (3, 12)),
        ((4, 13), (4, 13)),
        ((0, 16), (0, 16)),
        ((5, 15), (1, 15)),
        ((2, 9), (2, 14)),
    ],
)
def test_padding_is_symmetric(there: tuple[int, int], expected: tuple[int, int]) -> None:
    tracing = np.zeros((16, 12))
    tracing[slice(*there)] = 1
    assert strip_padding(tracing) == expected
    with pytest.raises(RecordError, match="zero"):
        strip_padding(np.zeros((16, 12)))


def mimic(folder: Path) -> Path:
    for study in ("100", "101", "102", "103"):
        write_wfdb(folder / "files" / "p1", study, synthetic_signal(60), MIMIC_ORDER)
    records = [
        f"{patient},{study},{study},2180-07-23 08:44:00,files/p1/{study}"
        for patient, study in (("1", "100"), ("1", "101"), ("2", "102"), ("3", "103"))
    ]
    (folder / "record_list.csv").write_text("\n".join(["subject_id,study_id,file_name,ecg_time,path", *records]) + "\n")
    statements = ",".join(f"report_{i}" for i in range(18))
    rows = ["2,102," + "Sinus rhythm," + "," * 16 + "Last one,29999", "1,100," + "A" + "," * 18 + "700"]
    (folder / "machine_measurements.csv").write_text(
        f"subject_id,study_id,{statements},rr_interval\n" + "\n".join(rows) + "\n"
    )
    return folder


ICD_COLUMNS = (
    "file_name,study_id,subject_id,ecg_time,ed_stay_id,ed_hadm_id,hosp_hadm_id,ed_diag_ed,ed_diag_hosp,hosp_diag_hosp,"
    "all_diag_hosp,all_diag_all,gender,age,anchor_year,anchor_age,dod,ecg_no_within_stay,ecg_taken_in_ed,"
    "ecg_taken_in_hosp,ecg_taken_in_ed_or_hosp,fold,strat_fold"
)
ICD_ROWS = (
    "x/100,100,1,t,30000001.0,,22,\"['I2510', 'E785']\",[],[],[],\"['I2510', 'E785', 'I2510']\",F,52.0,2180,52,,0,True,"
    "False,True,18,3",
    "x/101,101,1,t,,,,[],[],[],[],[],F,52.0,2180,52,,-1,False,False,False,18,3",
    "x/102,102,2,t,,,,[],[],[],[],['Z'+'9'],M,70,2180,70,,1,False,True,True,4,4",
)


@pytest.mark.parametrize("place", ["ecg", ".", "mimic-iv-ecg-ext-icd-labels-1.0.1"])
def test_diagnoses_join_by_study_wherever_their_table_lies(tmp_path: Path, place: str) -> None:
    folder = mimic(tmp_path / "ecg")
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "records_w_diag_icd10.csv").write_text("\n".join([ICD_COLUMNS, *ICD_ROWS]) + "\n")
    dataset = find_dataset(folder)
    assert (dataset.name, dataset.code_system) == ("mimic-iv-ecg-ext-icd", "icd10")
    one, none, broken, unknown = settle(dataset.sources())
    row = dataset.row(one, read(dataset, one))
    assert row["labels"] == row["all_diag_all"] == row["ed_diag_ed"] == ["I2510", "E785"]
    assert (row["hosp_diag_hosp"], row["ed_stay_id"], row["hosp_hadm_id"]) == ([], "30000001", "22")
    assert (row["fold"], row["icd_fold"], row["strat_fold"], row["ecg_no_within_stay"]) == (9, 18, 3, 0)
    assert (row["ecg_taken_in_ed"], row["ecg_taken_in_hosp"], row["sex"], row["age"]) == (True, False, "F", 52)
    assert row["report"] == "A"
    assert (none.labels, none.fold) == ((), 9)
    assert "all_diag_all holds" in broken.problem
    assert unknown.fold in range(1, 9), "a patient without a row is for training"


def test_mimic_reports_join_by_study_and_leads_go_by_name(tmp_path: Path) -> None:
    dataset = find_dataset(mimic(tmp_path / "ecg"))
    assert dataset.name == "mimic-iv-ecg"
    sources = {source.record_id: source for source in dataset.sources()}
    assert sources["102"].report == "Sinus rhythm\nLast one"
    assert sources["101"].report is None
    assert (sources["100"].extra["rr_interval"], sources["102"].extra["rr_interval"]) == (700, None)
    recording = read(dataset, sources["100"])
    assert recording.leads == MIMIC_ORDER
    ordered, mine = recording.ordered(), synthetic_signal(60)
    np.testing.assert_allclose(ordered.signal[4], mine[5], atol=1e-3)


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("[]", ()),
        ("", ()),
        (None, ()),
        ("['I10']", ("I10",)),
        ("[ 'I10' ,'E785', ]", ("I10", "E785")),
        ("['I10', 'I10']", ("I10",)),
        ("['  I10 ', '']", ("I10",)),
    ],
)
def test_lists_of_codes(cell: str | None, codes: tuple[str, ...]) -> None:
    assert parse_codes(cell, "c") == codes


@pytest.mark.parametrize("cell", ["I10", "['I10'", "[I10]", "['a'+'b']", "__import__('os')", "['a' 'b']", "{'a'}"])
def test_what_is_no_list_is_never_evaluated(cell: str) -> None:
    with pytest.raises(RecordError, match="a list such as"):
        parse_codes(cell, "c")


def manifest(folder: Path, rows: list[str], columns: str = "path,fs,leads,unit") -> Dataset:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.csv").write_text("\n".join([columns, *rows]) + "\n")
    return find_dataset(folder)


def test_a_manifest_of_arrays(tmp_path: Path) -> None:
    signal = synthetic_signal(60)
    np.save(tmp_path / "a.npy", signal)
    np.save(tmp_path / "b.npy", np.rint(signal[[0, 1, 7]] * 1000).T.astype(np.int16))
    savemat(tmp_path / "c.mat", {"val": signal[:2] * 1000, "note": "x"})
    columns = "path,fs,leads,unit,orientation,record_id,patient_id,age,sex,labels,fold,report,device"
    rows = [
        "a.npy,500,12,mV,,one,p1,61,male,NORM; SR,3,all well,X",
        'b.npy,250,"i, -II V2",uV,,two,,,,,9,,',
        "c.mat,100,I;V1,NU,LT,,,,,,10,,",
    ]
    dataset = manifest(tmp_path, rows, columns)
    assert dataset.name == "manifest"
    one, two, three = settle(dataset.sources())
    assert [source.record_id for source in (one, two, three)] == ["one", "two", "c.mat"]
    first, second, third = (read(dataset, source) for source in (one, two, three))
    np.testing.assert_array_equal(first.signal, signal)
    assert (second.leads, second.fs, second.unit) == (("I", "II", "V2"), 250, "mV")
    assert second.stored is not None
    np.testing.assert_array_equal(second.stored, np.rint(signal[[0, 1, 7]] * 1000) * [[1], [-1], [1]])
    assert (third.leads, third.unit) == (("I", "V1"), "NU")
    np.testing.assert_allclose(third.signal, signal[:2] * 1000)
    row = dataset.row(one, first)
    assert (row["labels"], row["fold"], row["age"], row["sex"]) == (["NORM", "SR"], 3, 61, "M")
    assert (row["report"], row["patient_id"], row["device"]) == ("all well", "p1", "X")


def test_a_manifest_tells_what_is_wrong(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((12, 12)))
    np.save(tmp_path / "o.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.zeros((2, 50)))
    (tmp_path / "s.npy").write_bytes((tmp_path / "s.npy").read_bytes()[:-8])
    savemat(tmp_path / "two.mat", {"a": np.zeros((2, 9)), "b": np.zeros((2, 9))})
    cases = {
        "a.npy,500,12,mV": "orientation to LT or TL",
        "a.npy,500,limb,mV": "shape",
        "a.npy,0,12,mV": "rate in Hz",
        "a.npy,500,12,furlong": "mV, uV, V, or NU",
        "../a.npy,500,12,mV": "leads out",
        "o.npy,500,I,mV": "numbers",
        "s.npy,500,2,mV": "cut short",
        "two.mat,500,2,mV": "one matrix",
        "x.csv,500,2,mV": "npy nor a .mat",
        "none.npy,500,2,mV": "FileNotFound",
    }
    dataset = manifest(tmp_path, list(cases))
    for source, message in zip(dataset.sources(), cases.values(), strict=True):
        with pytest.raises(RecordError, match=message):
            dataset.header(source)


def memory_copy(folder: Path) -> Path:
    """The same files behind fsspec."""
    upath = pytest.importorskip("upath")
    root = upath.UPath(f"memory://{folder.as_posix().lstrip('/')}")
    for file in folder.rglob("*"):
        if file.is_file():
            target = root / file.relative_to(folder).as_posix()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return root


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: mimic(folder),
        lambda folder: code15(folder),
        lambda folder: cpsc_mat(folder, "Recording,First_label\nA0001,5\nA0002,2\n"),
        lambda folder: write_challenge(folder / "g1", "E00001", "1"),
        lambda folder: write_wfdb(folder / "x", "r", synthetic_signal(60)),
    ],
    ids=["mimic", "code15", "cpsc", "georgia", "wfdb"],
)
def test_a_remote_folder_is_read_as_a_local_one(tmp_path: Path, make: Callable[[Path], object]) -> None:
    folder = tmp_path / "data"
    make(folder)
    local, remote = find_dataset(folder), find_dataset(memory_copy(folder))
    assert local.name == remote.name
    assert list(local.sources()) == list(remote.sources())
    for source in list(local.sources())[:3]:
        here, there = read(local, source), read(remote, source)
        assert (here.leads, here.fs, here.unit, here.comments) == (there.leads, there.fs, there.unit, there.comments)
        np.testing.assert_array_equal(here.signal, there.signal)


def test_remote_records_that_are_not_plain_are_copied_for_wfdb(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "wfdb-odd" / "041s"
    local, remote = find_dataset(folder), find_dataset(memory_copy(folder))
    (source,) = remote.sources()
    np.testing.assert_array_equal(read(local, source).signal, read(remote, source).signal)


def test_a_remote_folder_is_not_left(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_wfdb(folder, "r", synthetic_signal(60))
    header = folder / "r.hea"
    header.write_text(header.read_text().replace("r.dat", "../r.dat"))
    dataset = find_dataset(memory_copy(folder))
    with pytest.raises(RecordError, match="leads out of"):
        dataset.header(dataset.sources()[0])
