"""Kinds of WFDB records: frames, skew, packed formats, FLAC, unknown lengths, segments; against wfdb and by hand."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from ecgkit.datasets import wfdb_segments
from ecgkit.datasets.budget import memory_budget, time_budget
from ecgkit.datasets.wfdb_record import read_header, read_record
from ecgkit.errors import RecordError
from tests.conftest import synthetic_signal, write_wfdb


def write_frames(
    folder: Path, name: str, counts: NDArray[np.int64], *, frame: int, first_line: str, form: str = "16"
) -> None:
    """Write rows ``[L, T]`` in 16-bit frames of `frame` samples of each row."""
    folder.mkdir(exist_ok=True)
    L, T = counts.shape
    counts.reshape(L, T // frame, frame).transpose(1, 0, 2).astype("<i2").tofile(folder / f"{name}.dat")
    lines = [f"{name}.dat {form}x{frame} 1000/mV 16 0 {row[0]} {row.sum() % 65536} 0" for row in counts]
    lines = [f"{line} {lead}" for line, lead in zip(lines, ("I", "II", "V1"), strict=False)]
    (folder / f"{name}.hea").write_text("\n".join([first_line, *lines]) + "\n")


@pytest.fixture
def counts() -> NDArray[np.int64]:
    return np.rint(synthetic_signal(1200, 2) * 1000).astype(np.int64)


@pytest.mark.parametrize("length", [" 300", "", " 0"])
def test_frames_hold_the_samples_as_recorded(tmp_path: Path, counts, length: str) -> None:
    write_frames(tmp_path, "r", counts, frame=4, first_line=f"r 2 125{length}")
    recording = read_record(tmp_path, "r")
    assert recording.fs == 500
    assert recording.stored is not None
    np.testing.assert_array_equal(recording.stored, counts)
    data = tmp_path / "r.dat"
    raw = bytearray(data.read_bytes())
    raw[77] ^= 1
    data.write_bytes(raw)
    if length == " 300":
        with pytest.raises(RecordError, match="lead I.* has checksum"):
            read_record(tmp_path, "r")


def test_leads_of_different_rates_are_refused_with_the_reason(tmp_path: Path) -> None:
    np.arange(6, dtype="<i2").tofile(tmp_path / "r.dat")
    (tmp_path / "r.hea").write_text("r 2 125 2\nr.dat 16x2 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n")
    with pytest.raises(RecordError, match=r"different rates \(I 2, II 1 samples per frame\)"):
        read_header(tmp_path, "r")
    (tmp_path / "r.hea").write_text("r 2 125 2\nr.dat 16x2 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 RESP\n")
    assert (read_record(tmp_path, "r").signal * 200).tolist() == [[0, 1, 3, 4]]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, None)
        for name in ("test01_00s_frame", "test01_00s_skew", "test01_00s_skewframe", "310derive_3", "311derive_3")
    ]
    + [("flacformats", form) for form in ("508", "516", "524")]
    + [("binformats", form) for form in ("8", "310", "311", "24", "32", "61", "80", "160")],
)
@pytest.mark.parametrize("with_length", [True, False])
def test_every_kind_is_what_wfdb_says(
    shared: Path, tmp_path: Path, name: str, form: str | None, with_length: bool
) -> None:
    """The signals of these records are no ECG leads by name, so each is renamed in a copy of the header."""
    odd = shared / "data" / "wfdb-odd"
    first, *lines = [line for line in (odd / f"{name}.hea").read_text().splitlines() if line and line[0] != "#"]
    for file in odd.iterdir():
        if file.is_file() and file.suffix != ".hea":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    reference = wfdb.rdrecord(str(odd / name), smooth_frames=False)
    frames = [frame or 1 for frame in reference.samps_per_frame]
    chosen = [n for n, own in enumerate(reference.fmt) if form in (None, own) and frames[n] == frames[0]]
    leads = dict(zip(chosen, ("I", "II", "V1", "V2", "V3"), strict=False))
    renamed = [f"{' '.join(line.split()[:8])} {leads.get(n, 'RESP')}" for n, line in enumerate(lines)]
    if len(set(reference.file_name)) > 1:
        renamed = [renamed[n] for n in leads]
    words = first.split()
    rate = [words[0], str(len(renamed)), words[2], *(words[3:4] if with_length else [])]
    (tmp_path / "r.hea").write_text("\n".join([" ".join(rate), *renamed]) + "\n")
    recording = read_record(tmp_path, "r")
    steps = recording.scaling.steps if recording.scaling else (0.0,) * len(leads)
    for row, n, step in zip(recording.signal, leads, steps, strict=True):
        own = reference.e_p_signal[n]
        np.testing.assert_allclose(row[: len(own)], own[: len(row)], rtol=1e-9, atol=0.501e-3 * step + 1e-12)
    assert recording.fs == reference.fs * frames[0]
    if with_length:
        assert recording.samples == len(reference.e_p_signal[chosen[0]])


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """A record of two segments: the second holds its rows in the other order."""
    signal = synthetic_signal(1000, 2)
    write_wfdb(tmp_path, "a", signal[:, :500], ("I", "II"))
    write_wfdb(tmp_path, "b", signal[::-1, 500:], ("II", "I"))
    (tmp_path / "r.hea").write_text("r/2 2 500 1000\na 500\nb 500\n")
    return tmp_path


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_segments_are_joined_by_name(segments: Path) -> None:
    recording = read_record(segments, "r")
    assert recording.leads == ("I", "II")
    np.testing.assert_allclose(recording.signal, synthetic_signal(1000, 2), atol=1e-3)


def test_segments_may_have_units_of_their_own(segments: Path) -> None:
    text = (segments / "b.hea").read_text()
    gain = float(text.splitlines()[1].split()[2].split("(")[0])
    (segments / "b.hea").write_text(text.replace(f"{gain}", f"{gain / 1000:.6f}").replace("/mV", "/uV"))
    np.testing.assert_allclose(read_record(segments, "r").signal, synthetic_signal(1000, 2), atol=1e-3)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("b.hea", "b 2 500", "b 2 250", "segment b has 250 Hz; expected 500 Hz"),
        ("b.hea", "/mV", "/NU", "several units"),
        ("b.hea", " I\n", " V6\n", "segments a and b differ in leads I, V6"),
        ("b.hea", "/mV", "/mmHg", "have the unknown unit 'mmhg'"),
        ("b.hea", "b 2 500 500", "b 2 500 400", "segment b has 400 samples; expected 500"),
        ("r.hea", "r/2 2 500 1000", "r/2 2 500 900", "gives 900 samples, but its segments have 1000"),
        ("r.hea", "b 500", "r 500", "segment r of r has segments itself"),
        ("r.hea", "b 500", "../b 500", "leads out of"),
        ("r.hea", "b 500", "c 500", "lacks 1 of its 2 segments"),
    ],
)
def test_segments_that_do_not_fit_say_why(segments: Path, file: str, old: str, new: str, message: str) -> None:
    change(segments / file, old, new)
    with pytest.raises(RecordError) as error:
        read_header(segments, "r")
    assert message in str(error.value)


def test_a_segment_that_is_named_very_often_is_read_once(segments: Path, monkeypatch) -> None:
    reads: list[object] = []
    for module, name in ((wfdb_segments, "measure"), (wfdb_segments, "read_counts")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real: reads.append(given) or real(*given))
    (segments / "r.hea").write_text("r/400 2 500 200000\n" + "a 500\nb 500\n" * 200)
    found = read_record(segments, "r").signal
    np.testing.assert_allclose(found, np.tile(synthetic_signal(1000, 2), 200), atol=1e-3)
    assert len(reads) == 4, "each segment is measured once and read once"


def test_segments_that_are_larger_together_than_the_budget_are_refused_unread(segments: Path, monkeypatch) -> None:
    monkeypatch.setattr(wfdb_segments, "measure", lambda *_: pytest.fail("a file was looked into"))
    (segments / "r.hea").write_text("r/400 2 500 200000\n" + "a 500\nb 500\n" * 200)
    with memory_budget(0.1), pytest.raises(RecordError, match="--max-record-mb"):
        read_header(segments, "r")


def test_a_changed_byte_in_a_segment_is_found(segments: Path) -> None:
    raw = bytearray((segments / "b.dat").read_bytes())
    raw[501] ^= 8
    (segments / "b.dat").write_bytes(raw)
    with pytest.raises(RecordError, match=r"b\.dat lead I+ has checksum"):
        read_record(segments, "r")


def test_a_layout_and_gaps(segments: Path) -> None:
    (segments / "l.hea").write_text(
        "l 3 500 0\n~ 0 200/mV 0 0 0 0 0 II\n~ 0 200/mV 0 0 0 0 0 I\n~ 0 200/mV 0 0 0 0 0 V1\n"
    )
    (segments / "r.hea").write_text("r/4 3 500 1100\nl 0\na 500\n~ 100\nb 500\n")
    recording = read_record(segments, "r")
    assert recording.leads == ("II", "I", "V1")
    assert np.isnan(recording.signal[:, 500:600]).all()
    assert np.isnan(recording.signal[2]).all()
    np.testing.assert_allclose(
        recording.only(("I", "II")).signal[:, :500], synthetic_signal(1000, 2)[:, :500], atol=1e-3
    )


def test_no_checksum_is_none(tmp_path: Path) -> None:
    """Some writers put 0 into all lines; one 0 among others is a checksum."""
    counts = np.array([[1, 2], [3, 4]], "<i2")
    counts.T.tofile(tmp_path / "r.dat")
    lines = "r 2 500 2\nr.dat 16 1000/mV 16 0 0 {} 0 I\nr.dat 16 1000/mV 16 0 0 {} 0 II\n"
    (tmp_path / "r.hea").write_text(lines.format(0, 0))
    assert read_record(tmp_path, "r").stored.tolist() == counts.tolist()
    (tmp_path / "r.hea").write_text(lines.format(0, 7))
    with pytest.raises(RecordError, match="lead I has checksum 3; expected 0"):
        read_record(tmp_path, "r")


def test_a_claim_beyond_the_budget_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "r", synthetic_signal(100, 2), ("I", "II"))
    with (tmp_path / "r.dat").open("r+b") as file:
        file.truncate(2**34)  # a sparse file
    change(tmp_path / "r.hea", "r 2 500 100", "r 2 500 4294967296")
    with pytest.raises(RecordError, match=r"r needs 65,536 MB of memory; expected at most 2,048 MB per record"):
        read_header(tmp_path, "r")
    change(tmp_path / "r.hea", "4294967296", "1000")
    with memory_budget(0.01), pytest.raises(RecordError, match="--max-record-mb"):
        read_header(tmp_path, "r")


def test_a_segment_repeated_a_million_times_is_refused_or_read_quickly(segments: Path) -> None:
    lines = "a 500\n" * 1_000_000
    (segments / "many.hea").write_text(f"many/1000000 2 500 500000000\n{lines}")
    with time_budget(20), pytest.raises(RecordError, match="--max-record-mb"):
        read_header(segments, "many")
