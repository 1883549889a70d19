"""Noise has the strength and the band that it is said to have, and a seed."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal

from ecgkit.evaluation.noise import MOTION_BAND, MUSCLE_BAND, NOISES, WANDER_BAND, leads_off, noise_ratio
from tests.conftest import synthetic_signal

BANDS = {"em": MOTION_BAND, "bw": WANDER_BAND, "ma": MUSCLE_BAND}


@pytest.fixture
def window() -> np.ndarray:
    return synthetic_signal(5000).astype(np.float32)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("level", [24.0, 6.0, 0.0, -6.0])
def test_a_level_is_the_ratio_in_db(name: str, level: float, window: np.ndarray) -> None:
    noisy = NOISES[name](window, 500, level, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert noise_ratio(window, noisy) == pytest.approx(level, abs=0.05)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("fs", [100.0, 500.0])
def test_noise_lies_in_its_band_and_each_lead_has_its_own(name: str, fs: float, window: np.ndarray) -> None:
    long = np.tile(window, 4)
    noise = NOISES[name](long, fs, 0.0, np.random.default_rng(1)).astype(np.float64) - long
    rates, power = scipy.signal.periodogram(noise, fs, axis=1)
    low, high = BANDS[name]
    inside = (rates >= low / 2) & (rates <= min(high * 1.5, fs / 2))
    assert power[:, inside].sum() > 0.9 * power.sum()
    assert np.abs(np.corrcoef(noise) - np.eye(12)).max() < 0.8


@pytest.mark.parametrize("function", [*NOISES.values(), leads_off])
def test_a_seed_decides_and_nothing_is_changed_in_place(function: Callable, window: np.ndarray) -> None:
    before = window.copy()
    first, again, other = (function(window, 500, 3.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(window, before)


def test_leads_fall_off_until_one_is_left(window: np.ndarray) -> None:
    for level, flat in ((0, 0), (1, 1), (5, 5), (12, 11)):
        out = leads_off(window, 500, float(level), np.random.default_rng(0))
        assert (out == 0).all(axis=1).sum() == flat
        kept = (out != 0).any(axis=1)
        np.testing.assert_array_equal(out[kept], window[kept])


def test_a_flat_window_stays_flat() -> None:
    flat = np.zeros((2, 500), np.float32)
    for function in NOISES.values():
        assert not function(flat, 500, 0.0, np.random.default_rng(0)).any()
