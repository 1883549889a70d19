"""Windows as counts: what they stand for is off by at most half a step, and nothing is lost of whole microvolts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ecgkit.signal.compact import CompactWindows, put_windows, record_type

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 30))
ANY = st.floats(-1e30, 1e30) | st.floats(-50, 50) | st.floats(-1e-6, 1e-6) | st.integers(-40, 40).map(float)


def compact(windows: np.ndarray, length: int | None = None) -> CompactWindows:
    """Return windows ``[R, L, W]`` as counts."""
    R, L, W = windows.shape
    records = np.zeros(R, record_type(L, W))
    length = W if length is None else length
    put_windows(records, np.arange(R), range(L), windows, length)
    return CompactWindows(records, np.full(R, length))


@given(arrays.arrays(np.float64, SHAPES, elements=ANY))
def test_no_sample_is_off_by_more_than_half_a_step(signal: np.ndarray) -> None:
    held = compact(signal[None])
    steps = held.records["scale"][0, :, :1].astype(np.float64)
    single = np.spacing(np.abs(signal).max(1, keepdims=True).astype(np.float32))  # rounding of float32
    assert (np.abs(held[0] - signal) <= 0.5001 * steps + 2 * single + 1e-42).all()
    finest = np.maximum(np.ptp(signal, axis=1, keepdims=True) / 65534 * 1.0001, 2.0**-126)
    is_whole = np.abs(steps - 1e-3) < 1e-9
    assert (is_whole | (steps <= finest)).all()


@given(st.integers(-200_000, 200_000), st.integers(0, 65_534), st.integers(0, 2**32))
def test_whole_microvolts_lose_nothing(low: int, span: int, seed: int) -> None:
    microvolts = low + np.random.default_rng(seed).integers(0, span + 1, (1, 2, 50))
    for signal in (microvolts / 1000, (microvolts / 1000).astype(np.float32)):
        held = compact(signal)
        assert (held.records["scale"][..., 0] == np.float32(1e-3)).all()
        np.testing.assert_array_equal(np.rint(held[:].astype(np.float64) * 1000), microvolts)
        single = np.spacing(np.float32(np.abs(signal).max()))  # rounding of float32
        np.testing.assert_allclose(held[:], microvolts / 1000, rtol=0, atol=2 * single)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_lead_that_is_not_finite_is_noticed(value: float) -> None:
    signal = np.random.default_rng(0).normal(size=(2, 3, 40))
    signal[1, 2, 17] = value
    held = compact(signal)
    assert np.isnan(held[1, 2]).all()
    assert np.isfinite(held[1][:2]).all() and np.isfinite(held[0]).all()


def test_crops_are_slices_and_zeros_follow_the_end() -> None:
    held = compact(np.random.default_rng(0).normal(5, 1, (4, 3, 51)), 40)  # an odd number of samples
    whole = np.array(held)
    assert whole.shape == held.shape == (4, 3, 51)
    assert not whole[..., 40:].any()
    rows, starts, leads = np.array([3, 0, 3]), np.array([0, 20, 31]), np.array([2, 0])
    out = np.full((3, 2, 20), np.nan, np.float32)
    held.read(rows, starts, leads, out)
    for crop, row, start in zip(out, rows, starts, strict=True):
        np.testing.assert_array_equal(crop, whole[row][leads, start : start + 20])
    for index in (1, -1, np.int64(2), slice(1, 3), [0, 2], (1, 2), (slice(0, 2), 1), (np.array([1, 0]), 2, slice(3))):
        np.testing.assert_array_equal(held[index], whole[index])


def test_counts_take_half_the_space_of_float32() -> None:
    assert record_type(12, 1000).itemsize == 12 * 1000 * 2 + 12 * 8
    assert record_type(1, 3).itemsize % 4 == 0
