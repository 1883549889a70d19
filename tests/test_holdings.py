"""A folder of mixed things says what it holds by kind and count, and which option takes each kind."""

from pathlib import Path

import numpy as np
import pytest

import ecgkit
from ecgkit.errors import DatasetError
from ecgkit.ingestion import find_dataset
from tests.conftest import synthetic_signal, write_wfdb
from tests.datasets import vendor_files as make


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    for name in ("a", "b"):
        write_wfdb(folder / "wfdb", name, synthetic_signal(500))
    make.write_sierra(folder / "export.xml", make.counts(1000))
    np.save(folder / "signals.npy", synthetic_signal(500))
    (folder / "more.zip").write_bytes(b"")
    return folder


def test_what_a_recognised_folder_holds_besides_is_said(mixed: Path, tmp_path: Path) -> None:
    report = ecgkit.ingest(mixed, out=tmp_path / "s.zarr")
    assert (report.dataset, report.taken) == ("wfdb", 2)
    (said,) = [line for line in report.findings if line.startswith("not taken")]
    assert said.startswith("not taken, since they are of another kind: ")
    for part in ("1 file .xml (--dataset vendor)", "1 file .npy (--dataset arrays)"):
        assert part in said
    assert "1 file .zip (name the file itself)" in said
    assert ".dat" not in said and ".hea" not in said


def test_the_option_that_is_named_takes_them(mixed: Path, tmp_path: Path) -> None:
    report = ecgkit.ingest(mixed, out=tmp_path / "s.zarr", dataset="vendor")
    assert report.taken == 1
    assert any("2 files .hea (--dataset wfdb)" in line for line in report.findings)


def test_a_folder_of_one_kind_says_nothing(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "src", "a", synthetic_signal(500))
    assert find_dataset(tmp_path / "src").findings == []


def test_an_unknown_folder_names_the_option_of_each_kind(tmp_path: Path) -> None:
    for name in ("notes.txt", "more.txt", "ecg.tar.gz"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DatasetError) as error:
        find_dataset(tmp_path)
    assert "it holds 2 files .txt, 1 file .gz (name the file itself)" in str(error.value)
