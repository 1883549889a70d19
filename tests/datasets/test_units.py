"""Units in every spelling, and leads and units that the user states."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ecgkit.datasets.channels import Naming, find_rows, microvolts_of
from ecgkit.datasets.given import Given
from ecgkit.datasets.wfdb_record import read_header, read_signal
from ecgkit.errors import ConfigError, RecordError
from tests.conftest import synthetic_signal, write_wfdb


@pytest.mark.parametrize(
    ("unit", "microvolts"),
    [
        *(("V", 1_000_000), ("volts", 1_000_000), ("mV", 1000), ("MV", 1000), ("milliVolt", 1000)),
        ("nV", Fraction(1, 1000)),
        *(("MDC_DIM_MILLI_VOLT", 1000), ("uV", 1), ("µV", 1), ("μV", 1), ("microvolt", 1), ("[uV]", 1), ("mcV", 1)),
        *(("millivolts", 1000), ("nanovolt", Fraction(1, 1000)), ("4.88uV", Fraction(488, 100)), ("0.001 mV", 1)),
        *(("adu", None), ("mmHg", None), ("", None), ("NU", None), ("0uV", None), ("kV", None)),
    ],
)  # fmt: skip
def test_units_of_voltage(unit: str, microvolts: int | Fraction | None) -> None:
    assert microvolts_of(unit) == microvolts


def with_unit(folder: Path, unit: str) -> None:
    write_wfdb(folder, "r", synthetic_signal(100), fs=500)
    header = folder / "r.hea"
    header.write_text(header.read_text().replace("/mV", f"/{unit}"))


@pytest.mark.parametrize(("unit", "factor"), [("nV", 1e-6), ("millivolt", 1.0), ("uV", 1e-3), ("V", 1e3)])
def test_a_record_in_any_unit_of_voltage(tmp_path: Path, unit: str, factor: float) -> None:
    write_wfdb(tmp_path / "mv", "r", synthetic_signal(100), fs=500)
    with_unit(tmp_path / "other", unit)
    expected = read_signal(tmp_path / "mv", "r", read_header(tmp_path / "mv", "r")).signal * factor
    found = read_signal(tmp_path / "other", "r", read_header(tmp_path / "other", "r")).signal
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_unknown_unit_is_named_and_can_be_stated(tmp_path: Path) -> None:
    with_unit(tmp_path, "adu")
    with pytest.raises(RecordError, match="unknown unit 'adu'; expected V, mV, uV, nV.*--unit"):
        read_header(tmp_path, "r")
    stated = read_header(tmp_path, "r", Naming(unit="uV"))
    with_unit(tmp_path, "uV")
    plain = read_signal(tmp_path, "r", read_header(tmp_path, "r")).signal
    with_unit(tmp_path, "adu")
    np.testing.assert_array_equal(read_signal(tmp_path, "r", stated).signal, plain)


def test_leads_are_renamed(tmp_path: Path) -> None:
    write_wfdb(tmp_path, "r", synthetic_signal(100)[:2], leads=("ECG", "resp"), fs=500)
    with pytest.raises(RecordError, match=r"signals: ECG, resp.*names such as I II.*--lead-names 'ECG=I'"):
        read_header(tmp_path, "r")
    header = read_header(tmp_path, "r", Given(lead_names="ecg = -II").naming)
    assert (header.leads, header.source_leads, header.other) == (("II",), ("ECG",), ("resp",))
    assert read_header(tmp_path, "r", Given(lead_names="I, V2").naming).leads == ("I", "V2")
    with pytest.raises(RecordError, match="2 rows, but --lead-names gives 3"):
        read_header(tmp_path, "r", Given(lead_names="I,II,V2").naming)


@pytest.mark.parametrize("names", ["ECG=", "=I", "ECG=I, MLII", "ECG=V99"])
def test_odd_names_are_refused(names: str) -> None:
    with pytest.raises(ConfigError, match="--lead-names"):
        Given(lead_names=names).check()


def test_extra_leads_keep_their_names() -> None:
    names = ["I", "II", "V3R", "V4R", "V7", "X"]
    assert find_rows(names, ["mV"] * 6).leads == ("I", "II", "V3R", "V4R", "V7", "VX")
