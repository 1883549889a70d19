"""`inspect --verify` compares every record and every view with its checksum."""

from pathlib import Path

import pytest

from ecgkit.errors import StoreError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.verification import verify_store
from ecgkit.store.views import open_view
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store

SPECS = [SignalSpec(fs=fs, seconds=2, window=2) for fs in (100, 50)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    recordings = [Recording(synthetic_signal(300, seed=n), 100.0, STANDARD_LEADS) for n in range(5)]
    made = make_store(tmp_path / "s.zarr", recordings)
    for spec in SPECS:
        open_view(made, spec)
    return made


def test_all_that_is_whole_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = set()
    found = verify_store(store, lambda stage, done, total: stages.add((stage.split()[0], done == total)))
    assert (found.records, found.views, found.rows, found.outdated) == (5, 2, 10, ())
    assert {("records", True), ("view", True)} <= stages
    monkeypatch.setattr("ecgkit.store.view_rows.source_hash", lambda names: "another release")
    assert sorted(verify_store(store).outdated) == sorted(spec.view_key() for spec in SPECS)


@pytest.mark.parametrize("place", ["views/*/signal.npy", "signal/c/0/0/0"])
def test_one_flipped_bit_is_found(store: Store, place: str) -> None:
    file = sorted(store.path.glob(place))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged|cannot be read"):
        verify_store(Store(store.path))


def test_the_command_says_so(ecgkit, store: Store) -> None:
    done = ecgkit("inspect", str(store.path), "--verify")
    assert "5 records and 10 rows of 2 views are as they were stored" in done.out + done.err
