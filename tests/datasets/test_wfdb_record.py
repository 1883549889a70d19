"""One WFDB record: against wfdb itself, and everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgkit.datasets.comments import parse_comments
from ecgkit.datasets.wfdb_record import read_header, read_record
from ecgkit.errors import RecordError
from ecgkit.leads import STANDARD_LEADS
from tests.conftest import synthetic_signal, write_wfdb

UPPER = tuple(name.upper() for name in STANDARD_LEADS)


def test_a_record_is_what_wfdb_says(tmp_path: Path) -> None:
    signal = synthetic_signal(700)
    write_wfdb(tmp_path, "r", signal, UPPER, comments=("Age: 63", "Dx: 1,2"))
    recording = read_record(tmp_path, "r")
    plain = wfdb.rdrecord(str(tmp_path / "r"))
    np.testing.assert_array_equal(recording.signal, plain.p_signal.T)
    assert recording.leads == STANDARD_LEADS
    assert recording.source_leads == UPPER
    assert (recording.fs, recording.unit) == (500, "mV")
    assert parse_comments(recording.comments).labels == ("1", "2")


def test_leads_go_by_name_and_other_signals_are_named(tmp_path: Path) -> None:
    signal = synthetic_signal(100, 4)
    write_wfdb(tmp_path, "r", signal, ("V2", "RESP", "-avr", "i"))
    recording = read_record(tmp_path, "r")
    assert recording.leads == ("V2", "aVR", "I")
    assert recording.other == ("RESP",)
    np.testing.assert_allclose(recording.signal, signal[[0, 2, 3]] * [[1], [-1], [1]], atol=1e-3)


@pytest.mark.parametrize(
    ("unit", "factor", "kept"), [("uV", 1e-3, "mV"), ("mv", 1, "mV"), ("V", 1e3, "mV"), ("NU", 1, "NU")]
)
def test_units_become_millivolts_and_none_stays_none(tmp_path: Path, unit: str, factor: float, kept: str) -> None:
    signal = synthetic_signal(100)
    write_wfdb(tmp_path, "r", signal, unit=unit)
    recording = read_record(tmp_path, "r")
    np.testing.assert_allclose(recording.signal, signal * factor, atol=1e-3 * factor)
    assert recording.unit == kept


def test_missing_samples_are_nan(tmp_path: Path) -> None:
    signal = synthetic_signal(100)
    signal[2, 5:9] = np.nan
    write_wfdb(tmp_path, "r", signal)
    recording = read_record(tmp_path, "r")
    assert np.flatnonzero(np.isnan(recording.signal[2])).tolist() == [5, 6, 7, 8]
    assert np.isnan(recording.signal).sum() == 4


def damage(folder: Path, kind: str) -> None:
    header, data = folder / "r.hea", folder / "r.dat"
    text = header.read_text()
    if kind == "truncated":
        data.write_bytes(data.read_bytes()[:-100])
    elif kind == "bit flip":
        content = bytearray(data.read_bytes())
        content[500] ^= 4
        data.write_bytes(bytes(content))
    elif kind == "no signal file":
        data.unlink()
    elif kind == "no header":
        header.unlink()
    elif kind == "empty header":
        header.write_text("")
    elif kind == "binary header":
        header.write_bytes(bytes(range(256)))
    else:
        header.write_text(text.replace("r.dat", kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "cut short: 2300 bytes; expected at least 2400"),
        ("bit flip", "checksum"),
        ("no signal file", "does not exist"),
        ("no header", "r.hea does not exist"),
        ("empty header", "an empty file"),
        ("binary header", "record line"),
        ("../r.dat", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("..\\r.dat", "leads out of"),
        ("sub/../../r.dat", "leads out of"),
    ],
)
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, kind: str, message: str) -> None:
    folder = tmp_path / "data"
    write_wfdb(folder, "r", synthetic_signal(100))
    (tmp_path / "r.dat").write_bytes((folder / "r.dat").read_bytes())  # where a traversal would lead
    damage(folder, kind)
    with pytest.raises(RecordError) as error:
        read_record(folder, "r")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_followed(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "elsewhere", "r", synthetic_signal(100))
    inside = tmp_path / "data"
    write_wfdb(inside / "annex", "r", synthetic_signal(100))
    (inside / "r.hea").symlink_to(inside / "annex" / "r.hea")
    (inside / "r.dat").symlink_to(inside / "annex" / "r.dat")
    assert read_record(inside, "r").leads == STANDARD_LEADS
    (inside / "r.dat").unlink()
    (inside / "r.dat").symlink_to(tmp_path / "elsewhere" / "r.dat")
    with pytest.raises(RecordError, match="link that leads out of"):
        read_record(inside, "r")


def test_a_folder_may_be_named_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wfdb(tmp_path / "data" / "a b", "r", synthetic_signal(100))
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "here")
    for root in ("../data", "../link", "./../here/../data/"):
        assert read_record(Path(root), "a b/r").leads == STANDARD_LEADS


def test_all_missing_and_no_lead_are_refused(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "nan", np.full((12, 50), np.nan))
    with pytest.raises(RecordError, match="every sample of nan is missing"):
        read_record(tmp_path, "nan")
    write_wfdb(tmp_path, "eeg", synthetic_signal(50, 2), ("Fp2-F4", "C4-A1"))
    with pytest.raises(RecordError, match="Fp2-F4, C4-A1"):
        read_header(tmp_path, "eeg")


@pytest.mark.parametrize(
    ("lines", "labels", "age", "sex"),
    [
        (("Age: 63", "Sex: Female", "Dx: 426783006,164934002"), ("426783006", "164934002"), 63, "F"),
        (("<age>: 51", "<sex>: M"), (), 51, "M"),
        (("# Dx: RBBB", "Age: NaN", "Sex: Unknown"), ("RBBB",), None, None),
        (("75 F 1011 654 x1", "Diapres"), (), None, None),
        (("<age>: 65 <sex>: F <diagnoses> Coronary artery disease",), (), 65, "F"),
        (("age: 300", "gender: male", "Dx: Unknown"), (), 90, "M"),
        (('Dx: "426783006","164934002"', "Age: 6 months"), ("426783006", "164934002"), 0.5, None),
        ((), (), None, None),
    ],
)
def test_comments_of_real_datasets(lines, labels, age, sex) -> None:
    comments = parse_comments(lines)
    assert (comments.labels, comments.age, comments.sex) == (labels, age, sex)


def test_keys_of_one_line_are_told_apart() -> None:
    comments = parse_comments(("<age>: 65 <sex>: F <diagnoses>: LBBB <medications>: none", "pH: 7 < 8 > 6"))
    assert comments.columns == {"diagnoses": "LBBB", "medications": "none", "pH": "7 < 8 > 6"}


def test_odd_real_records(shared: Path) -> None:
    odd = shared / "data" / "wfdb-odd"
    frank = read_record(odd, "s0010_re")
    assert frank.leads[-3:] == ("VX", "VY", "VZ")
    plain = wfdb.rdrecord(str(odd / "s0010_re"))
    np.testing.assert_allclose(frank.signal, plain.p_signal.T)
    gaps = read_record(odd, "s25047/s25047-2704-05-04-10-44")
    assert np.isnan(gaps.signal).any()
    with pytest.raises(RecordError, match="30 of its 33 segments"):
        read_header(odd, "p000878/p000878-2137-10-26-16-57")
    beats = read_record(shared / "data" / "mit-bih", "114")
    assert beats.leads == ("V5", "II")
    reference = wfdb.rdann(str(shared / "data" / "mit-bih" / "114"), "atr")
    assert beats.rpeaks is not None
    assert len(beats.rpeaks) == sum(symbol not in "+~|\"'[]!x" for symbol in reference.symbol)


def test_a_gain_of_zero_is_no_calibration(tmp_path: Path) -> None:
    counts = np.arange(-50, 50)[:, None].repeat(2, 1)
    for name, gain in (("zero", "0"), ("zero_unit", "0.0(0)/uV"), ("unitless", "200")):
        wfdb.wrsamp(
            name,
            fs=500,
            units=["mV"] * 2,
            sig_name=["I", "II"],
            d_signal=counts,
            fmt=["16"] * 2,
            adc_gain=[200.0] * 2,
            baseline=[0] * 2,
            write_dir=str(tmp_path),
        )
        header = tmp_path / f"{name}.hea"
        assert "200.0(0)/mV" in header.read_text()
        header.write_text(header.read_text().replace("200.0(0)/mV", gain))
        recording = read_record(tmp_path, name)
        assert recording.unit == ("mV" if name == "unitless" else "NU")
        np.testing.assert_allclose(recording.signal[0], counts[:, 0] / 200)


def test_a_lead_without_a_unit_hides_none_in_millivolts(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "r", synthetic_signal(100, 3), ("II", "ii", "I"))
    header = tmp_path / "r.hea"
    lines = header.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace("/mV", "/NU")
    header.write_text("".join(lines))
    found = read_header(tmp_path, "r")
    assert (found.source_leads, found.leads, found.unit, found.other) == (("ii", "I"), ("II", "I"), "mV", ("II",))


def test_annotations_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    write_wfdb(tmp_path / "data", "r", synthetic_signal(100))
    wfdb.wrann("secret", "atr", np.array([5]), ["N"], write_dir=str(tmp_path))
    (tmp_path / "data" / "r.atr").symlink_to(tmp_path / "secret.atr")
    with pytest.raises(RecordError, match="link that leads out of"):
        read_record(tmp_path / "data", "r")


def test_a_line_hidden_in_a_comment_leads_nowhere(tmp_path: Path) -> None:
    """A comment is never read as a line, whatever is in it."""
    write_wfdb(tmp_path, "r", synthetic_signal(100))
    header = tmp_path / "r.hea"
    header.write_bytes(header.read_bytes() + "# \u00c5 ../../x of \u00c5/y\n".encode())
    header.write_bytes(header.read_bytes() + b"# a\x0c../../secret.dat 16 200 16 0 0 0 0 V7\n")
    assert read_header(tmp_path, "r").leads == STANDARD_LEADS
    header.write_bytes(header.read_bytes().replace(b"r.dat 16 ", b"r.dat 16:2 ", 1))
    assert read_header(tmp_path, "r").leads == STANDARD_LEADS
