from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgkit.errors import ConfigError, OutputError
from ecgkit.simulate import simulate_cohort
from ecgkit.simulate.findings import FINDINGS
from ecgkit.simulate.report import PHRASES

from .conftest import RECORDS

MIMIC_ORDER = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
LABELS = {finding.code: finding.label for finding in FINDINGS.values()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def comments(cohort: Path, path: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in wfdb.rdheader(str(cohort / path)).comments)


@pytest.fixture(scope="module")
def labels(cohort: Path, record_list: pd.DataFrame) -> list[set[str]]:
    return [{LABELS[code] for code in comments(cohort, path)["Dx"].split(",")} for path in record_list["path"]]


def test_layout_is_mimics(cohort: Path, record_list: pd.DataFrame, measurements: pd.DataFrame) -> None:
    shared = ["subject_id", "study_id"]
    assert list(record_list) == [*shared, "file_name", "ecg_time", "path"]
    reports = [f"report_{line}" for line in range(18)]
    times = ["rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis", "t_axis"]
    assert list(measurements) == [*shared, "cart_id", "ecg_time", *reports, "bandwidth", "filtering", *times]
    for row in record_list.itertuples():
        subject = str(row.subject_id)
        assert row.path == f"files/p{subject[:4]}/p{subject}/s{row.study_id}/{row.study_id}"
        assert len(subject) == len(str(row.study_id)) == 8
        assert row.file_name == row.study_id
        assert all((cohort / row.path).with_suffix(suffix).exists() for suffix in (".hea", ".dat", ".atr"))
    assert record_list["ecg_time"].str.match(r"21\d\d-\d\d-\d\d \d\d:\d\d:\d\d$").all()


def test_tables_and_files_join_one_to_one(cohort: Path, record_list: pd.DataFrame, measurements: pd.DataFrame) -> None:
    assert record_list["study_id"].is_unique
    assert len(record_list) == RECORDS
    joined = record_list.merge(measurements, on=["subject_id", "study_id", "ecg_time"], validate="1:1")
    assert len(joined) == RECORDS
    headers = {str(path.relative_to(cohort).with_suffix("")) for path in cohort.rglob("*.hea")}
    assert headers == set(record_list["path"])


def test_several_records_a_patient_with_lasting_age_and_sex(cohort: Path, record_list: pd.DataFrame) -> None:
    counts = record_list.groupby("subject_id").size()
    assert 0.25 < (counts > 1).mean() < 0.55
    several = record_list[record_list["subject_id"].isin(counts[counts > 1].index)]
    for _, rows in several.groupby("subject_id"):
        heads = [comments(cohort, path) for path in rows["path"]]
        ages = [int(head["Age"]) for head in heads]
        assert len({head["Sex"] for head in heads}) == 1
        assert ages == sorted(ages)
        assert all(18 <= age <= 90 for age in ages)
        assert rows["ecg_time"].is_monotonic_increasing


def test_integers_obey_einthoven_and_goldberger(cohort: Path, record_list: pd.DataFrame) -> None:
    for path in record_list["path"][:40]:
        record = wfdb.rdrecord(str(cohort / path), physical=False)
        assert record.sig_name == MIMIC_ORDER
        assert record.d_signal.shape == (5000, 12)
        whole = record.d_signal[(record.d_signal != -32768).all(axis=1)].astype(int)
        rows = dict(zip(record.sig_name, whole.T, strict=True))
        np.testing.assert_array_equal(rows["III"], rows["II"] - rows["I"])
        assert np.abs(rows["aVR"] + (rows["I"] + rows["II"]) / 2).max() <= 1
        assert np.abs(rows["aVL"] - (rows["I"] - rows["II"] / 2)).max() <= 1
        assert np.abs(rows["aVF"] - (rows["II"] - rows["I"] / 2)).max() <= 1


@pytest.mark.slow
def test_annotations_mark_beats_of_the_signal(cohort: Path, record_list: pd.DataFrame, labels: list[set[str]]) -> None:
    for path, found in zip(record_list["path"][:40], labels, strict=False):
        beats = wfdb.rdann(str(cohort / path), "atr")
        assert ("V" in beats.symbol) == ("PVC" in found)
        assert set(beats.symbol) <= {"N", "V"}
        signal = np.nan_to_num(wfdb.rdrecord(str(cohort / path)).p_signal)
        steep = np.linalg.norm(np.gradient(signal, axis=0), axis=1)
        around = [steep[max(0, peak - 20) : peak + 21].max() for peak in beats.sample]
        assert np.median(around) > 5 * np.median(steep)


def test_rates_and_intervals_fit_the_labels(measurements: pd.DataFrame, labels: list[set[str]]) -> None:
    for row, found in zip(measurements.itertuples(), labels, strict=True):
        rate = 60_000 / row.rr_interval
        assert ("AF" in found) == (row.p_onset == row.p_end == row.p_axis == 29999)
        assert ("SB" in found) <= (rate < 60)
        assert ("STach" in found) <= (rate > 100)
        assert ("NSR" in found) <= (60 <= rate <= 100)
        assert bool(found & {"LBBB", "RBBB"}) == (row.qrs_end - row.qrs_onset >= 120)
        if "AF" not in found:
            assert ("IAVB" in found) == (row.qrs_onset - row.p_onset > 200)


def test_reports_tell_the_findings(measurements: pd.DataFrame, labels: list[set[str]]) -> None:
    reports = measurements.filter(like="report_").fillna("")
    for lines, found in zip(reports.itertuples(index=False), labels, strict=True):
        text = " / ".join(lines)
        for label in found - {"AF"}:
            phrases = [phrase for key in FINDINGS if FINDINGS[key].label == label for phrase in PHRASES[key]]
            assert any(phrase in text for phrase in phrases)
        assert ("AF" not in found) or any(phrase in text for phrase in PHRASES["AF"])


def test_summary_counts_what_the_headers_hold(tmp_path: Path) -> None:
    summary = simulate_cohort(tmp_path / "c", records=30, seed=5, seconds=3.0)
    table = pd.read_csv(tmp_path / "c" / "record_list.csv")
    counts = Counter(LABELS[code] for path in table["path"] for code in comments(tmp_path / "c", path)["Dx"].split(","))
    assert summary.records == 30
    assert summary.patients == table["subject_id"].nunique()
    assert {label: count for label, count in summary.labels.items() if count} == counts


def test_same_seed_same_bytes_and_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_cohort(tmp_path / name, records=12, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert dict(contents(tmp_path / "a").items() & contents(tmp_path / "c").items()).keys() == {".ecgkit"}


def test_rate_and_length_are_as_asked(tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "c", records=2, fs=250.0, seconds=4.0)
    for path in (tmp_path / "c").rglob("*.hea"):
        header = wfdb.rdheader(str(path.with_suffix("")))
        assert (header.fs, header.sig_len) == (250, 1000)


def test_what_is_there_stays_unless_told(tmp_path: Path) -> None:
    out = tmp_path / "c"
    simulate_cohort(out, records=2)
    before = contents(out)
    with pytest.raises(OutputError, match="exists"):
        simulate_cohort(out, records=3, seed=1)
    assert contents(out) == before
    simulate_cohort(out, records=3, seed=1, overwrite=True)
    assert len(list(out.rglob("*.hea"))) == 3


def test_a_folder_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="ecgkit did not make it"):
        simulate_cohort(tmp_path, records=2, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_failure_midway_leaves_nothing(tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        if done == 3:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        simulate_cohort(tmp_path / "c", records=5, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_up_to_the_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    simulate_cohort(tmp_path / "c", records=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "wrong", [{"records": 0}, {"records": 3, "seed": -1}, {"records": 3, "fs": 10.0}, {"records": 3, "seconds": 0.5}]
)
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ConfigError):
        simulate_cohort(tmp_path / "c", **wrong)
    assert list(tmp_path.iterdir()) == []
