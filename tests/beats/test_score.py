"""Scoring: pairs, what is judged, and the figures on real recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.optimize import linear_sum_assignment

from ecgkit.beats.detector import Detector
from ecgkit.beats.reference import Reference, read_reference
from ecgkit.beats.score import errors_of, pair, score_folder, score_record
from ecgkit.errors import ConfigError, DatasetError, RecordError
from tests.beats.synthetic import LEADS, ecg, every
from tests.conftest import write_wfdb


def test_pairs_are_as_many_as_there_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = (np.sort(rng.choice(120, rng.integers(0, 12), replace=False)) for _ in range(2))
        near = np.abs(a[:, None] - b) <= 6
        most = int(near[linear_sum_assignment(~near)].sum())
        assert pair(a, b, 6) == (most, len(a) - most, len(b) - most)


def test_errors_are_those_of_the_nearest() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        a, b = (np.sort(rng.choice(300, rng.integers(0, 12), replace=False)) for _ in range(2))
        plain = [min((abs(x - r), x - r) for x in b)[0] for r in a if len(b)]
        assert sorted(np.abs(errors_of(a, b, 9))) == sorted(e for e in plain if e <= 9)


def test_numbers_of_a_score() -> None:
    reference = Reference(np.array([100, 200, 300, 400]), np.array([[0, 999]]))
    score = score_record("r", "atr", reference, np.array([104, 205, 260, 500]), 500.0).scores
    wide, narrow = score
    assert (wide.tolerance, wide.paired, wide.missed, wide.extra) == (150, 3, 1, 1)
    assert (narrow.paired, narrow.missed, narrow.extra) == (2, 2, 2)
    assert wide.sensitivity == 0.75 and wide.ppv == 0.75 and wide.f1 == 0.75
    total = wide + wide
    assert (total.paired, total.f1) == (6, 0.75)
    empty = score_record("r", "atr", Reference(np.array([], int), np.array([[0, 9]])), np.array([], int), 500.0)
    assert np.isnan(empty.scores[0].f1)


def annotate(folder: Path, name: str, marks, symbols, annotator: str = "atr") -> None:
    wfdb.wrann(name, annotator, np.array(marks), list(symbols), write_dir=str(folder))


def test_flutter_is_not_judged(tmp_path: Path) -> None:
    annotate(tmp_path, "r", [10, 50, 100, 150, 200, 250, 300], "NV[!]N+")
    reference = read_reference(tmp_path, "r", "atr", samples=1000, fs=360)
    assert reference.beats.tolist() == [10, 50, 250]
    assert reference.judged(np.array([5, 99, 100, 150, 200, 201, 999])).tolist() == [5, 99, 201, 999]
    annotate(tmp_path, "open", [10, 100, 150], "N[!")
    assert read_reference(tmp_path, "open", "atr", samples=1000, fs=360).spans.tolist() == [[0, 99]]
    annotate(tmp_path, "begun", [100, 150, 300], "!]N")
    assert read_reference(tmp_path, "begun", "atr", samples=1000, fs=360).spans.tolist() == [[151, 999]]


def test_a_record_annotated_in_part_is_judged_in_part(tmp_path: Path) -> None:
    annotate(tmp_path, "r", [600, 620, 640, 1000, 1020, 1040], "(N)(N)", "ii")
    reference = read_reference(tmp_path, "r", "ii", samples=5000, fs=360)
    assert reference.spans.tolist() == [[600, 1040]]
    assert reference.beats.tolist() == [620, 1020]


def test_annotations_that_cannot_be_used(tmp_path: Path) -> None:
    assert read_reference(tmp_path, "r", "atr", samples=100, fs=360) is None
    with pytest.raises(ConfigError, match="suffix"):
        read_reference(tmp_path, "r", "../atr", samples=100, fs=360)
    with pytest.raises(RecordError, match="leads out"):
        read_reference(tmp_path, "../r", "atr", samples=100, fs=360)
    (tmp_path / "r.atr").write_bytes(b"\xff" * 7)
    with pytest.raises(RecordError, match="r.atr is not readable"):
        read_reference(tmp_path, "r", "atr", samples=100, fs=360)


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """Three records: one as the heart beats, one whose annotation has a beat too many, one without annotation."""
    folder = tmp_path / "src"
    for name, interval in (("good", 0.8), ("wrong", 0.9), ("bare", 1.0)):
        write_wfdb(folder, name, ecg(every(interval)), LEADS)
    at = [round(500 * t) for t in every(0.8)]
    annotate(folder, "good", at, "N" * len(at))
    at = sorted([*[round(500 * t) for t in every(0.9)], 4900])
    annotate(folder, "wrong", at, "N" * len(at))
    return folder


def test_a_folder_is_judged_record_by_record(annotated: Path) -> None:
    report = score_folder(annotated, Detector())
    assert report.without == ["bare"]
    (pooled, _) = report.pooled()
    assert (pooled.missed, pooled.extra) == (1, 0)
    assert [record.record for record in report.worst()] == ["wrong"]
    assert np.abs(report.errors()).max() <= 6
    against = score_folder(annotated, Detector(), against=Detector("xqrs"))
    assert len(against.records) == 3
    with pytest.raises(DatasetError, match="none of the 3 records .* has annotations qrs"):
        score_folder(annotated, Detector(), annotators=["qrs"])


@pytest.mark.slow
def test_the_commands(ecgkit, annotated: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "s.zarr"
    ecgkit("ingest", annotated, "--out", store)
    assert ecgkit("beats", "nothing.zarr").code == 2
    first = ecgkit("beats", "--plot", "beats.png", "--before", 0.2)
    assert first.code == 0, first.err
    assert "drew beats.png" in first.out
    assert Path("beats.png").read_bytes().startswith(b"\x89PNG")
    again = ecgkit("beats", "--json", store)
    assert json.loads(again.out)["records"] == 3
    assert json.loads(again.out)["flagged"] == {}
    other = ecgkit("beats", store, "--detector", "xqrs")
    assert other.code == 2
    assert "--overwrite" in other.err
    assert ecgkit("beats", store, "--plot", "beats.txt").code == 2
    assert ecgkit("beats", store, "--leads", "Q").code == 2
    assert ecgkit("beats", store, "nonsense").code == 2
    drawn = ecgkit("inspect", store, "--record", "good", "--out", "ecg.png")
    assert f"drew ecg.png with {len(every(0.8))} R peaks by consensus" in drawn.out
    scored = ecgkit("beats", "score", annotated)
    assert scored.code == 0, scored.err
    assert "2 records pooled" in scored.out
    assert "1 records have no such annotations" in scored.out
    drawn = ecgkit("beats", "score", annotated, "--plot", "worst.png")
    assert "drew worst.png" in drawn.out
    assert Path("worst.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads(ecgkit("beats", "score", annotated, "--tolerance", 100, "--json").out)
    assert numbers["pooled"][0]["missed"] == 1
    assert [record["record"] for record in numbers["records"]] == ["good", "wrong"]
    assert ecgkit("beats", "score", annotated, "--annotator", "qrs").code == 2


@pytest.mark.slow
def test_mit_bih(shared: Path) -> None:
    report = score_folder(shared / "data" / "mit-bih", Detector())
    pooled = report.pooled()[0]
    assert len(report.records) == 22
    assert pooled.paired + pooled.missed == 51021  # every beat outside ventricular flutter
    assert pooled.f1 >= 0.998


def test_ludb(shared: Path) -> None:
    report = score_folder(shared / "data" / "ludb", Detector(), annotators=["ii"])
    assert len(report.records) == 100
    assert report.pooled()[0].f1 >= 0.999
    assert np.median(np.abs(report.errors())) <= 5


@pytest.mark.slow
def test_ptb_xl_agrees_with_an_independent_detector(ptbxl_store: Path, shared: Path) -> None:
    pytest.importorskip("sleepecg")
    from ecgkit.beats.find import find_beats
    from ecgkit.store.reader import Store

    store = Store(ptbxl_store)
    peaks = find_beats(store)
    counts = np.zeros(3, int)
    second = Detector("sleepecg")
    for row in range(len(store)):
        recording = store.recording(row)
        leads = second.choose_leads(recording.leads)
        other = second.find(recording.only(leads).signal[None], recording.fs, leads)[0][0]
        counts += pair(other, peaks.of(row), 75)
    paired, missed, extra = counts
    assert 2 * paired / (2 * paired + missed + extra) >= 0.99
