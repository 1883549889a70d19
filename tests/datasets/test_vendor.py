"""Every kind of vendor's file: amplitudes, leads, rate, patient, report; bad files, and only they, go to the ledger."""

import base64
import os
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ecgkit
from ecgkit.datasets.vendor import kinds, layout
from ecgkit.datasets.vendor.kinds import kind_of
from ecgkit.datasets.vendor.layout import VendorFiles
from ecgkit.errors import DatasetError, RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.store.reader import Store
from tests.datasets import vendor_files as make

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def read(file: Path) -> Recording:
    dataset = VendorFiles(file)
    (source,) = dataset.sources()
    return dataset.read(source, dataset.header(source))


def refused(file: Path) -> str:
    with pytest.raises(RecordError) as caught:
        read(file)
    assert str(file.parent) not in str(caught.value)
    assert make.PERSON not in str(caught.value)
    return str(caught.value)


# What each generated file holds: writer, suffix, number of leads, mV per step, rate, leads, patient.
WRITTEN: dict[str, tuple[Callable[..., Path], str, int, float, float, tuple[str, ...], str]] = {
    "aecg": (make.write_aecg, ".xml", 12, 0.0025, 500, STANDARD_LEADS, "P7"),
    "muse": (make.write_muse, ".xml", 8, 0.00488, 500, EIGHT, "P9"),
    "sierra": (make.write_sierra, ".xml", 12, 0.005, 500, STANDARD_LEADS, "P3"),
    "scp": (make.write_scp, ".scp", 8, 0.005, 500, EIGHT, "P5"),
    "ishne": (make.write_ishne, ".ecg", 3, 0.002, 200, ("V1", "V5", "aVF"), "P8"),
    "dicom": (make.write_dicom, ".dcm", 12, 0.00125, 500, STANDARD_LEADS, "P6"),
    "edf": (make.write_edf, ".edf", 12, 0.001, 250, STANDARD_LEADS, "P2"),
    "healforce": (make.write_healforce, ".scp", 3, 0.01, 150, ("I", "II", "III"), "P4"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_sample_of_a_generated_file(kind: str, tmp_path: Path) -> None:
    write, suffix, number, step, fs, leads, patient = WRITTEN[kind]
    data = make.counts(500, number)
    file = write(tmp_path / f"x{suffix}", data)
    dataset = VendorFiles(file)
    (source,) = dataset.sources()
    header = dataset.header(source)
    recording = dataset.read(source, header)
    assert (recording.leads, recording.fs, recording.unit) == (leads, fs, "mV")
    assert header.patient_id == patient
    np.testing.assert_allclose(recording.signal, data * step, atol=1e-9)


def test_what_a_file_says_becomes_columns(tmp_path: Path) -> None:
    for kind, (write, suffix, number, *_) in WRITTEN.items():
        write(tmp_path / f"{kind}{suffix}", make.counts(1000, number))
    report = ecgkit.ingest(tmp_path, out=tmp_path / "s.zarr")
    assert (report.taken, report.failed) == (8, 0)
    table = Store(tmp_path / "s.zarr").table.frame()
    rows = {row["record_id"].partition(".")[0]: row for row in table.to_dict("records")}
    assert rows["muse"]["report"] == "Normal sinus rhythm\nNormal ECG"
    assert [
        rows["muse"][c] for c in ("heart_rate", "pr_interval", "qrs_duration", "qt_interval", "qrs_axis", "age")
    ] == [
        72,
        160,
        90,
        400,
        -12,
        61,
    ]
    assert (rows["muse"]["acquired"], rows["muse"]["device"]) == ("2021-03-04T10:11:12", "MAC55")
    assert (rows["aecg"]["report"], rows["aecg"]["pr_interval"], rows["aecg"]["sex"]) == ("Sinus rhythm", 148, "F")
    assert rows["aecg"]["age"] == 204  # from the birth date, which itself is not stored
    assert (rows["dicom"]["heart_rate"], rows["dicom"]["lowpass"], rows["dicom"]["age"]) == (71, 150, 36)
    assert (rows["edf"]["acquired"], rows["edf"]["device"]) == ("2020-05-06T07:08:09", "Holter 9")
    assert (rows["scp"]["acquired"], rows["healforce"]["acquired"]) == ("2019-08-07T06:05:04", "2019-08-08T00:04:10")
    assert report.other == {"representative beats": 1, "calibration pulse": 1, "Resp": 1, "annotations": 1}


def test_no_name_and_no_birth_date_goes_into_a_store(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    for kind, (write, suffix, number, *_) in WRITTEN.items():
        write(src / f"{kind}{suffix}", make.counts(500, number))
    ecgkit.ingest(src, out=tmp_path / "s.zarr")
    content = b"".join(file.read_bytes() for file in (tmp_path / "s.zarr").rglob("*") if file.is_file())
    assert make.PERSON.encode() not in content
    assert make.BORN.encode() not in content
    ecgkit.ingest(src, out=tmp_path / "k.zarr", keep_identity=True)
    kept = Store(tmp_path / "k.zarr").table
    assert kept["patient_name"].str.contains(make.PERSON).sum() == 7  # the hand-held device knows no names
    assert (kept["birth_date"] == make.BORN).sum() == 3


def test_one_patient_is_in_one_fold(tmp_path: Path) -> None:
    for n in range(4):
        make.write_aecg(tmp_path / f"{n}.xml", make.counts(500))
    ecgkit.ingest(tmp_path, out=tmp_path / "s.zarr", hash_patients="key:12345678")
    table = Store(tmp_path / "s.zarr").table
    assert table["patient_id"].nunique() == table["fold"].nunique() == 1
    assert table["patient_id"][0] != "P7"


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    wrong = {"aecg": ".scp", "scp": ".edf", "edf": "", "dicom": ".1"}
    for kind, suffix in wrong.items():
        write, _, number, *_ = WRITTEN[kind]
        write(tmp_path / f"{kind}{suffix}", make.counts(500, number))
    (tmp_path / "README").write_text("no ECG")
    (tmp_path / "notes.txt").write_text("no ECG")
    report = ecgkit.ingest(tmp_path, out=tmp_path / "s.zarr")
    assert (report.taken, report.found) == (4, 4)


def test_a_namespace_prefix_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert kind_of(b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<hl7:AnnotatedECG xmlns:hl7="x">') is kinds.AECG
    assert kind_of('<?xml version="1.0"?><restingecgdata/>'.encode("utf-16")) is kinds.SIERRA
    assert kind_of(b"<html><body>AnnotatedECG</body></html>") is None


def test_rates_are_not_rounded(tmp_path: Path) -> None:
    assert read(make.write_aecg(tmp_path / "a.xml", make.counts(), fs=256.41)).fs == pytest.approx(256.41, abs=1e-3)
    assert read(make.write_dicom(tmp_path / "d.dcm", make.counts(), fs=249.75, median=False)).fs == 249.75


def test_leads_of_two_rates_get_the_rate_of_most(tmp_path: Path) -> None:
    data = np.round(300 * np.sin(np.arange(1000) / 20) * np.ones((3, 1))).astype(np.int16)
    recording = read(make.write_edf(tmp_path / "x.edf", data, ("I", "II", "V1"), slow=2))
    assert (recording.fs, recording.samples, recording.leads) == (250, 1000, ("I", "II", "V1"))
    assert recording.facts["resampled_leads"] == "ECG V1 (125 Hz)"
    np.testing.assert_allclose(recording.signal[2, 100:-100], data[0, 100:-100] / 1000, atol=0.003)


def test_24_bit_edf(tmp_path: Path) -> None:
    data = make.counts(500, 2)
    recording = read(make.write_edf(tmp_path / "x.bdf", data, ("I", "V4R"), bdf=True))
    assert recording.leads == ("I", "V4R")
    np.testing.assert_allclose(recording.signal, data / 1000)


def test_gaps_of_edf_are_missing_samples(tmp_path: Path) -> None:
    file = make.write_edf(tmp_path / "x.edf", make.counts(1000, 1), ("II",))
    raw = file.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    file.write_bytes(raw.replace(b"+2\x14\x14", b"+9\x14\x14").replace(b"+3\x14\x14\0\0", b"+10\x14\x14\0"))
    signal = read(file).signal[0]
    missing = np.isnan(signal)
    assert (signal.size, missing.sum()) == (2750, 1750)
    np.testing.assert_allclose(signal[~missing], make.counts(1000, 1)[0] / 1000)


def test_free_text_about_a_patient_is_not_an_id(tmp_path: Path) -> None:
    file = make.write_edf(tmp_path / "x.edf", make.counts(500, 1), ("I",))
    raw = bytearray(file.read_bytes())
    raw[8:88] = f"{make.PERSON} Ada born 1815".encode().ljust(80)
    file.write_bytes(raw)
    dataset = VendorFiles(file)
    assert dataset.header(dataset.sources()[0]).patient_id is None
    assert read(file).facts["patient_text"] == f"{make.PERSON} Ada born 1815"
    raw[8:88] = b"case-17".ljust(80)
    file.write_bytes(raw)
    assert dataset.header(dataset.sources()[0]).patient_id == "case-17"


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("prolog", [BOMB, OUTSIDE])
@pytest.mark.parametrize("write", [make.write_aecg, make.write_muse])
def test_entities_are_refused(write: Callable[..., Path], prolog: str, tmp_path: Path) -> None:
    file = write(tmp_path / "x.xml", make.counts())
    text = re.sub(r"^<\?xml.*?\?>(<!DOCTYPE[^>]*>)?", prolog, file.read_text())
    file.write_text(re.sub("Sinus rhythm|Normal ECG", "&b;" if prolog is BOMB else "&a;", text))
    assert "ntit" in refused(file)


def test_entities_are_refused_in_philips_files(tmp_path: Path) -> None:
    file = make.write_sierra(tmp_path / "x.xml", make.counts(), note='<!DOCTYPE a [<!ENTITY a "ha">]>')
    assert "ntit" in refused(file)


def damaged(raw: bytes) -> dict[str, bytes]:
    return {"cut": raw[: len(raw) // 2], "short": raw[:200], "empty": b""}


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("fault", ["cut", "short", "empty"])
def test_cut_files_are_refused(kind: str, fault: str, tmp_path: Path) -> None:
    write, suffix, number, *_ = WRITTEN[kind]
    file = write(tmp_path / f"x{suffix}", make.counts(2000, number))
    file.write_bytes(damaged(file.read_bytes())[fault])
    refused(file)


@pytest.mark.parametrize("kind", WRITTEN)
def test_changed_bytes_never_give_another_error(kind: str, tmp_path: Path) -> None:
    write, suffix, number, *_ = WRITTEN[kind]
    file = write(tmp_path / f"x{suffix}", make.counts(500, number))
    raw, rng = file.read_bytes(), np.random.default_rng(5)
    for _ in range(15):
        spoilt = bytearray(raw)
        for place in rng.integers(0, min(len(raw), 1500), 4):
            spoilt[place] = rng.integers(256)
        file.write_bytes(spoilt)
        try:
            read(file)
        except RecordError:
            continue


def test_checksums_are_verified(tmp_path: Path) -> None:
    assert "CRC" in refused(make.write_scp(tmp_path / "x.scp", make.counts(500, 8), spoil=True))
    assert "CRC" in refused(make.write_muse(tmp_path / "x.xml", make.counts(500, 8), spoil=1))
    raw = bytearray(make.write_ishne(tmp_path / "x.ecg", make.counts(500, 3)).read_bytes())
    raw[120] ^= 1
    (tmp_path / "x.ecg").write_bytes(raw)
    assert "checksum" in refused(tmp_path / "x.ecg")


def test_an_scp_file_without_checksums_is_taken(tmp_path: Path) -> None:
    raw = bytearray(make.write_scp(tmp_path / "x.scp", make.counts(500, 8)).read_bytes())
    for start in (0, 6, *(index - 1 for _, _, index in struct.iter_unpack("<HII", raw[32:62]))):
        raw[start : start + 2] = b"\0\0"
    (tmp_path / "x.scp").write_bytes(raw)
    assert read(tmp_path / "x.scp").samples == 500


def test_claims_that_no_file_can_keep(tmp_path: Path) -> None:
    assert "claim" in refused(make.write_scp(tmp_path / "x.scp", make.counts(100, 8), claimed=2**31))
    file = make.write_edf(tmp_path / "x.edf", make.counts(500, 2), ("I", "II"))
    raw = bytearray(file.read_bytes())
    raw[236:244] = b"99999999"
    file.write_bytes(raw)
    assert "99,999,999 data records" in refused(file)
    dicom = make.write_dicom(tmp_path / "x.dcm", make.counts(100))
    raw = bytearray(dicom.read_bytes())
    place = raw.index(b"\x00\x54\x10\x10OW\0\0") + 8
    raw[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    dicom.write_bytes(raw)
    refused(dicom)


def test_bombs_are_not_unpacked(tmp_path: Path) -> None:
    raw = make.write_dicom(tmp_path / "x.dcm", make.counts(100)).read_bytes()
    raw = raw.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    length = struct.unpack_from("<I", raw, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(80)) + packer.flush()
    (tmp_path / "x.dcm").write_bytes(raw[: 144 + length] + bomb)
    assert "unpacks to more" in refused(tmp_path / "x.dcm")


def test_a_philips_bomb_is_not_unpacked(tmp_path: Path) -> None:
    # LZW of zeros: each code stands for one more zero than the code before, until the table is full.
    codes = [0, *range(256, 1022)] + [1021] * 120_000
    bits = "".join(f"{code:010b}" for code in codes)
    chunk = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    packed = base64.b64encode(struct.pack("<iHh", len(chunk), 0, 0) + chunk).decode()
    file = make.write_sierra(tmp_path / "x.xml", make.counts(100))
    text = re.sub(
        r'resolution="5">[^<]*<', f'resolution="5" compression="XLI">{packed}<', file.read_bytes().decode("utf-16")
    )
    file.write_bytes(text.encode("utf-16"))
    assert "unpacks to more" in refused(file)


def test_what_is_no_file_is_told_and_nothing_else_is_lost(tmp_path: Path) -> None:
    src = tmp_path / "src"
    (src / "deep" / "er").mkdir(parents=True)
    make.write_aecg(src / "deep" / "er" / "good.xml", make.counts(500))
    make.write_scp(tmp_path / "outside.scp", make.counts(500, 8))
    os.mkfifo(src / "pipe.edf")
    (src / "out.scp").symlink_to(tmp_path / "outside.scp")
    (src / "random.dcm").write_bytes(np.random.default_rng(1).bytes(5000))
    (src / "page.xml").write_text("<html/>")
    report = ecgkit.ingest(src, out=tmp_path / "s.zarr")
    assert report.taken == 1
    told = {row.path: (row.stage, row.reason) for row in report.rejected}
    assert "not a regular file" in told["pipe.edf"][1]
    assert "leads out" in told["out.scp"][1]
    assert "no known kind" in told["random.dcm"][1]
    assert "no known kind" in told["page.xml"][1]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "find_spec", lambda name: None if name == "edfio" else object())
    with pytest.raises(DatasetError, match=r"edfio. Run: pip install '.*\[vendor\]'"):
        VendorFiles(tmp_path).sources()


def test_a_table_of_names_may_name_leads(tmp_path: Path) -> None:
    make.write_edf(tmp_path / "x.edf", make.counts(500, 2), ("ch1", "ch2"))
    with pytest.raises(DatasetError, match="--lead-names"):
        ecgkit.ingest(tmp_path, out=tmp_path / "s.zarr")
    ecgkit.ingest(tmp_path, out=tmp_path / "s.zarr", lead_names="ECG ch1=I, ECG ch2=V2")
    store = Store(tmp_path / "s.zarr")
    assert store.leads == ("I", "V2")
    np.testing.assert_allclose(store.recording(0).signal[1], make.counts(500, 2)[1] / 1000)


# The real files, read here once more by other means.


@pytest.fixture(scope="module")
def real(shared: Path) -> Path:
    folder = shared / "data" / "vendor"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    return folder


def test_real_aecg(real: Path) -> None:
    recording = read(real / "aecg-example.xml")
    name = "{urn:hl7-org:v3}"
    wanted: dict[str, NDArray[Any]] = {}
    series = ET.parse(real / "aecg-example.xml").getroot().find(f"{name}component/{name}series")
    assert series is not None
    for sequence in series.iterfind(f"{name}component/{name}sequenceSet/{name}component/{name}sequence"):
        code, digits = sequence.find(f"{name}code"), sequence.find(f"{name}value/{name}digits")
        if code is not None and digits is not None and digits.text:
            wanted[code.attrib["code"].rpartition("_")[2].lower()] = np.array(digits.text.split(), float) * 2.5 / 1000
    assert (recording.fs, recording.samples, set(recording.leads)) == (500, 5000, set(STANDARD_LEADS))
    for lead, signal in zip(recording.leads, recording.signal, strict=True):
        np.testing.assert_allclose(signal, wanted[lead.lower()], atol=1e-9)
    facts = recording.facts
    assert (facts["pr_interval"], facts["qrs_duration"], facts["qt_interval"], facts["qrs_axis"]) == (
        148,
        120,
        420,
        -61,
    )
    assert (facts["age"], facts["sex"], facts["acquired"]) == (46, "M", "2002-11-22T09:10:00")


def test_real_dicom(real: Path) -> None:
    import pydicom

    recording = read(real / "dicom-12lead.dcm")
    dicom = pydicom.dcmread(real / "dicom-12lead.dcm")
    group = dicom.WaveformSequence[0]
    volts = dicom.waveform_array(0).T  # pydicom applies sensitivity and baseline; the unit is mV
    assert (recording.fs, recording.samples) == (float(group.SamplingFrequency), 2400)
    for channel, wanted in zip(group.ChannelDefinitionSequence, volts, strict=True):
        named = channel.ChannelSourceSequence[0].CodeMeaning.replace("Lead", "").split("(")[0].strip()
        row = [lead.lower() for lead in recording.leads].index(named.lower())
        np.testing.assert_allclose(recording.signal[row], wanted, atol=1e-9)
    assert (recording.facts["heart_rate"], recording.facts["age"]) == (69, 55)


def test_real_philips_files_end_before_the_calibration_pulse(real: Path) -> None:
    for name, samples, rate in (("philips-sierra-103.xml", 5264, 41), ("philips-sierra-104.xml", 5300, 84)):
        recording = read(real / name)
        leads = dict(zip(recording.leads, recording.signal, strict=True))
        assert (recording.fs, recording.samples, recording.leads) == (500, samples, STANDARD_LEADS)
        assert recording.facts["heart_rate"] == rate
        # Four limb leads are stored as differences from what I and II give, so a wrong decoding breaks these laws.
        np.testing.assert_allclose(leads["III"], leads["II"] - leads["I"], atol=0.0101)
        np.testing.assert_allclose(leads["aVF"], (leads["II"] + leads["III"]) / 2, atol=0.0101)


def test_real_scp(real: Path) -> None:
    recording = read(real / "scp-1.scp")
    assert recording.leads == ("I", "II", "V3R", "V1", "V2", "V4", "V6", "V7")
    assert (recording.fs, recording.samples) == (pytest.approx(600, abs=0.5), 6000)
    assert recording.facts["report"].startswith("Analyserad med")
    raw = (real / "scp-1.scp").read_bytes()
    sections = {n: (i, size) for n, size, i in struct.iter_unpack("<HII", raw[22:142])}
    np.testing.assert_allclose(recording.signal[0], _huffman_differences(raw, *sections[6]), atol=1e-9)


def _huffman_differences(raw: bytes, index: int, size: int) -> NDArray[np.float64]:
    """The first lead of section 6, decoded bit by bit with the standard's default table; first differences."""
    body = raw[index - 1 + 16 : index - 1 + size]
    step, _, kind, _ = struct.unpack_from("<HHBB", body)
    assert kind == 1
    first = struct.unpack_from("<H", body, 6)[0]
    bits = iter("".join(f"{byte:08b}" for byte in body[6 + 2 * 8 : 6 + 2 * 8 + first]))
    values: list[int] = []
    while len(values) < 6000:
        ones = 0
        while ones < 10 and next(bits) == "1":
            ones += 1
            if ones == 9:  # one more bit says whether 8 or 16 bits follow
                break
        if ones == 0:
            values.append(0)
        elif ones < 9:
            values.append(-ones if next(bits) == "1" else ones)
        else:
            width = 16 if next(bits) == "1" else 8
            number = int("".join(next(bits) for _ in range(width)), 2)
            values.append(number - (1 << width) if number >> (width - 1) else number)
    return np.cumsum(values) * step / 1e6


def test_real_hand_held_device(real: Path) -> None:
    recording = read(real / "healforce-62.scp")
    assert (recording.fs, recording.samples, recording.leads) == (150, 4500, ("I", "II", "III"))
    first, second, third = recording.signal
    assert np.abs(second - first - third).mean() < 0.25 * np.abs(second - second.mean()).mean()


@pytest.mark.parametrize(
    ("at", "text", "message"),
    [
        (252, "9999", "the header gives 9999 signals, but the file has"),
        (252, "0   ", "the header gives 0 signals"),
        (236, "many    ", "'many' as the number of data records; expected a number"),
        (244, "0       ", "the header gives 0 s per data record; expected a number above 0"),
    ],
)
def test_numbers_of_an_edf_header_that_cannot_be_right(tmp_path: Path, at: int, text: str, message: str) -> None:
    file = make.write_edf(tmp_path / "a.edf", make.counts(500))
    raw = bytearray(file.read_bytes())
    raw[at : at + len(text)] = text.encode()
    file.write_bytes(raw)
    assert message in refused(file)
