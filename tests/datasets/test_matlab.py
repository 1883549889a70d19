"""Matlab files of archives: their arrays, and files that claim or unpack to too much."""

import io
import struct
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat

from ecgkit.datasets.budget import memory_budget
from ecgkit.datasets.matlab import check_matrices, load_arrays
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


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("change", ["no type", "type of a matrix", "missing", "shape of text"])
def test_parts_of_impossible_types_are_refused_before_scipy_reads_them(compressed: bool, change: str) -> None:
    """Scipy looks a type up in a table without asking whether it is there, which ends the process."""
    buffer = io.BytesIO()
    savemat(buffer, {"val": np.arange(24.0).reshape(2, 12)})
    sound = buffer.getvalue()
    at = sound.index(b"val") - 4  # the small element that holds the name, before the numbers
    damaged = bytearray(sound)
    if change == "no type":
        damaged[at + 8 : at + 16] = bytes(8)
    elif change == "type of a matrix":
        damaged[at + 8] = 14
    elif change == "shape of text":
        damaged[at - 16] = 16
    else:
        del damaged[at + 8 :]
        damaged[132:136] = (len(damaged) - 136).to_bytes(4, "little")
    for content, is_sound in ((sound, True), (bytes(damaged), False)):
        if compressed:
            packed = zlib.compress(content[128:])
            content = content[:128] + b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed
        with nullcontext() if is_sound else pytest.raises(RecordError, match=r"r\.mat is damaged"):
            check_matrices(content, "r.mat")
        if is_sound:
            assert loadmat(io.BytesIO(content))["val"].shape == (2, 12)


def test_sound_files_of_many_releases_are_not_refused() -> None:
    folder = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data"
    files = sorted(folder.glob("*.mat"))
    if not files:
        pytest.skip("scipy was installed without its tests")
    refused = set()
    for file in files:
        try:
            check_matrices(file.read_bytes(), file.name)
        except RecordError:
            refused.add(file.name)
    assert refused <= {"corrupted_zlib_checksum.mat", "malformed1.mat"}
