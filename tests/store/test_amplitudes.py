"""Amplitudes of any size survive: leads that whole microvolts would clip or flatten keep a step and an offset."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ecgkit.ingestion import IngestOptions, ingest
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording
from ecgkit.signal.microvolts import MISSING, Scaling, decode, keep_counts, quantise
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.format import OFFSETS, STEPS, waveform_hash
from ecgkit.store.reader import Store
from ecgkit.store.summary import lead_flags, summarize
from ecgkit.store.views import open_view
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 30))
ANY = st.floats(-1e290, 1e290) | st.floats(-50, 50) | st.floats(-1e-6, 1e-6) | st.just(float("nan"))


@given(arrays.arrays(np.float64, SHAPES, elements=ANY))
def test_any_finite_signal_survives_within_half_a_step(signal) -> None:
    stored, scaling, clipped = quantise(signal)
    assert clipped == 0
    back = decode(stored, np.float64, scaling=scaling)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(signal))
    steps = np.array(scaling.steps)[:, None] / 1000
    allowed = np.maximum(0.75 * steps, 2 * np.spacing(np.abs(signal)))  # half a step, and float64 at a huge offset
    assert np.nanmax(np.abs(back - signal) / allowed, initial=0) <= 1
    small = np.nanmax(np.abs(signal), axis=1, initial=0) <= 32.767
    assert (steps[small, 0] <= 1e-3).all(), "no lead in range is stored more coarsely than before"


@given(st.floats(-1e4, 1e4), st.floats(1e-9, 1e4), st.integers(0, 2**32))
def test_an_ordinary_shape_keeps_fifteen_bits(offset, size, seed) -> None:
    shape = np.random.default_rng(seed).uniform(-1, 1, (1, 200))
    signal = offset + size * shape
    stored, scaling, _ = quantise(signal)
    error = np.abs(decode(stored, np.float64, scaling=scaling) - signal).max()
    assert error <= max(0.50001e-3 if size > 0.02 else 0, 2 * size / 65534, 4 * np.spacing(abs(offset) + size))


@given(
    arrays.arrays(np.int64, SHAPES, elements=st.integers(-(2**31), 2**31)),
    st.sampled_from([1.0, 0.1, 3.2680, 100.0, 1e-4]),
)
def test_counts_that_fit_are_exact(counts, step) -> None:
    missing = counts % 7 == 3
    stored, scaling = keep_counts(counts, missing, [step] * len(counts))
    back = decode(stored, np.float64, 1.0, scaling)
    for row, lead in enumerate(counts):
        there = lead[~missing[row]]
        np.testing.assert_array_equal(np.isnan(back[row]), missing[row])
        if len(there) and np.ptp(there) <= 65_534:
            np.testing.assert_allclose(back[row][~missing[row]], there * step, rtol=1e-12, atol=1e-9)
        elif len(there):
            assert np.nanmax(np.abs(back[row][~missing[row]] - there * step)) <= 0.51 * scaling.steps[row]


def test_infinite_samples_are_clipped_and_counted() -> None:
    stored, scaling, clipped = quantise(np.array([[np.inf, -np.inf, 1.0, -2.0, np.nan]]))
    assert clipped == 2
    assert stored.tolist() == [[1000, -2000, 1000, -2000, MISSING]]
    assert scaling.is_plain


def test_the_hash_covers_the_scaling_and_is_what_it_was_for_microvolts() -> None:
    stored = np.arange(12, dtype=np.int16).reshape(3, 4)
    plain = waveform_hash(stored, [0, 1, 2], 4)
    others = [Scaling((1.0, 1.0, 2.0), (0.0,) * 3), Scaling((1.0,) * 3, (0.0, 0.0, 5.0)), Scaling.plain(3)]
    hashes = {waveform_hash(stored, [0, 1, 2], 4, scaling) for scaling in others}
    assert len({plain, *hashes}) == 4
    assert plain == hashlib.sha256(stored.astype("<i2").tobytes()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    signal = synthetic_signal(1000)
    shifted, tiny = signal.copy(), signal * 1e-4
    shifted[2] -= 120.0
    recordings = [
        Recording(signal, 500.0, STANDARD_LEADS),
        Recording(shifted, 500.0, STANDARD_LEADS),
        Recording(tiny, 500.0, STANDARD_LEADS, "NU"),
    ]
    return make_store(tmp_path / "s.zarr", recordings)


def test_every_reader_of_a_store_honours_the_scaling(store: Store) -> None:
    signal = synthetic_signal(1000)
    shift = np.where(np.arange(12) == 2, -120.0, 0.0)[:, None]
    whole = store.signals(0, 3)
    for read in (lambda row: store.recording(row).signal, lambda row: whole[row]):
        np.testing.assert_allclose(read(0), signal, atol=0.51e-3)
        np.testing.assert_allclose(read(1), signal + shift, atol=0.51e-3)
        np.testing.assert_allclose(read(2), signal * 1e-4, atol=np.ptp(signal) * 1e-4 / 65534)
    view = open_view(store, SignalSpec(fs=500.0, seconds=2.0))
    order = [view.spec.leads.index(lead) for lead in store.leads]
    np.testing.assert_allclose(view.signal[1][order][:, :1000], signal + shift, atol=0.52e-3)
    part = store.recording(1, 100, 200)
    np.testing.assert_array_equal(part.signal, store.recording(1).signal[:, 100:200])


def test_a_store_says_what_it_rescaled(store: Store, tmp_path: Path) -> None:
    assert store.attributes["version"] == 3
    counts = summarize(store)
    assert (counts.clipped, counts.rescaled, counts.offset) == (0, 1, 2)
    assert store.table[STEPS].isna().tolist() == [True, False, False]
    assert store.table[OFFSETS][1][2] < -100_000
    plain = make_store(tmp_path / "plain.zarr", [Recording(synthetic_signal(300), 500.0, STANDARD_LEADS)])
    assert plain.attributes["version"] == 2, "earlier releases can read it"
    assert STEPS not in plain.table


def test_quality_is_judged_in_millivolts(tmp_path: Path) -> None:
    signal = synthetic_signal(2000)
    far = make_store(tmp_path / "far.zarr", [Recording(signal + 100.0 * np.arange(12)[:, None], 500.0, STANDARD_LEADS)])
    near = make_store(tmp_path / "near.zarr", [Recording(signal, 500.0, STANDARD_LEADS)])
    for name, values in near.quality.items():
        np.testing.assert_allclose(far.quality[name], values, rtol=0.02, atol=2e-3, err_msg=name)
    assert {name for name, on in lead_flags(far).items() if on.any()} == {
        name for name, on in lead_flags(near).items() if on.any()
    }


@pytest.mark.parametrize(("gain", "low", "high"), [(10_000, -1_300_000, -1_100_000), (10, -30_000, 30_000)])
def test_wfdb_counts_beyond_the_range_are_kept(tmp_path: Path, gain: int, low: int, high: int) -> None:
    counts = np.random.default_rng(0).integers(low, high, (2, 500))
    counts[1] = counts[1] // 4
    source = tmp_path / "in"
    source.mkdir()
    (source / "far.dat").write_bytes(counts.T.astype("<i4").tobytes())
    lines = [
        f"far.dat 32 {gain}/mV 24 0 {row[0]} {row.sum() % 65536} 0 {lead}"
        for row, lead in zip(counts, ("V1", "V2"), strict=True)
    ]
    (source / "far.hea").write_text("\n".join(["far 2 500 500", *lines]) + "\n")
    report = ingest(source, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    assert (report.taken, report.clipped) == (1, 0)
    assert report.rescaled + report.offset > 0
    back = Store(tmp_path / "s.zarr").recording(0)
    steps = np.array(back.scaling.steps)[:, None] / 1000
    assert (np.abs(back.signal - counts / gain) <= 0.51 * steps).all()
    if np.ptp(counts[1]) < 65_535:
        np.testing.assert_allclose(back.signal[1], counts[1] / gain, rtol=1e-12)
