"""The own parser of annotation files, against wfdb."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgkit.datasets.annotations import BEATS, parse_annotations


def test_every_mark_of_the_real_databases_is_what_wfdb_says(shared: Path) -> None:
    data = shared / "data"
    files = [*sorted((data / "mit-bih").glob("*.atr")), *sorted((data / "ludb" / "data").glob("*.v3"))[::5]]
    for file in files:
        own = parse_annotations(file.read_bytes(), 360 if file.suffix == ".atr" else 500)
        reference = wfdb.rdann(str(file.with_suffix("")), file.suffix[1:])
        assert own.samples.tolist() == reference.sample.tolist(), file
        assert list(own.symbols) == reference.symbol
    assert len(files) == 42


def test_all_of_both_databases_is_counted(shared: Path) -> None:
    data = shared / "data"
    beats = [parse_annotations(file.read_bytes(), 360) for file in (data / "mit-bih").glob("*.atr")]
    waves = [
        parse_annotations(file.read_bytes(), 500)
        for file in (data / "ludb" / "data").iterdir()
        if file.suffix not in (".hea", ".dat")
    ]
    assert (len(beats), sum(len(own.samples) for own in beats)) == (22, 52_536)
    assert (len(waves), sum(len(own.samples) for own in waves)) == (1200, 86_811)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.sampled_from("NVLR+~A/")), min_size=1, max_size=30), st.booleans()
)
def test_what_wfdb_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[int, str]], notes: bool
) -> None:
    folder = tmp_path_factory.mktemp("ann")
    samples, symbols = np.cumsum([gap for gap, _ in marks]), [symbol for _, symbol in marks]
    more = {"aux_note": ["(AFIB\0"] * len(marks), "subtype": np.arange(len(marks)) % 5} if notes else {}
    wfdb.wrann("r", "atr", samples, symbols, write_dir=str(folder), **more)
    own = parse_annotations((folder / "r.atr").read_bytes(), 500)
    assert own.samples.tolist() == samples.tolist()
    assert list(own.symbols) == symbols
    assert len(own.only(BEATS)) == sum(symbol in BEATS for symbol in symbols)


def test_a_resolution_of_its_own_is_brought_to_that_of_the_record(tmp_path: Path) -> None:
    wfdb.wrann("r", "atr", np.array([1000, 2500]), ["N", "V"], fs=1000, write_dir=str(tmp_path))
    own = parse_annotations((tmp_path / "r.atr").read_bytes(), 500)
    assert (own.samples.tolist(), own.symbols) == ([500, 1250], ("N", "V"))


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x05\x04", b"\x00\xec\x01", bytes([0, 50 << 2, 0, 0])])
def test_a_damaged_file_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="annotation"):
        parse_annotations(raw, 500)
