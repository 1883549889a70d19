"""Samples of plain records: against wfdb on real and made files, in microvolts wherever that is exact."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgkit.datasets.wfdb_formats import FORMATS
from ecgkit.datasets.wfdb_record import read_header, read_record, read_signal
from ecgkit.datasets.wfdb_signal import SegmentLayout
from ecgkit.errors import RecordError
from tests.conftest import synthetic_signal, write_wfdb


def sample_of(folder: Path, step: int) -> list[str]:
    return [p.relative_to(folder).with_suffix("").as_posix() for p in sorted(folder.rglob("*.hea"))][::step]


@pytest.mark.parametrize(
    ("name", "step", "exact"),
    [
        ("ptb-xl", 40, True),
        ("ptb-xl-100hz-zscored", 60, True),
        ("mit-bih", 11, True),
        ("ludb", 10, False),
        ("norwegian-athletes", 7, False),
        ("cinc2021", 5, True),
        ("cpsc2018", 2, True),
    ],
)
def test_samples_of_every_real_folder_are_what_wfdb_says(shared: Path, name: str, step: int, exact: bool) -> None:
    folder = shared / "data" / name
    for path in sample_of(folder, step):
        recording, reference = read_record(folder, path), wfdb.rdrecord(str(folder / path))
        assert list(recording.source_leads) == reference.sig_name, "every row of these is a lead"
        assert recording.unit == ("NU" if reference.units[0] == "NU" else "mV")
        np.testing.assert_array_equal(recording.signal, reference.p_signal.T)
        assert (recording.stored is not None) == exact
        assert recording.fs == reference.fs


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(FORMATS)), st.integers(1, 3), st.integers(1, 41), st.integers(0, 2**32))
def test_any_bytes_are_what_wfdb_says(
    tmp_path_factory: pytest.TempPathFactory, form: str, rows: int, samples: int, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    raw = np.random.default_rng(seed).integers(0, 256, FORMATS[form].size(rows * samples), np.uint8)
    raw[: len(raw) // 4] = 0x80 if form not in ("61", "80") else 0  # some of these are missing samples
    if form == "311":
        raw[3::4] &= 0x3F  # wfdb takes one of the two unused bits for a part of the third sample
    (folder / "made.dat").write_bytes(bytes(raw))
    lines = [f"made.dat {form} 2000000({row})/mV 16 0" for row in range(rows)]
    lines = [f"{line} 0 0 0 {lead}" for line, lead in zip(lines, ("I", "II", "III"), strict=False)]
    (folder / "made.hea").write_text("\n".join([f"made {rows} 500 {samples}", *lines]) + "\n")
    header, reference = read_header(folder, "made"), wfdb.rdrecord(str(folder / "made")).p_signal.T
    assert isinstance(header.layout, SegmentLayout)
    assume(np.isfinite(reference).any())
    recording = read_signal(folder, "made", replace(header, layout=replace(header.layout, checksums=(None,) * rows)))
    if recording.scaling is None:
        np.testing.assert_array_equal(recording.signal, reference)
    else:
        np.testing.assert_array_equal(np.isnan(recording.signal), np.isnan(reference))
        steps = np.array(recording.scaling.steps)[:, None] / 1000
        assert np.nanmax(np.abs(recording.signal - reference) / steps) <= 0.501


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_the_mark_of_a_missing_sample_is_that_of_its_format(form: str) -> None:
    assert FORMATS[form].missing == wfdb.io._signal.INVALID_SAMPLE_VALUE[form]
    extremes = {
        "16": b"\x00\x80",
        "61": b"\x80\x00",
        "160": b"\x00\x00",
        "80": b"\x00",
        "310": b"\x00\x04",
        "311": b"\x00\x02",
        "212": b"\x00\x08",
        "24": b"\x00\x00\x80",
        "32": b"\x00\x00\x00\x80",
    }
    if form == "8":
        return  # differences have none
    assert FORMATS[form].unpack(memoryview(extremes[form]), 1).tolist() == [FORMATS[form].missing]


@pytest.mark.parametrize(
    ("gain", "unit", "step"),
    [
        ("1000", "mV", 1),
        ("200.0", "mV", 5),
        ("1", "uV", 1),
        ("0.2", "uV", 5),
        ("1e6", "V", 1),
        ("1000(7)", "mV", 1),
        ("500", "NU", 2),
        ("2000", "mV", None),
        ("1000.5", "mV", None),
        ("7247", "mV", None),
        ("300", "mV", None),
    ],
)
def test_whole_microvolts_are_kept_exactly(tmp_path: Path, gain: str, unit: str, step: int | None) -> None:
    counts = np.array([0, 1, -1, 6000, -6000, -32768], "<i2")
    (tmp_path / "r.dat").write_bytes(counts.tobytes())
    (tmp_path / "r.hea").write_text(f"r 1 500 6\nr.dat 16 {gain}/{unit} 16 0 0 {int(counts.sum())} 0 II\n")
    recording = read_record(tmp_path, "r")
    baseline = 7 if "(7)" in gain else 0
    if step is None:
        assert recording.stored is None
    else:
        assert recording.stored is not None
        expected = (counts[:5].astype(int) - baseline) * step
        assert recording.stored.tolist() == [[*expected.tolist(), -32768]]
    assert np.isnan(recording.signal[0]).tolist() == [False] * 5 + [True]


def test_inverted_leads_and_values_out_of_range(tmp_path: Path) -> None:
    counts = np.array([[100, 30000], [-100, -7]], "<i2")
    (tmp_path / "r.dat").write_bytes(counts.tobytes())
    text = "r 2 500 2\nr.dat 16 1000/mV 16 0 0 0 0 -aVR\nr.dat 16 200/mV 16 0 0 29993 0 II\n"
    (tmp_path / "r.hea").write_text(text)
    recording = read_record(tmp_path, "r")
    assert recording.scaling is not None, "30000 counts of 5 microvolts are beyond int16"
    assert recording.scaling.steps == (1.0, 5.0)
    np.testing.assert_array_equal(recording.signal, [[-0.1, 0.1], [150, -0.035]])
    inverted = recording.only(("aVR",))
    (tmp_path / "r.hea").write_text(text.replace("200/mV", "1000/mV"))
    again = read_record(tmp_path, "r").only(("aVR",))
    assert again.stored is not None and again.stored.tolist() == [[-100, 100]]
    np.testing.assert_array_equal(again.signal, inverted.signal)


def test_a_checksum_of_another_signal_costs_nothing_and_that_of_a_lead_does(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "r", synthetic_signal(50, 3), ("I", "RESP", "II"))
    header = tmp_path / "r.hea"
    lines = header.read_text().splitlines()
    for row, accepted in ((2, True), (3, False)):
        parts = lines[row].split()
        parts[6] = str(int(parts[6]) + 1)
        header.write_text("\n".join([*lines[:row], " ".join(parts), *lines[row + 1 :]]) + "\n")
        if accepted:
            assert read_record(tmp_path, "r").leads == ("I", "II")
        else:
            with pytest.raises(RecordError, match="lead II has checksum"):
                read_record(tmp_path, "r")


def test_a_header_without_length_takes_that_of_its_file(shared: Path, tmp_path: Path) -> None:
    odd = shared / "data" / "wfdb-odd"
    with_length, without = read_record(odd, "a103l"), read_record(odd, "a103l-no-len")
    assert with_length.leads == ("II",)
    assert with_length.other == ("V", "PLETH")
    np.testing.assert_array_equal(with_length.signal, without.signal)


def test_signals_in_several_files_and_formats(shared: Path, tmp_path: Path) -> None:
    odd = shared / "data" / "wfdb-odd"
    reference = wfdb.rdrecord(str(odd / "binformats"))
    text = (odd / "binformats.hea").read_text()
    names = {3: "V1", 5: "V2", 1: "V3", 8: "II", 9: "I", 2: "aVL", 4: "aVF"}
    rows = [line for line in text.splitlines()[1:] if line.split("sig ")[1][0] in map(str, names)]
    for number, lead in names.items():
        rows = [row.split(f"sig {number},")[0] + lead if f"sig {number}," in row else row for row in rows]
    for file in odd.glob("binformats.d*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "r.hea").write_text("\n".join([f"r {len(rows)} 200 499", *rows]) + "\n")
    recording = read_record(tmp_path, "r")
    assert set(recording.leads) == set(names.values())
    for number, lead in names.items():
        one, step = recording.only((lead,)), 0.0
        if one.scaling is not None:
            step = one.scaling.steps[0] / 1000
        np.testing.assert_allclose(one.signal[0], reference.p_signal[:, number], rtol=1e-12, atol=0.501 * step)


def test_the_old_headers_of_the_challenge_hold_the_same_signals(shared: Path) -> None:
    """wfdb refuses them; the files are the same as those beside the newer headers."""
    data = shared / "data"
    for path in sample_of(data / "cinc2021-old-headers", 4):
        old, new = read_record(data / "cinc2021-old-headers", path), read_record(data / "cinc2021", path)
        assert old.stored is not None
        np.testing.assert_array_equal(old.stored, new.stored)
        assert old.leads == new.leads
        strip = {line.replace(" ", "") for line in old.comments}
        assert strip == {line.replace(" ", "") for line in new.comments}


def test_a_header_travels_to_another_process_and_is_small(shared: Path) -> None:
    folder = shared / "data" / "ptb-xl"
    paths = sample_of(folder, 100)
    headers = [read_header(folder, path) for path in paths]
    for path, header in zip(paths, pickle.loads(pickle.dumps(headers)), strict=True):
        np.testing.assert_array_equal(read_signal(folder, path, header).signal, read_record(folder, path).signal)
    whole, one = len(pickle.dumps(headers)), len(pickle.dumps(headers[:1]))
    assert (whole - one) / (len(headers) - 1) < 300, "bytes a header of a batch"
