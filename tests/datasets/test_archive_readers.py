"""Archives in arrays: tiny folders in the publisher's layout, and the samples, labels and patients that they hold."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from ecgkit.datasets.base import Dataset, settle
from ecgkit.errors import RecordError
from ecgkit.ingestion import find_dataset
from ecgkit.leads import STANDARD_LEADS
from tests.conftest import synthetic_signal, write_wfdb


def rows_of(dataset: Dataset) -> dict[str, dict]:
    rows = [dataset.row(s, dataset.read(s, dataset.header(s))) for s in settle(dataset.sources())]
    return {row["record_id"]: row for row in rows}


def signal_of(dataset: Dataset, number: int = 0) -> np.ndarray:
    source = dataset.sources()[number]
    return dataset.read(source, dataset.header(source)).signal


def test_code_test_has_labels_of_a_consensus_and_of_annotators(tmp_path: Path) -> None:
    tracings = np.zeros((2, 64, 12), np.float32)
    tracings[0, 10:54] = synthetic_signal(44).T + 0.001
    tracings[1] = synthetic_signal(64, seed=1).T + 0.001
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    with h5py.File(data / "ecg_tracings.hdf5", "w") as file:
        file["tracings"] = tracings
    (data / "attributes.csv").write_text("age,sex\n50,M\n61,F\n")
    for name, rows in (
        ("gold_standard", "0,1,0,0,0,1\n0,0,0,0,0,0\n"),
        ("cardiologist1", "1,0,0,0,0,0\n0,0,0,0,0,0\n"),
    ):
        (data / "annotations" / f"{name}.csv").write_text(f"1dAVb,RBBB,LBBB,SB,AF,ST\n{rows}")
    dataset = find_dataset(tmp_path)
    rows = rows_of(dataset)
    assert dataset.name == "code-test"
    assert [sorted(row["labels"]) for row in rows.values()] == [["RBBB", "ST"], []]
    assert (rows["0"]["labels_cardiologist1"], rows["0"]["labels_cardiologist2"]) == (["1dAVb"], None)
    assert (rows["1"]["sex"], rows["1"]["age"], rows["1"]["patient_id"]) == ("F", 61, "1")
    np.testing.assert_array_equal(signal_of(dataset), tracings[0, 10:54].T)
    assert dataset.header(dataset.sources()[0]).leads[3:6] == ("aVL", "aVF", "aVR")


def test_mimic_iv_ecg_names_the_note_of_a_cardiologist(tmp_path: Path) -> None:
    (tmp_path / "record_list.csv").write_text("subject_id,study_id,path\n10,40,files/a\n11,41,files/b\n")
    links = (
        "subject_id,study_id,waveform_path,note_id,note_seq,charttime\n10,40,files/a,10-EK-1,1,2150-01-01 10:00:00\n"
    )
    (tmp_path / "waveform_note_links.csv").write_text(links)
    noted, other = find_dataset(tmp_path).sources()
    names = ("note_id", "note_seq", "note_time")
    assert [noted.extra[name] for name in names] == ["10-EK-1", "1", "2150-01-01 10:00:00"]
    assert [other.extra[name] for name in names] == [None, None, None]


def test_sph_has_statements_with_modifiers(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    rows = "A00001,60+310;22,S1,44,M,100,2020-01-01\nA00002,1,S1,45,F,100,2020-01-02\nA00003,1,S2,45,F,9,2020-01-02\n"
    (tmp_path / "metadata.csv").write_text(f"ECG_ID,AHA_Code,Patient_ID,Age,Sex,N,Date\n{rows}")
    for number in (1, 2):
        with h5py.File(tmp_path / "records" / f"A0000{number}.h5", "w") as file:
            file["ecg"] = synthetic_signal(100, seed=number).astype(np.float16)
    dataset = find_dataset(tmp_path)
    sources = settle(dataset.sources())
    assert (dataset.name, sources[0].labels, sources[0].patient_id) == ("sph", ("60+310", "22"), "S1")
    assert sources[0].fold == sources[1].fold
    np.testing.assert_array_equal(signal_of(dataset), synthetic_signal(100, seed=1).astype(np.float16))
    with pytest.raises(RecordError, match="FileNotFound"):
        dataset.header(sources[2])


def test_an_hdf5_array_that_lies_in_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "metadata.csv").write_text("ECG_ID,AHA_Code,Patient_ID\nA00001,1,S1\nA00002,1,S1\n")
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file["ecg"] = synthetic_signal(100)
    with h5py.File(tmp_path / "records" / "A00001.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("../elsewhere.h5", "/ecg")
    with h5py.File(tmp_path / "records" / "A00002.h5", "w") as file:
        file.create_dataset("ecg", (12, 100), "f4", external=[("../elsewhere.h5", 0, 4800)])
    dataset = find_dataset(tmp_path)
    for source, message in zip(dataset.sources(), ["no array ecg of its own", "lie in another file"], strict=True):
        with pytest.raises(RecordError, match=message):
            dataset.header(source)


def test_zzu_has_children_with_ages_in_days(tmp_path: Path) -> None:
    nine = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V3", "V5")
    folder = tmp_path / "Child_ecg" / "P00"
    write_wfdb(folder / "P00001", "P00001_E01", synthetic_signal(100))
    write_wfdb(folder / "P00002", "P00002_E01", synthetic_signal(100, 9), nine)
    columns = "Filename,ECG_ID,Patient_ID,Age,Gender,Lead,AHA_code,CHN_code,ICD-10 code"
    lines = [
        "P00/P00001/P00001_E01,P00001_E01,P00001,731d,'Female',12,'C21',\"'C13'\",'Q21.0'",
        "P00/P00002/P00002_E01,P00002_E01,P00002,4015d,'Male',9,'D31';'Left ventricular high voltage',Null,",
    ]
    (tmp_path / "AttributesDictionary.csv").write_text("\n".join([columns, *lines]) + "\n")
    dataset = find_dataset(tmp_path)
    rows = rows_of(dataset)
    assert dataset.name == "zzu-pecg"
    first, second = rows["P00001_E01"], rows["P00002_E01"]
    assert (first["labels"], first["sex"], first["age_days"]) == (["C21"], "F", 731)
    assert first["age"] == pytest.approx(2.0, abs=0.01)
    assert (first["icd10_codes"], second["icd10_codes"], second["chn_codes"]) == (["Q21.0"], [], [])
    assert second["labels"] == ["D31", "Left ventricular high voltage"]
    assert dataset.header(dataset.sources()[1]).leads == nine


@pytest.mark.parametrize("name", ["echonext_metadata_100k.csv", "EchoNext_metadata_100k.csv"])
def test_echonext_rows_lie_in_the_array_of_their_split(tmp_path: Path, name: str) -> None:
    arrays = {
        split: np.stack([synthetic_signal(50, seed=n).T[None] for n in seeds]).astype(np.float32)
        for split, seeds in {"train": (1, 2), "val": (3,), "test": (4,), "no_split": (5,)}.items()
    }
    for split, array in arrays.items():
        np.save(tmp_path / f"EchoNext_{split}_waveforms.npy", np.ascontiguousarray(array))
    pd.DataFrame(
        {
            "ecg_key": list("abcdef"),
            "patient_key": ["p1", "p2", "p3", "p4", "p4", "p5"],
            "split": ["train", "val", "train", "test", "no_split", "test"],
            "age_at_ecg": [60, 61, 62, 63, 64, 65],
            "sex": ["Male", "Female"] * 3,
            "lvef_lte_45_flag": [1, 0, 0, 0, 0, 0],
            "shd_moderate_or_greater_flag": [1, 0, 1, 0, 0, 0],
        }
    ).to_csv(tmp_path / name, index=False)
    dataset = find_dataset(tmp_path)
    sources = dataset.sources()
    assert dataset.name == "echonext"
    assert sources[0].labels == ("lvef_lte_45", "shd_moderate_or_greater")
    assert [source.fold for source in sources[1:2] + sources[3:6]] == [9, 10, 10, 10], "p4 was published as test"
    assert {sources[0].fold, sources[2].fold} <= set(range(1, 9))
    np.testing.assert_array_equal(signal_of(dataset, 2), arrays["train"][1, 0].T)
    np.testing.assert_array_equal(signal_of(dataset, 3), arrays["test"][0, 0].T)
    with pytest.raises(RecordError, match="the table lists more"):
        dataset.header(sources[5])


def test_cpsc_2019_has_reference_peaks(tmp_path: Path) -> None:
    for folder in ("data", "ref"):
        (tmp_path / folder).mkdir()
    signal = synthetic_signal(200, 1)[0]
    savemat(tmp_path / "data" / "data_00001.mat", {"ecg": signal[:, None]})
    savemat(tmp_path / "ref" / "R_00001.mat", {"R_peak": np.array([[51], [121], [999]])})
    savemat(tmp_path / "data" / "data_00002.mat", {"ecg": np.zeros((3, 4))})
    dataset = find_dataset(tmp_path)
    source, wrong = dataset.sources()
    recording = dataset.read(source, dataset.header(source))
    assert (dataset.name, recording.leads, recording.fs) == ("cpsc2019", ("ECG1",), 500)
    assert recording.rpeaks is not None and recording.rpeaks.tolist() == [50, 120]
    np.testing.assert_array_equal(recording.signal[0], signal)
    with pytest.raises(RecordError, match="no array ecg with one lead"):
        dataset.header(wrong)


def test_cpsc_2020_has_premature_beats(tmp_path: Path) -> None:
    for number in (1, 2):
        savemat(tmp_path / f"A0{number}.mat", {"ecg": synthetic_signal(200, 1)[0][:, None]})
    savemat(tmp_path / "R01.mat", {"ref": {"V_ref": np.array([[11]]), "S_ref": np.zeros((0, 1))}})
    dataset = find_dataset(tmp_path)
    rows = rows_of(dataset)
    assert dataset.name == "cpsc2020"
    assert (rows["A01"]["premature_V"], rows["A01"]["premature_S"]) == ([10], [])
    assert rows["A02"]["premature_V"] is None and rows["A02"]["patient_id"] == "A02"


@pytest.mark.parametrize(("folder", "unit"), [("org", "mV"), ("preprocessed", "NU")])
def test_a_folder_of_fairseq_signals(tmp_path: Path, folder: str, unit: str) -> None:
    (tmp_path / folder).mkdir()
    feats = synthetic_signal(100)
    feats[3] = np.nan
    savemat(tmp_path / folder / "HR00001.mat", {"feats": feats, "curr_sample_rate": 500, "idx": 0})
    pd.DataFrame(
        {
            "save_file": ["HR00001.mat"],
            "source": ["physionet2021"],
            "age": [60],
            "sex": [1],
            "diagnosis": [" 426783006,251146004"],
            "lead_order": [str(list(STANDARD_LEADS))],
        }
    ).to_csv(tmp_path / "meta.csv", index=False)
    dataset = find_dataset(tmp_path)
    row = rows_of(dataset)["HR00001"]
    header = dataset.header(dataset.sources()[0])
    assert dataset.name == "fairseq-signals"
    assert (row["labels"], row["age"], row["sex"]) == (["426783006", "251146004"], 60, "F")
    assert (header.fs, header.unit, header.leads) == (500, unit, tuple(n for n in STANDARD_LEADS if n != "aVR"))
    np.testing.assert_array_equal(signal_of(dataset), np.delete(feats, 3, axis=0))
