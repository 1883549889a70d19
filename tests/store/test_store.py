import pickle
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import LeadError, OutputError, StoreError
from ecgkit.executor import open_executor
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.microvolts import LIMIT, MISSING, decode, encode
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store import views
from ecgkit.store.assembly import assemble
from ecgkit.store.format import Layout
from ecgkit.store.reader import Store
from ecgkit.store.summary import count_flags, overlap, summarize
from ecgkit.store.views import open_view
from ecgkit.store.writer import LedgerRow, open_part
from tests.conftest import synthetic_signal


@given(st.lists(st.floats(-32.767, 32.767) | st.just(float("nan")), min_size=1))
def test_encoding_is_exact_to_half_a_microvolt(values: list[float]) -> None:
    signal = np.array(values)
    stored, clipped = encode(signal)
    assert clipped == 0
    back = decode(stored)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(signal))
    known = np.isfinite(signal)
    # Half a microvolt, and what float32 cannot hold of 32 mV.
    assert (np.abs(back[known].astype(float) - signal[known]) <= 0.5e-3 + 2e-6).all()


def test_what_does_not_fit_is_cut_and_counted() -> None:
    stored, clipped = encode(np.array([40.0, -40.0, np.inf, 1.0, np.nan]))
    assert clipped == 3
    assert stored.tolist() == [LIMIT, -LIMIT, LIMIT, 1000, MISSING]


@pytest.mark.parametrize(
    ("leads", "samples", "expected"), [(12, 1000, (64, 2048)), (12, 5000, (16, 512)), (2, 650_000, (1, 24))]
)
def test_chunks_and_shards_stay_within_memory(leads: int, samples: int, expected: tuple[int, int]) -> None:
    layout = Layout.of(STANDARD_LEADS[:leads], {samples: 1})
    assert (layout.chunk, layout.shard) == expected
    assert layout.shard * leads * samples * 2 <= 65e6


def make_store(folder: Path, recordings: list[Recording], leads: tuple[str, ...] = STANDARD_LEADS) -> Store:
    layout = Layout.of(leads, Counter(r.samples for r in recordings))
    parts = folder.with_name(f"{folder.name}.parts")
    parts.mkdir(exist_ok=True)
    for index, first in enumerate(range(0, len(recordings), layout.shard)):
        with open_part(layout, parts, index) as writer:
            for i, recording in enumerate(recordings[first : first + layout.shard], first):
                row = {"record_id": f"r{i}", "patient_id": f"p{i}", "fold": i % 10 + 1, "labels": ["X"], "report": None}
                writer.append(recording, row)
    attributes = {"dataset": "test", "code_system": "scp"}
    rejected = [LedgerRow("bad", "bad", "header", "why")]
    assemble(parts, folder, layout, slots=len(recordings), rejected=rejected, attributes=attributes)
    return Store(folder)


def test_records_of_different_leads_lengths_and_rates_come_back_as_they_were(tmp_path: Path) -> None:
    gappy = synthetic_signal(800)
    gappy[3, 10:20] = np.nan
    recordings = [
        Recording(synthetic_signal(1000), 500.0, STANDARD_LEADS),
        Recording(gappy, 400.0, STANDARD_LEADS, rpeaks=np.array([5, 300])),
        Recording(synthetic_signal(300, 2), 100.0, ("V2", "I"), "NU", ("v2", "i"), (), ("RESP",)),
    ]
    store = make_store(tmp_path / "s.zarr", recordings)
    for row, recording in enumerate(recordings):
        back = store.recording(row)
        order = [recording.leads.index(lead) for lead in back.leads]
        np.testing.assert_allclose(back.signal, recording.signal[order], atol=0.5e-3 + 1e-6, equal_nan=True)
        assert (back.fs, back.unit, set(back.leads)) == (recording.fs, recording.unit, set(recording.leads))
        assert back.other == recording.other
    assert store.recording(1).rpeaks.tolist() == [5, 300]  # type: ignore[union-attr]
    assert store.recording(0).rpeaks is None
    assert store.table["flags"].map(list).map(lambda flags: "missing" in flags).tolist() == [False, True, False]
    assert store.quality["missing"][1, 3] == pytest.approx(10 / 800)
    assert store.ledger.to_dict("records") == [{"record_id": "bad", "path": "bad", "stage": "header", "reason": "why"}]
    assert store.row("r2") == 2
    with pytest.raises(StoreError, match="r0"):
        store.row("nobody")


def test_shards_are_written_in_order_across_their_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.store.format._CHUNK_RECORDS", 2)
    monkeypatch.setattr("ecgkit.store.format._SHARD_CHUNKS", 2)
    recordings = [Recording(synthetic_signal(50, seed=i), 100.0, STANDARD_LEADS) for i in range(11)]
    store = make_store(tmp_path / "s.zarr", recordings)
    assert len(store) == 11
    for row, recording in enumerate(recordings):
        np.testing.assert_allclose(store.recording(row).signal, recording.signal, atol=0.501e-3)


def test_the_format_is_open_to_any_zarr_and_parquet_reader(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [Recording(synthetic_signal(100), 100.0, STANDARD_LEADS)])
    array = zarr.open_group(store.path, mode="r")["signal"]
    assert array.metadata.zarr_format == 3  # type: ignore[union-attr]
    assert array.dtype == np.int16  # type: ignore[union-attr]
    assert array.shape == (1, 12, 100)  # type: ignore[union-attr]
    assert pd.read_parquet(store.path / "records.parquet")["record_id"].tolist() == ["r0"]


def test_the_same_content_gives_the_same_hash_and_other_content_another(tmp_path: Path) -> None:
    recordings = [Recording(synthetic_signal(100, seed=s), 100.0, STANDARD_LEADS) for s in (1, 2)]
    hashes = [make_store(tmp_path / n, r).content_hash for n, r in (("a", recordings), ("b", recordings))]
    other = make_store(tmp_path / "c", recordings[::-1]).content_hash
    assert hashes[0] == hashes[1] != other


def test_what_is_no_store_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    (tmp_path / "file").write_text("x")
    for name in ("absent", "folder", "other.zarr", "file"):
        with pytest.raises(StoreError, match="ecgkit ingest"):
            Store(tmp_path / name)


def test_a_view_is_the_contract_applied_to_each_record(tmp_path: Path) -> None:
    recordings = [
        Recording(synthetic_signal(1000, seed=1), 500.0, STANDARD_LEADS),
        Recording(synthetic_signal(700, seed=2), 500.0, STANDARD_LEADS),
        Recording(synthetic_signal(200, 2, seed=3), 100.0, ("I", "V2")),
    ]
    store = make_store(tmp_path / "s.zarr", recordings)
    spec = SignalSpec(fs=250, seconds=1, window=2, leads=("V2", "I", "II"), filter=Butterworth(), filter_first=True)
    seen: list[tuple[int, int]] = []
    view = open_view(store, spec, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert view.present.tolist() == [[True] * 3, [True] * 3, [True, True, False]]
    assert view.lengths.tolist() == [500, 350, 500]
    for row in range(3):
        stored = store.recording(row)
        for column, lead in enumerate(spec.leads):
            expected = np.zeros(500)
            if lead in stored.leads:
                expected, _ = window_of(stored.signal[stored.leads.index(lead)], stored.fs, spec)
            step = view.signal.records["scale"][row, column, 0]
            np.testing.assert_allclose(view.signal[row, column], expected, atol=step / 2 + 1e-6, rtol=0)
            assert step <= max(1e-3, np.ptp(expected) / 65534 * 1.01)
    seen.clear()
    again = open_view(store, SignalSpec(**{**vars(spec), "seconds": 1.5}), lambda d, n: seen.append((d, n)))
    assert not seen, "the crop is no part of a view, so the view is shared"
    np.testing.assert_array_equal(again.signal, view.signal)


def test_a_view_of_leads_that_nobody_has_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [Recording(synthetic_signal(100, 1), 100.0, ("I",))], ("I",))
    with pytest.raises(LeadError, match="V1"):
        open_view(store, SignalSpec(fs=100, seconds=1, leads=("V1",)))


def test_a_damaged_store_is_one_clear_error_and_never_a_number(tmp_path: Path) -> None:
    def store(name: str) -> Path:
        recordings = [Recording(synthetic_signal(300, seed=s), 100.0, STANDARD_LEADS) for s in range(3)]
        return make_store(tmp_path / name, recordings).path

    spec = SignalSpec(fs=100, seconds=2, window=2)
    for part in ("records.parquet", "signal/zarr.json"):
        path = store(part.replace("/", "-"))
        (path / part).write_text("junk")
        with pytest.raises(StoreError, match="cannot be read"):
            Store(path)
    ledger = store("ledger")
    (ledger / "ledger.parquet").write_text("junk")
    with pytest.raises(StoreError, match="ledger"):
        _ = Store(ledger).ledger
    gone = store("gone")
    for shard in (gone / "signal" / "c").rglob("0"):
        if shard.is_file():
            shard.unlink()
    with pytest.raises(StoreError, match=r"record r0 of .* is damaged"):
        open_view(Store(gone), spec)
    fewer = store("fewer")
    pd.read_parquet(fewer / "records.parquet").head(2).to_parquet(fewer / "records.parquet")
    with pytest.raises(StoreError, match=r"fewer/records\.parquet has been changed since"):
        Store(fewer)


def test_a_damaged_view_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(
        tmp_path / "s.zarr", [Recording(synthetic_signal(300, seed=n), 100.0, STANDARD_LEADS) for n in (0, 1)]
    )
    spec = SignalSpec(fs=100, seconds=2, window=2)
    whole = np.array(open_view(store, spec).signal)
    for part in ("signal.npy", "rows.npy", "view.json"):
        file = next((store.path / "views").rglob(part))
        file.write_bytes(file.read_bytes()[:-8])
        np.testing.assert_array_equal(open_view(store, spec).signal, whole)
    file.write_text("junk")
    np.testing.assert_array_equal(open_view(store, spec).signal, whole)
    # One flipped bit: the row is never used, the others are.
    signal = next((store.path / "views").rglob("signal.npy"))
    content = bytearray(signal.read_bytes())
    content[-5] ^= 4
    signal.write_bytes(content)
    view = open_view(store, spec)
    np.testing.assert_array_equal(view.signal[0], whole[0])
    for damaged in (1, -1, np.int64(1), slice(0, 2), [1], (1, 0)):
        with pytest.raises(
            StoreError, match=r"row 1 of the view .*signal\.npy is damaged\. Run the same command again"
        ):
            view.signal[damaged]
    np.testing.assert_array_equal(open_view(store, spec).signal, whole)
    # Other code makes its own view.
    monkeypatch.setattr("ecgkit.store.view_rows.source_hash", lambda names: "another release")
    made = []
    monkeypatch.setattr(views, "make_parts", lambda *all, real=views.make_parts: made.append(real(*all)))
    np.testing.assert_array_equal(open_view(store, spec).signal, whole)
    assert len(made) == 1


def test_a_view_that_does_not_fit_on_the_disk_is_refused_before_it_is_made(tmp_path: Path, monkeypatch) -> None:
    store = make_store(tmp_path / "s.zarr", [Recording(synthetic_signal(300), 100.0, STANDARD_LEADS)])
    spec = SignalSpec(fs=100, seconds=2, window=2)
    before = sorted(store.path.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4000))
        with pytest.raises(OutputError, match=r"this view of the signals needs 4\.9 kB in .*s\.zarr.*4 kB are free"):
            open_view(store, spec)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:  # another process takes the space in the meantime
        patch.setattr("os.posix_fallocate", full)
        with pytest.raises(OutputError, match=r"the disk is full and .*s\.zarr.* is not finished"):
            open_view(store, spec)
    left = [path for path in sorted(store.path.rglob("*")) if path not in before]
    assert [path.name for path in left] == ["views"], "what is left keeps no space"
    assert open_view(store, spec).signal[0].shape == (12, 200)


def test_a_view_whose_process_was_killed_while_it_made_the_file_is_made(tmp_path: Path, monkeypatch) -> None:
    store = make_store(
        tmp_path / "s.zarr", [Recording(synthetic_signal(300, seed=n), 100.0, STANDARD_LEADS) for n in (0, 1)]
    )
    spec = SignalSpec(fs=100, seconds=2, window=2)
    whole = np.array(open_view(store, spec).signal)
    shutil.rmtree(store.path / "views")
    for length in (0, 64, 1000):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(views, "write_about", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
            open_view(store, spec)  # all parts are done
        (signal,) = store.path.rglob(".*.partial/view/signal.npy")
        signal.write_bytes(signal.read_bytes()[:length])  # as if it had been lost since
        np.testing.assert_array_equal(np.array(open_view(store, spec).signal), whole)
        assert not list(store.path.rglob("*.partial"))
        shutil.rmtree(store.path / "views")


def test_what_a_model_cannot_read_is_told_apart(tmp_path: Path) -> None:
    recordings = [
        Recording(synthetic_signal(300), 100.0, STANDARD_LEADS),
        Recording(synthetic_signal(30), 100.0, STANDARD_LEADS),
        Recording(synthetic_signal(300, 1), 100.0, ("V9",)),
    ]
    store = make_store(tmp_path / "s.zarr", recordings, (*STANDARD_LEADS, "V9"))
    assert open_view(store, SignalSpec(fs=100, seconds=2, window=2)).usable.tolist() == [True, False, False]
    assert summarize(store).leads["V9"] == 1


def test_limb_leads_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    signal = synthetic_signal(300)
    inverted, swapped = signal.copy(), signal.copy()
    inverted[2] *= -1
    swapped[[4, 5]] = signal[[5, 4]]
    recordings = [Recording(s, 100.0, STANDARD_LEADS) for s in (signal, inverted, swapped)]
    unscaled = [Recording(swapped, 100.0, STANDARD_LEADS, "NU")]
    store = make_store(tmp_path / "s.zarr", recordings + unscaled)
    assert store.table["limb_fault"].tolist() == [None, "limb-reversed", "avf-avl-swapped", None]
    assert summarize(store).flags["limb-leads"] == 2
    counts = {count.flag: count.leads for count in count_flags(store)}
    assert counts["limb-leads"] == {"III": 1, "aVL": 1, "aVF": 1}


def test_flags_of_the_table_follow_from_the_measures_that_are_kept(tmp_path: Path) -> None:
    flat = synthetic_signal(1000)
    flat[3, 200:] = 0.1
    recordings = [Recording(synthetic_signal(1000), 500.0, STANDARD_LEADS), Recording(flat, 500.0, STANDARD_LEADS)]
    store = make_store(tmp_path / "s.zarr", recordings)
    for count in count_flags(store):
        assert count.records == sum(count.flag in flags for flags in store.table["flags"])
    assert "flat" in store.table["flags"].iloc[1]


def test_the_same_waveform_and_the_same_patients_are_found_in_two_stores(tmp_path: Path) -> None:
    def recordings(*seeds: int) -> list[Recording]:
        return [Recording(synthetic_signal(300, seed=s), 100.0, STANDARD_LEADS) for s in seeds]

    first, second = (
        make_store(tmp_path / name, recordings(*seeds)) for name, seeds in (("a", (1, 2, 3, 3)), ("b", (9, 2)))
    )
    both = overlap(first, second)
    assert both.waveforms == [("r1", "r1")]
    assert (both.patients, both.records) == (["test:p0", "test:p1"], (2, 2))
    assert summarize(first).duplicates == 1
    other = Store(second.path)
    other.attributes["dataset"] = "another"
    assert overlap(first, other).patients == [], "ids of different datasets mean different people"
    other_leads = make_store(tmp_path / "c", [r.only(("I", "II")) for r in recordings(2)], ("I", "II"))
    assert overlap(first, other_leads).waveforms == []


@pytest.mark.slow
def test_processes_make_the_same_view_and_refuse_a_store_that_was_replaced(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.store.format._CHUNK_RECORDS", 1)
    recordings = [Recording(synthetic_signal(300 + n, seed=n), 250.0, STANDARD_LEADS) for n in range(11)]
    spec = SignalSpec(fs=100, seconds=1, window=1.5)
    alone = open_view(make_store(tmp_path / "a.zarr", recordings), spec)
    store = make_store(tmp_path / "b.zarr", recordings)
    with open_executor(workers=2) as executor:
        shared = open_view(store, spec, None, executor)
        assert np.array(shared.signal).tobytes() == np.array(alone.signal).tobytes()
        assert shared.lengths.tolist() == alone.lengths.tolist()
    sent = pickle.dumps(store)
    shutil.rmtree(store.path)
    make_store(tmp_path / "b.zarr", recordings[:9])
    with pytest.raises(StoreError, match="was replaced by another store"):
        pickle.loads(sent)


@pytest.mark.parametrize("resample", ["fft", "poly"])
def test_a_view_does_not_depend_on_how_it_was_batched(tmp_path: Path, monkeypatch, resample) -> None:
    recordings = [Recording(synthetic_signal(500, seed=s), 250.0, STANDARD_LEADS) for s in range(7)]
    spec = SignalSpec(fs=100, seconds=2, window=2, filter=Butterworth(), filter_first=True, resample=resample)
    views = []
    for chunk in (64, 2, 1):
        monkeypatch.setattr("ecgkit.store.format._CHUNK_RECORDS", chunk)
        store = make_store(tmp_path / f"{chunk}.zarr", recordings)
        assert store.chunk_records == chunk
        views.append(np.array(open_view(store, spec).signal))
    assert all(view.tobytes() == views[0].tobytes() for view in views)


def test_slots_of_records_that_were_left_out_are_skipped(tmp_path: Path) -> None:
    layout = Layout.of(STANDARD_LEADS, {300: 1})
    recordings = [Recording(synthetic_signal(300, seed=s), 100.0, STANDARD_LEADS) for s in range(5)]
    (tmp_path / "parts").mkdir()
    with open_part(layout, tmp_path / "parts", 0) as writer:
        for n, recording in enumerate(recordings):
            if n in (0, 3):
                writer.reject(LedgerRow(f"r{n}", f"r{n}", "signal", "why"))
            else:
                writer.append(recording, {"record_id": f"r{n}", "fold": 1, "labels": []})
    attributes = {"dataset": "test"}
    assemble(tmp_path / "parts", tmp_path / "s", layout, slots=5, rejected=[], attributes=attributes)
    store = Store(tmp_path / "s")
    assert store.table["slot"].tolist() == [1, 2, 4]
    for row, n in enumerate((1, 2, 4)):
        np.testing.assert_allclose(store.recording(row).signal, recordings[n].signal, atol=0.501e-3)
    assert store.verified(0, 3).shape == (3, 12, 300)
    assert store.ledger["record_id"].tolist() == ["r0", "r3"]
