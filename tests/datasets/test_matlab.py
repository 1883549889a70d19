"""Matlab files of archives: their arrays, and files that claim or unpack to too much."""

import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from ecgkit.datasets.budget import memory_budget
from ecgkit.datasets.matlab import load_arrays
from ecgkit.errors import RecordError


def test_arrays_and_fields_are_found_by_name(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"ecg": np.arange(6).reshape(2, 3), "s": {"fs": 500.0}, "note": "words"})
    arrays = load_arrays(tmp_path / "a.mat")
    assert set(arrays) == {"ecg", "fs"}
    assert arrays["ecg"].shape == (2, 3) and arrays["fs"].item() == 500


def test_a_file_that_unpacks_to_more_than_a_record_may_need_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "bomb.mat", {"x": np.zeros((12, 400_000))}, do_compression=True)
    with memory_budget(8), pytest.raises(RecordError, match="unpacks to more than 8 MB"):
        load_arrays(tmp_path / "bomb.mat")


def test_a_claimed_size_is_compared_before_memory_is_taken(tmp_path: Path) -> None:
    savemat(tmp_path / "claim.mat", {"x": np.zeros((2, 3))}, format="4")
    content = bytearray((tmp_path / "claim.mat").read_bytes())
    content[4:12] = struct.pack("<ii", 1 << 15, 1 << 15)  # rows and columns of a file of version 4
    (tmp_path / "claim.mat").write_bytes(content)
    with pytest.raises(RecordError, match="MB of memory"):
        load_arrays(tmp_path / "claim.mat")
