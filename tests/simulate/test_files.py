from datetime import datetime
from pathlib import Path

import numpy as np
import wfdb

from ecgkit.leads import STANDARD_LEADS
from ecgkit.simulate.files import FILE_LEADS, GAIN, quantise, write_beats, write_record

TIME = datetime(2151, 7, 23, 8, 44)


def signal() -> np.ndarray:
    rng = np.random.default_rng(0)
    out = dict(zip(STANDARD_LEADS, rng.normal(0, 0.8, (12, 400)), strict=True))
    out["III"] = out["II"] - out["I"]
    out |= {"aVR": -(out["I"] + out["II"]) / 2, "aVL": out["I"] - out["II"] / 2, "aVF": out["II"] - out["I"] / 2}
    return np.stack([out[name] for name in STANDARD_LEADS])


def test_quantise_keeps_values_and_marks_what_is_missing() -> None:
    ecg = signal()
    ecg[3, 10:20] = np.nan
    units = dict(zip(FILE_LEADS, quantise(ecg), strict=True))
    for name, row in zip(STANDARD_LEADS, ecg, strict=True):
        present = np.isfinite(row)
        assert np.abs(units[name][present] - row[present] * GAIN).max() <= 1.51  # of two roundings
        assert (units[name][~present] == -32768).all()
    np.testing.assert_array_equal(units["III"], units["II"] - units["I"])


def test_quantise_saturates_instead_of_wrapping() -> None:
    units = dict(zip(FILE_LEADS, quantise(signal() * 1000), strict=True))
    np.testing.assert_array_equal(units["III"], units["II"] - units["I"])
    assert units["V1"].max() == 16000


def test_wfdb_reads_what_was_written(tmp_path: Path) -> None:
    samples = quantise(signal())
    samples[:, 100:110] = -32768
    write_record(tmp_path / "40000001", samples, fs=500.0, time=TIME, comments=["Age: 63", "Dx: 1,2"])
    record = wfdb.rdrecord(str(tmp_path / "40000001"), physical=False)
    assert record.sig_name == list(FILE_LEADS)
    assert record.fs == 500
    assert record.adc_gain == [200.0] * 12
    assert record.units == ["mV"] * 12
    assert record.comments == ["Age: 63", "Dx: 1,2"]
    assert record.base_datetime == TIME
    np.testing.assert_array_equal(record.d_signal.T, samples)
    assert record.init_value == samples[:, 0].tolist()
    assert record.checksum == record.calc_checksum()
    physical = wfdb.rdrecord(str(tmp_path / "40000001")).p_signal
    assert np.isnan(physical[100:110]).all()
    assert np.isfinite(physical[110:]).all()


def test_annotations_read_back_over_any_interval(tmp_path: Path) -> None:
    rpeaks = np.array([0, 3, 1026, 2050, 5000, 80_000, 80_400])
    ectopic = np.array([False, True, False, False, True, False, True])
    write_beats(tmp_path / "r", rpeaks, ectopic)
    beats = wfdb.rdann(str(tmp_path / "r"), "atr")
    np.testing.assert_array_equal(beats.sample, rpeaks)
    assert "".join(beats.symbol) == "NVNNVNV"


def test_no_beat_is_an_empty_annotation_file(tmp_path: Path) -> None:
    write_beats(tmp_path / "r", np.array([], dtype=np.int64), np.array([], dtype=bool))
    assert (tmp_path / "r.atr").read_bytes() == b"\0\0"
