"""Chunks that are read directly are those that Zarr reads, and a damaged shard is refused."""

from pathlib import Path

import numpy as np
import pytest

from ecgkit.errors import StoreError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.microvolts import MISSING
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("ecgkit.store.format._CHUNK_RECORDS", 4)
    monkeypatch.setattr("ecgkit.store.format._SHARD_CHUNKS", 2)
    recordings = [Recording(synthetic_signal(200 + n, seed=n), 100.0, STANDARD_LEADS) for n in range(19)]
    return make_store(tmp_path / "s.zarr", recordings)


def test_it_reads_what_zarr_reads(store: Store) -> None:
    assert store._shards.is_able
    whole = np.asarray(store._array[:])
    for start, stop in ((0, 19), (0, 4), (3, 5), (7, 9), (18, 19), (5, 5), (0, 1)):
        np.testing.assert_array_equal(store._shards.read(start, stop), whole[start:stop])


def test_what_is_absent_holds_no_sample(store: Store) -> None:
    next(store.path.glob("signal/c/1/0/0")).unlink()
    assert (store._shards.read(8, 16) == MISSING).all()
    with pytest.raises(StoreError, match="the file does not exist"):
        store.signals(8, 16)


@pytest.mark.parametrize("damage", ["index", "truncated", "chunk", "empty"])
def test_a_damaged_shard_is_one_error(store: Store, damage: str) -> None:
    file = next(store.path.glob("signal/c/0/0/0"))
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        content = content[100:]
    elif damage == "empty":
        content = bytearray()
    else:
        content[-20 if damage == "index" else 40] ^= 255
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot be read|is damaged"):
        store.signals(0, 8)


def test_a_store_with_long_records_is_read_by_zarr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.store.format._WHOLE_SAMPLES", 100)
    recordings = [Recording(synthetic_signal(n, 2), 100.0, ("I", "II")) for n in (100, 100, 100, 5000)]
    store = make_store(tmp_path / "s.zarr", recordings, ("I", "II"))
    assert not store._shards.is_able
    np.testing.assert_allclose(store.recording(3).signal, synthetic_signal(5000, 2), atol=0.51e-3)
