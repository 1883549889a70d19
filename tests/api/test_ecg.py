"""One ECG from a file of any kind, without a store, as python.md shows."""

from pathlib import Path

import numpy as np
import pytest

import ecgkit
from ecgkit.errors import DatasetError, LeadError, RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.store.reader import Store
from tests.datasets import vendor_files as make


def test_a_file_is_read_as_an_ingest_reads_it(tmp_path: Path) -> None:
    file = make.write_muse(tmp_path / "x.xml", make.counts(1000, 8))
    recording = ecgkit.read_ecg(file)
    assert recording.leads == STANDARD_LEADS
    assert recording.derived == ("III", "aVR", "aVL", "aVF")
    assert (recording.facts["patient_id"], recording.facts["heart_rate"]) == ("P9", 72)
    assert "patient_name" not in recording.facts
    assert ecgkit.read_ecg(file, keep_identity=True).facts["patient_name"] == make.PERSON
    ecgkit.ingest(file, out=tmp_path / "s.zarr")
    stored = Store(tmp_path / "s.zarr").recording(0)
    np.testing.assert_allclose(stored.signal, recording.signal, atol=0.0006)


def test_leads_and_rate_can_be_chosen(tmp_path: Path) -> None:
    recording = ecgkit.read_ecg(make.write_dicom(tmp_path / "x", make.counts(1000)), leads="V6,I", fs=250)
    assert (recording.leads, recording.fs, recording.signal.shape) == (("V6", "I"), 250, (2, 500))
    with pytest.raises(LeadError, match="V4R"):
        ecgkit.read_ecg(tmp_path / "x", leads="V4R")


def test_files_that_are_no_ecg(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(DatasetError, match="layout"):
        ecgkit.read_ecg(tmp_path / "x.txt")
    with pytest.raises(DatasetError, match="does not exist"):
        ecgkit.read_ecg(tmp_path / "none.xml")
    (tmp_path / "x.scp").write_bytes(bytes(100))
    with pytest.raises(RecordError, match="no known kind"):
        ecgkit.read_ecg(tmp_path / "x.scp")
