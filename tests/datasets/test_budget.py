"""The budget of a record: what a file claims is checked before it is believed."""

import gzip
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from ecgkit.datasets.budget import check_inflated, check_memory, memory_budget, time_budget
from ecgkit.datasets.matlab import load_arrays
from ecgkit.datasets.tables import read_table
from ecgkit.errors import DatasetError, RecordError


def test_a_compressed_bomb_is_refused_and_an_honest_file_is_read(tmp_path: Path) -> None:
    array = np.arange(24_000, dtype=np.int16).reshape(12, 2000)
    savemat(tmp_path / "good.mat", {"val": array}, do_compression=True)
    np.testing.assert_array_equal(load_arrays(tmp_path / "good.mat")["val"], array)
    bomb = zlib.compress(bytes(64 * 2**20), 9)
    head = (tmp_path / "good.mat").read_bytes()[:128]
    (tmp_path / "bomb.mat").write_bytes(head + struct.pack("<II", 15, len(bomb)) + bomb)
    with memory_budget(32), pytest.raises(RecordError, match=r"bomb\.mat unpacks to more than 32 MB"):
        load_arrays(tmp_path / "bomb.mat")


def test_many_small_parts_count_together() -> None:
    part = zlib.compress(bytes(2**20), 9)
    with memory_budget(4.5):
        check_inflated([part] * 4, "few")
        with pytest.raises(RecordError, match="many unpacks"):
            check_inflated([part] * 5, "many")


def test_memory_is_that_of_the_innermost_budget() -> None:
    check_memory(2**20, "r")
    with memory_budget(7.9), pytest.raises(RecordError, match="r needs 8 MB of memory; expected at most 8 MB"):
        check_memory(2**20, "r")


def test_the_time_budget_stops_a_read_and_leaves_no_timer() -> None:
    with pytest.raises(RecordError, match=r"took more than 0\.05 s"), time_budget(0.05):
        while True:
            pass
    with time_budget(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_packed_table_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "reports.csv.gz"
    table.write_bytes(gzip.compress(b"id,report\n" + b"1,sinus rhythm\n" * 200))
    assert len(read_table(table)) == 200
    monkeypatch.setattr("ecgkit.datasets.table_files.LARGEST_CSV", 1000)
    with pytest.raises(DatasetError, match="unpacks to more than 1000 bytes"):
        read_table(table)
