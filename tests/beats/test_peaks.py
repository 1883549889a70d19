"""The peaks of a store: found, kept, read back, and handed to a loader."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgkit.beats import find
from ecgkit.beats.detector import Detector
from ecgkit.beats.find import find_beats
from ecgkit.beats.peaks import Peaks, has_peaks, read_peaks
from ecgkit.beats.plausible import Limits
from ecgkit.entries import DetectorEntry
from ecgkit.errors import ConfigError, OutputError, PluginError, StoreError
from ecgkit.executor import open_executor
from ecgkit.ingestion import ingest
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from tests.beats.synthetic import LEADS, ecg, every
from tests.conftest import write_wfdb


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Six records of two rates, two lengths and three lead sets."""
    shapes = [
        ("a", 500, 10, LEADS, 0.8),
        ("b", 500, 10, LEADS, 0.6),
        ("c", 500, 5, LEADS, 0.7),
        ("d", 250, 10, LEADS, 0.9),
        ("e", 500, 10, ("V5",), 1.0),
        ("f", 500, 10, ("II", "V1"), 3.1),
    ]
    for name, fs, seconds, leads, interval in shapes:
        signal = ecg(every(interval, seconds), seconds, fs)[[LEADS.index(lead) for lead in leads]]
        write_wfdb(tmp_path / "src", name, signal, leads, fs=fs)
    write_wfdb(tmp_path / "src", "g", np.random.default_rng(0).normal(0, 0.005, (8, 5000)).cumsum(1), LEADS)
    ingest(tmp_path / "src", tmp_path / "s.zarr")
    return Store(tmp_path / "s.zarr")


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_peaks_are_found_kept_and_read_back(store: Store) -> None:
    peaks = find_beats(store)
    again = read_peaks(store)
    for one, other in ((peaks.samples, again.samples), (peaks.offsets, again.offsets), (peaks.flags, again.flags)):
        assert np.array_equal(one, other)
    times = {record: again.of(row) / again.fs[row] for row, record in enumerate(store.table["record_id"])}
    for record, interval, seconds in (("a", 0.8, 10), ("c", 0.7, 5), ("d", 0.9, 10), ("e", 1.0, 10), ("f", 3.1, 10)):
        np.testing.assert_allclose(times[record], every(interval, seconds), atol=0.02)
    flags = dict(zip(store.table["record_id"], again.flags, strict=True))
    assert flags == dict.fromkeys("abcde", "") | {"f": "rate below 25/min", "g": "none found"}
    assert again.attributes["detector"] == "consensus"
    assert again.attributes["settings"]["high"] == 0.35
    assert again.attributes["leads"] == list(LEADS)


@pytest.mark.slow
def test_any_number_of_processes_and_any_block_gives_the_same_bytes(store: Store, monkeypatch) -> None:
    find_beats(store)
    first = everything(store.path / "beats")
    monkeypatch.setattr(find, "BLOCK_RECORDS", 1)
    monkeypatch.setattr(Store, "chunk_records", property(lambda self: 3))
    with open_executor(workers=2) as executor:
        find_beats(store, overwrite=True, executor=executor)
    assert everything(store.path / "beats") == first
    find_beats(store, overwrite=True)
    assert everything(store.path / "beats") == first


def test_a_stopped_run_goes_on(store: Store, monkeypatch) -> None:
    find_beats(store)
    expected = everything(store.path / "beats")
    shutil.rmtree(store.path / "beats")
    monkeypatch.setattr(find, "BLOCK_RECORDS", 1)
    monkeypatch.setattr(Store, "chunk_records", property(lambda self: 2))
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_beats(store, progress=stop)
    assert not has_peaks(store)
    find_beats(store, progress=lambda done, total: seen.append(done))
    assert seen == [2, 4, 6, 7]
    assert everything(store.path / "beats") == expected
    assert [p.name for p in store.path.iterdir() if p.name.startswith(".beats")] == []


def test_other_means_need_overwrite(store: Store) -> None:
    find_beats(store)
    when = (store.path / "beats" / "peaks.parquet").stat().st_mtime_ns
    find_beats(store)
    assert (store.path / "beats" / "peaks.parquet").stat().st_mtime_ns == when
    with pytest.raises(OutputError, match=r"has R peaks that were found with settings .*--overwrite"):
        find_beats(store, Detector(assignments=("high=0.5",)))
    with pytest.raises(OutputError, match="found with detector consensus"):
        find_beats(store, Detector("xqrs"))
    assert find_beats(store, Detector("xqrs"), overwrite=True).attributes["library"].startswith("wfdb ")


def test_a_store_without_peaks_names_the_command(store: Store) -> None:
    with pytest.raises(StoreError, match=r"has no R peaks.*Find them with: ecgkit beats .*s\.zarr"):
        read_peaks(store)


def test_peaks_of_other_signals_are_refused_and_replaced(store: Store) -> None:
    find_beats(store)
    file = store.path / "beats" / "beats.json"
    file.write_text(file.read_text().replace(store.content_hash, "0" * 64))
    with pytest.raises(StoreError, match="were found in other signals"):
        read_peaks(store)
    find_beats(store)
    assert len(read_peaks(store)) == 7


@pytest.mark.parametrize("damage", ["json", "format", "parquet", "records"])
def test_damaged_peaks_are_one_error(store: Store, damage: str) -> None:
    import pyarrow.parquet as pq

    find_beats(store)
    folder = store.path / "beats"
    if damage == "json":
        (folder / "beats.json").write_text("{")
    elif damage == "format":
        (folder / "beats.json").write_text(json.dumps({"format": "other"}))
    elif damage == "parquet":
        (folder / "peaks.parquet").write_bytes(b"PAR1")
    else:
        pq.write_table(pq.read_table(folder / "peaks.parquet").slice(1), folder / "peaks.parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        read_peaks(store)


def test_positions_in_crops() -> None:
    lists, fs = [[10, 500, 990], [], [7, 1999]], np.array([500.0, 500.0, 200.0])
    offsets = np.cumsum([0, *map(len, lists)])
    peaks = Peaks(np.concatenate([np.array(p, np.int64) for p in lists]), offsets, fs, np.array(["", "none found", ""]))
    at = peaks.at(np.array([2, 0, 1, 0]), np.array([0, 100, 0, 0]), 150, 100.0)
    assert at.dtype == np.int64
    assert at.tolist() == [[4, -1], [0, 98], [-1, -1], [2, 100]]
    assert peaks.at(np.array([1]), np.array([0]), 100, 100.0).shape == (1, 0)
    assert peaks.at(np.array([], int), np.array([], int), 100, 100.0).shape == (0, 0)


def test_positions_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    lists = [np.sort(rng.choice(5000, rng.integers(0, 30), replace=False)) for _ in range(40)]
    fs = rng.choice([250.0, 360.0, 500.0], 40)
    peaks = Peaks(np.concatenate(lists), np.cumsum([0, *map(len, lists)]), fs, np.full(40, ""))
    rows, starts = rng.integers(0, 40, 64), rng.integers(0, 600, 64)
    at = peaks.at(rows, starts, 700, 100.0)
    for b, (row, start) in enumerate(zip(rows, starts, strict=True)):
        moved = [int(np.floor(p * 100 / fs[row] + 0.5)) - start for p in lists[row]]
        expected = [p for p in moved if 0 <= p < 700]
        assert at[b][at[b] >= 0].tolist() == expected
        assert (at[b][len(expected) :] == -1).all()
    assert (at >= 0).any(0).all()  # no column more than needed


@pytest.mark.parametrize(
    ("beats", "flag"),
    [
        ([], "none found"),
        (every(1.0), ""),
        (every(3.0), "rate below 25/min"),
        ([0.5], "rate below 25/min"),
        (every(0.22), "rate above 250/min"),
        ([1, 1.1, 2, 3, 4], "RR below 200 ms"),
        ([0.1, 0.6, 1.1, 1.6, 9.5], "longest RR above 5 times the median"),
    ],
)
def test_implausible_records_get_a_reason(beats, flag) -> None:
    assert Limits().flag(np.round(np.array(beats) * 500).astype(int), 500.0, 5000) == flag


def test_one_beat_in_a_short_record_is_plausible() -> None:
    assert Limits().flag(np.array([400]), 500.0, 1000) == ""


class TestDetector:
    def test_leads_by_choice(self) -> None:
        assert Detector().choose_leads(("II", "III", "V1")) == ("II", "V1")
        assert Detector("xqrs").choose_leads(("V1", "II", "I")) == ("II", "I", "V1")
        assert Detector().choose_leads(("VX", "VY")) == ("VX", "VY")
        assert Detector(leads=("V5",)).choose_leads(("I", "II")) == ()

    def test_records_without_the_leads_asked_for_are_flagged(self, store: Store) -> None:
        peaks = find_beats(store, Detector(leads=("I",)))
        flags = dict(zip(store.table["record_id"], peaks.flags, strict=True))
        assert {r for r, flag in flags.items() if flag == "none of the leads asked for"} == {"e", "f"}

    def test_detection_at_another_rate_gives_peaks_at_the_records_own(self) -> None:
        signal = ecg(every(0.8))[None]
        there, why = Detector(fs=250.0).find(signal, 500.0, LEADS)[0]
        assert why == ""
        np.testing.assert_allclose(there / 500, every(0.8), atol=0.02)

    @pytest.mark.parametrize("name", ["consensus", "neurokit", "xqrs", "sleepecg"])
    def test_every_detector_finds_an_easy_heart(self, name: str) -> None:
        if name == "sleepecg":
            pytest.importorskip("sleepecg")
        chosen = Detector(name)
        leads = chosen.choose_leads(LEADS)
        signal = ecg(every(0.8))[[LEADS.index(lead) for lead in leads]]
        flat = np.zeros_like(signal)
        (found, why), (nothing, _) = chosen.find(np.stack([signal, flat]), 500.0, leads)
        assert why == "" and len(nothing) == 0
        np.testing.assert_allclose(found / 500, every(0.8), atol=0.03)

    def test_a_flat_first_lead_is_passed_over(self) -> None:
        chosen, signal = Detector("xqrs"), ecg(every(0.8))
        leads = chosen.choose_leads(LEADS)
        rows = signal[[LEADS.index(lead) for lead in leads]]
        rows[0] = 0
        assert len(chosen.find(rows[None], 500.0, leads)[0][0]) == len(every(0.8))

    def test_a_detector_that_raises_costs_only_its_record(self, monkeypatch) -> None:
        def moody(signal, fs, leads):
            if (signal[:, 0, 0] > 5).any():
                raise ZeroDivisionError("boom")
            return [np.array([1, 2]) for _ in signal]

        monkeypatch.setattr("ecgkit.beats.libraries.moody", moody, raising=False)
        entry = DetectorEntry(name="moody", summary="s", target="ecgkit.beats.libraries:moody")
        monkeypatch.setitem(host()._entries["detector"], "moody", entry)
        signal = np.zeros((3, 1, 100))
        signal[1] = 9
        found = Detector("moody").find(signal, 500.0, ("I",))
        assert [(peaks.tolist(), why) for peaks, why in found] == [
            ([1, 2], ""),
            ([], "failed: ZeroDivisionError"),
            ([1, 2], ""),
        ]

    def test_wrong_wishes_are_told(self) -> None:
        with pytest.raises(PluginError, match=r"no detector 'concensus'.*Did you mean 'consensus'"):
            Detector("concensus")
        with pytest.raises(ConfigError, match="detector xqrs has no settings"):
            Detector("xqrs", assignments=("high=1",))
        with pytest.raises(ConfigError, match="unknown key"):
            Detector(assignments=("hihg=1",))
        with pytest.raises(ConfigError, match="50 to 10000 Hz"):
            Detector(fs=3.0)

    def test_a_missing_library_is_named(self, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "sleepecg.heartbeats", None)
        with pytest.raises(PluginError, match=r"pip install 'ecgkit-learn\[sleepecg\]'"):
            Detector("sleepecg").find(np.zeros((1, 1, 1000)), 500.0, ("II",))


def test_loops_work_where_no_cache_can_be_written(tmp_path: Path) -> None:
    code = """
import numba
njit = numba.njit
def refuse(*a, cache=False, **k):
    if cache:
        def no(f): raise RuntimeError("cannot cache function: no locator available")
        return no
    return njit(*a, **k)
numba.njit = refuse
from ecgkit.beats.kernels import median
import numpy as np
assert median(np.array([3.0, 1.0, 2.0, 5.0])) == 2.5
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
